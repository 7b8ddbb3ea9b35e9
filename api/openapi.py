"""The service's OpenAPI document: `python -m api.openapi` writes it to openapi.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import SecretStr, TypeAdapter

from api.app import create_app
from api.wire.chat import ChatCompletionChunk
from api.wire.frames import StreamFrame
from store.settings import Settings

STORED = Path(__file__).parents[1] / "openapi.json"


def document() -> dict[str, Any]:
    """The document, with what streams hold among its schemas (OpenAPI has no WebSockets)."""
    settings = Settings(
        database_url="postgresql://nowhere/none",
        redis_url="redis://nowhere",
        data_dir=Path("nowhere"),
        api_key=SecretStr("only the shapes are read"),
    )
    found = create_app(settings).openapi()
    schemas = found["components"]["schemas"]
    schemas["StreamFrame"] = {
        "description": "A frame of `/v1/fine_tuning/jobs/{job_id}/stream`: a text, or an event's data.",
        **_schema(TypeAdapter(StreamFrame), schemas),
    }
    schemas["ChatCompletionChunk"] = _schema(TypeAdapter(ChatCompletionChunk), schemas)
    return found


def _schema(adapter: TypeAdapter[Any], schemas: dict[str, Any]) -> dict[str, Any]:
    """The schema of an answer; what it refers to is added to `schemas`."""
    found = adapter.json_schema(mode="serialization", ref_template="#/components/schemas/{model}")
    for name, schema in found.pop("$defs").items():
        schemas.setdefault(name, schema)
    return found


def render() -> str:
    """The document as it is stored."""
    return json.dumps(document(), indent=2, sort_keys=True) + "\n"


if __name__ == "__main__":
    STORED.write_text(render())
