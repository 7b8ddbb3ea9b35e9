"""`/v1/files/{id}/tokens`: how long a file's rows are for a model, and how many a limit would cut (ours)."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Query

from api.errors import bad_request, not_found
from api.file_tokens import count_tokens
from api.routes.dependencies import ERRORS, Identifier, OpenServices, Tx
from api.wire.tokens import TokensObject
from ist_core.spec import JobSpec
from ist_core.token_counts import summarise
from ist_core.tokenizer_files import find_tokenizer, load_tokenizer
from store.files import find_file
from store.tenant import Tenant

DEFAULT_MAX_LENGTH: int = JobSpec.model_fields["max_length"].default

router = APIRouter(prefix="/files", tags=["files"], responses=ERRORS)


@router.get("/{file_id}/tokens")
def tokens(
    file_id: Identifier,
    services: OpenServices,
    tx: Tx,
    model: Annotated[str, Query(min_length=1, max_length=255, pattern=r"^[^\x00]+$")],
    max_length: Annotated[int, Query(ge=8, le=1_048_576)] = DEFAULT_MAX_LENGTH,
) -> TokensObject:
    """Count a file's tokens with a base model's tokenizer and chat template; the counts are kept."""
    with services.database.session() as session:  # not the request's: counting may take a while
        file = find_file(Tenant(session, tx.tenant.project_id), file_id)
    if file is None:
        raise not_found("file", file_id, param="file_id")
    if not file.rows:
        raise bad_request(
            f"file_id: file {file_id} has the purpose {file.purpose!r}; only training data has rows to count",
            param="file_id",
            code="invalid_purpose",
        )
    found = find_tokenizer(services.catalog.resolve(model), services.settings.cache_dir)
    counts = count_tokens(services, file, found)
    summary = asdict(summarise(counts, max_length))
    bins = [{"start": start, "stop": stop, "rows": rows} for start, stop, rows in summary.pop("histogram")]
    return TokensObject.model_validate(
        {
            "file_id": file.id,
            "model": model,
            "max_length": max_length,
            "window": load_tokenizer(found).window,
            "rows": counts.rows,
            "counted": counts.counted,
            "refused": counts.refused,
            "problems": [asdict(problem) for problem in counts.problems],
            "histogram": bins,
            **summary,
        }
    )
