"""Log lines of the stack: `time name | line`, to a file and, when asked, to the terminal."""

import threading
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self


class StackLog:
    """Appends lines to `data_dir/logs/stack.log`; thread-safe; a context manager."""

    def __init__(self, data_dir: Path, *, echo: bool) -> None:
        self.path = data_dir / "logs" / "stack.log"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self.path.open("a", encoding="utf-8")
        self._echo = echo
        self._lock = threading.Lock()

    def __call__(self, name: str, line: str) -> None:
        """Write one line."""
        text = f"{datetime.now().astimezone():%H:%M:%S} {name:<9} | {line}"
        with self._lock:
            self._file.write(text + "\n")
            self._file.flush()
            if self._echo:
                print(text, flush=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()
