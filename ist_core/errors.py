"""The engine's errors: each carries a stable code, a message for a person, and the field it is about.

EngineError
├── DatasetError      invalid_dataset      lines of a data file that cannot be used
├── ModelError        model_not_found      a base model that cannot be found or read
│   ├── TokenizerUnavailable  tokenizer_unavailable  a model whose tokenizer is not at hand without loading it
│   └── PlanUnavailable       plan_unavailable       a model whose needs cannot be computed from its config
├── AdapterError      invalid_adapter      adapters that do not fit the model
├── UnknownDevice     unknown_device       a device that no plan can be made for
├── IstError          invalid_ist          sparse tuning that does not fit the model
├── EvaluationError   invalid_evaluation   an evaluation that does not fit the validation file
├── TrainingDiverged  training_diverged    the loss or a gradient stopped being a finite number
├── MemoryExhausted   out_of_memory        the device ran out of memory
├── CheckpointError   invalid_checkpoint   a checkpoint that this run cannot be resumed from
├── ChatError         invalid_messages     a conversation that a model cannot go on with
│   ├── WindowExceeded        context_length_exceeded  messages and answer longer than the model's window
│   └── RequestTooLarge       request_too_large        more choices or tokens than the engine has room for
├── ExportError       export_check_failed  an exported model that does not answer as the trained one
│   └── ExportUnsupported     export_unsupported     a model or an adapter that the format cannot hold
└── StorageError      storage_failed       files that could not be written, as when the disk is full
"""

from __future__ import annotations

from isthmus.dataset.problems import DatasetError as DatasetError
from isthmus.dataset.problems import InputFault
from isthmus.dataset.problems import Problem as Problem

EngineError = InputFault
"""What all of these are: something a user can mend."""


class ModelError(EngineError):
    """A base model that cannot be found or read."""

    code = "model_not_found"

    def __init__(self, message: str, *, param: str | None = "model") -> None:
        super().__init__(message, param=param)


class TokenizerUnavailable(ModelError):
    """A model whose tokenizer is not at hand without loading it."""

    code = "tokenizer_unavailable"


class PlanUnavailable(ModelError):
    """A model whose needs cannot be computed from its config."""

    code = "plan_unavailable"


class AdapterError(EngineError):
    """Adapters that do not fit the model."""

    code = "invalid_adapter"

    def __init__(self, message: str, *, param: str | None = "adapter") -> None:
        super().__init__(message, param=param)


class UnknownDevice(EngineError):
    """A device that no plan can be made for."""

    code = "unknown_device"

    def __init__(self, message: str, *, param: str | None = "device") -> None:
        super().__init__(message, param=param)


class IstError(EngineError):
    """Sparse tuning that does not fit the model, such as a model of one layer."""

    code = "invalid_ist"

    def __init__(self, message: str, *, param: str | None = "ist") -> None:
        super().__init__(message, param=param)


class EvaluationError(EngineError):
    """An evaluation that does not fit the validation file, such as a score that no row of it has."""

    code = "invalid_evaluation"


class TrainingDiverged(EngineError):
    """The loss or a gradient stopped being a finite number."""

    code = "training_diverged"

    def __init__(self, message: str, *, param: str | None = "learning_rate") -> None:
        super().__init__(message, param=param)


class MemoryExhausted(EngineError):
    """The device ran out of memory."""

    code = "out_of_memory"


class CheckpointError(EngineError):
    """A checkpoint that this run cannot be resumed from."""

    code = "invalid_checkpoint"

    def __init__(self, message: str, *, param: str | None = "resume_from") -> None:
        super().__init__(message, param=param)


class ExportError(EngineError):
    """An exported model that does not answer as the trained one; nothing of it is kept."""

    code = "export_check_failed"

    def __init__(self, message: str, *, param: str | None = "format") -> None:
        super().__init__(message, param=param)


class ExportUnsupported(ExportError):
    """A model or an adapter that the format cannot hold."""

    code = "export_unsupported"


class ChatError(EngineError):
    """A conversation that a model cannot go on with."""

    code = "invalid_messages"

    def __init__(self, message: str, *, param: str | None = "messages") -> None:
        super().__init__(message, param=param)


class WindowExceeded(ChatError):
    """Messages and answer together longer than the model's window."""

    code = "context_length_exceeded"


class RequestTooLarge(ChatError):
    """More choices or tokens at once than the engine ever has room for."""

    code = "request_too_large"


class StorageError(EngineError):
    """Files that could not be written, as when the disk is full."""

    code = "storage_failed"
