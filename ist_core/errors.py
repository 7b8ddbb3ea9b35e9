"""The engine's errors: each carries a stable code, a message for a person, and the field it is about.

EngineError
├── DatasetError      invalid_dataset      a line of a data file that cannot be used
├── ModelError        model_not_found      a base model that cannot be found or read
├── AdapterError      invalid_adapter      adapters that do not fit the model
└── MemoryExhausted   out_of_memory        the device ran out of memory
"""


class EngineError(Exception):
    """Something a user can mend; `code` is stable, `param` names the spec's field (or None)."""

    code = "engine_error"

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param


class DatasetError(EngineError):
    """A data file that cannot be used; `line` counts from 1 (None: the file as a whole)."""

    code = "invalid_dataset"

    def __init__(
        self, message: str, *, line: int | None = None, param: str | None = "training_file"
    ) -> None:
        super().__init__(message if line is None else f"line {line}: {message}", param=param)
        self.line = line


class ModelError(EngineError):
    """A base model that cannot be found or read."""

    code = "model_not_found"

    def __init__(self, message: str, *, param: str | None = "model") -> None:
        super().__init__(message, param=param)


class AdapterError(EngineError):
    """Adapters that do not fit the model."""

    code = "invalid_adapter"

    def __init__(self, message: str, *, param: str | None = "adapter") -> None:
        super().__init__(message, param=param)


class MemoryExhausted(EngineError):
    """The device ran out of memory."""

    code = "out_of_memory"
