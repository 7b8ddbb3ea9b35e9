"""Files and tuned models."""

import pytest

from store.database import Database
from store.files import get_file, list_files
from store.jobs import get_job
from store.objects import ObjectInfo
from store.paging import UnknownCursor
from store.tuned_models import (
    create_tuned_model,
    get_tuned_model,
    get_tuned_model_of_job,
    list_tuned_models,
    new_model_id,
)
from tests.factories import claimed, make_file, tenant


def test_files_page_in_both_orders_and_filter_by_purpose(database: Database) -> None:
    made = []
    for _ in range(3):
        with database.session() as session:
            made.append(make_file(session).id)
    with database.session() as session:
        result = make_file(session, purpose="fine-tune-results").id
        down = list_files(tenant(session), limit=2, purpose="fine-tune")
        up = list_files(tenant(session), limit=2, order="asc")
        rest = list_files(tenant(session), limit=2, order="asc", after=up.rows[-1].id)
        assert [file.id for file in down.rows] == made[:0:-1]
        assert [file.id for file in [*up.rows, *rest.rows]] == [*made, result]
        assert (down.has_more, up.has_more, rest.has_more) == (True, True, False)
        with pytest.raises(UnknownCursor):
            list_files(tenant(session), after="file-none")
        assert get_file(session, "file-none") is None


def test_a_file_keeps_its_format(database: Database) -> None:
    with database.session() as session:
        chat, pairs = make_file(session).id, make_file(session, data_format="preference").id
    with database.session() as session:
        formats = {file.id: file.format for file in list_files(tenant(session)).rows}
    assert formats == {chat: "chat", pairs: "preference"}


@pytest.mark.parametrize(
    ("base", "suffix", "begin"),
    [
        ("SmolLM2-135M-Instruct", "tickets", "ft:SmolLM2-135M-Instruct:isthmus:tickets:"),
        ("org/name", None, "ft:name:isthmus::"),
        ("odd:name", "a:b", "ft:odd-name:isthmus:a-b:"),
    ],
)
def test_model_names_have_five_parts(base: str, suffix: str | None, begin: str) -> None:
    name = new_model_id(base, suffix)
    assert name.startswith(begin)
    assert len(name.split(":")) == 5
    assert name != new_model_id(base, suffix)


def test_a_tuned_model_lists_its_artifacts_by_relative_path(database: Database) -> None:
    held = claimed(database)
    with database.session() as session:
        job = get_job(session, held.job_id)
        assert job is not None
        create_tuned_model(
            session,
            model_id="ft:tiny:isthmus::1",
            job=job,
            prefix="models/j/1/",
            artifacts=[ObjectInfo("models/j/1/adapter/a.bin", 3, "ab")],
        )
    with database.session() as session:
        model = get_tuned_model_of_job(tenant(session), held.job_id)
        assert model is not None
        assert model.artifacts == [{"path": "adapter/a.bin", "bytes": 3, "sha256": "ab"}]
        assert get_tuned_model(tenant(session), "ft:tiny:isthmus::1") is model
        assert list_tuned_models(tenant(session)) == [model]
