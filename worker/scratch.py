"""The trainers' folders in the data folder: `work/JOB/ATTEMPT` while a run lasts, `logs` for failed ones."""

from __future__ import annotations

import shutil
from pathlib import Path

TAIL_BYTES = 8192
TAIL_LINES = 20


class Scratch:
    """The folder of one run; whatever earlier runs of the job left behind is removed when it is made."""

    def __init__(self, data_dir: Path, job_id: str, attempt: int) -> None:
        self._job_folder = data_dir / "work" / job_id
        self._kept_log = data_dir / "logs" / f"{job_id}-{attempt}.log"
        self.folder = self._job_folder / str(attempt)
        self.log = self.folder / "trainer.log"
        self.spool = self.folder / "records.spool"

    def make(self) -> None:
        """Make the folder, empty."""
        if self._job_folder.exists():
            shutil.rmtree(self._job_folder)
        self.folder.mkdir(parents=True)

    def remove(self) -> None:
        """Remove all scratch folders of the job."""
        if self._job_folder.exists():
            shutil.rmtree(self._job_folder)

    def keep_log(self) -> Path:
        """Copy the trainer's log to where failed jobs' logs stay; returns its path."""
        self._kept_log.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self.log, self._kept_log)
        return self._kept_log

    def log_tail(self) -> list[str]:
        """The last lines that the trainer wrote."""
        with self.log.open("rb") as log:
            log.seek(0, 2)
            log.seek(max(0, log.tell() - TAIL_BYTES))
            return log.read().decode(errors="replace").splitlines()[-TAIL_LINES:]
