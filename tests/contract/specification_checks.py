"""Schemathesis' hook: a request that the schema allows is refused only for what no schema can foresee.

Stands in for its own `positive_data_acceptance`, which takes every refusal of such a request for a fault.
"""

from __future__ import annotations

from typing import Any

import schemathesis
from schemathesis import Case, CheckContext, Response
from schemathesis.generation import GenerationMode

SEMANTIC = frozenset(
    {
        "adapter_is_there",
        "base_model",
        "conflicting_parameters",
        "default_project",
        "export_cancelled",
        "export_ended",
        "export_failed",
        "export_not_ready",
        "export_pushed",
        "file_in_use",
        "hub_disabled",
        "idempotency_key_reused",
        "invalid_url",
        "tokenizer_unavailable",
        "unsupported_mime_type",
        "file_not_found",
        "file_too_large",
        "invalid_adapter",
        "invalid_dataset",
        "invalid_file_format",
        "invalid_purpose",
        "job_ended",
        "job_not_ended",
        "key_ended",
        "model_deleted",
        "model_not_found",
        "model_not_ready",
        "plan_unavailable",
        "project_archived",
        "unknown_cursor",
        "unknown_device",
        "unknown_score",
        "unsupported_integration",
        "unsupported_method",
        "webhook_disabled",
        "webhook_unreachable",
    }
)
"""Codes that tell of an object that is not there, or not so: of the world, not of the request's shape."""


@schemathesis.check
def foreseen_refusals_only(context: CheckContext, response: Response, case: Case[Any]) -> None:
    """Raise when a request that keeps to the schema is refused for its shape."""
    del context
    positive = case.meta is not None and case.meta.generation.mode is GenerationMode.POSITIVE
    if positive and response.status_code == 400:
        code = response.json()["error"]["code"]
        if code not in SEMANTIC:
            message = response.json()["error"]["message"]
            raise AssertionError(f"what the schema allows is refused for its shape: {code}: {message}")
