"""Why a request is not answered, on its way from where that is found out to the client."""

from __future__ import annotations

from ist_core.errors import EngineError

STATUS = {"model_not_found": 404, "storage_failed": 507, "out_of_memory": 503}
"""What is not the fault of the request as it is, by the engine's codes."""


class Refused(Exception):
    """A request that is not answered; `status` is HTTP's, `code` is stable."""

    def __init__(self, status: int, code: str, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.param = param

    @classmethod
    def by(cls, error: EngineError) -> Refused:
        """What the engine refuses."""
        return cls(STATUS.get(error.code, 400), error.code, error.message, param=error.param)


def failed() -> Refused:
    """A fault of ours; the process's log has the rest."""
    return Refused(
        500, "internal_error", "The inference process failed on this request; its log has the cause"
    )


def stopping() -> Refused:
    """The process ends before the answer does."""
    return Refused(
        503, "inference_stopping", "The inference process is being stopped; send the request again"
    )
