"""Checkpoints: folders with all that a run needs to go on as if it had never stopped.

    checkpoints/step-000123/
        adapter/            the adapter in PEFT's format with its tokenizer, ready for use
        state.safetensors   the optimizer's moments, parameter by parameter, and torch's random state
        best.safetensors    the adapter of the best step so far, if it is to be the result and is another one
        steps.csv           the steps so far
        checkpoint.json     counters, IST's state, what the run is of, and the SHA-256 of the other files

Nothing in them is unpickled.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Literal, cast

from safetensors.torch import load_file

from ist_core.artifacts import ADAPTER_DIR, ADAPTER_WEIGHTS, STEPS_CSV
from ist_core.errors import CheckpointError
from ist_core.fingerprint import Fingerprint, environment_change, run_differences
from ist_core.ist import IstState
from ist_core.progress import Progress
from ist_core.records import CHECKPOINT_MANIFEST
from ist_core.spec import JobSpec
from ist_core.strict import Strict
from ist_core.training_state import TrainingState

CHECKPOINTS_DIR = "checkpoints"
STATE = "state.safetensors"
BEST = "best.safetensors"


class Manifest(Strict):
    """What is in the manifest."""

    version: Literal[1] = 1
    spec: JobSpec
    data: dict[str, str]
    environment: dict[str, str]
    progress: Progress
    ist: dict[str, Any] | None
    files: dict[str, str]


class Checkpoint:
    """A checkpoint that has been read and found whole.

    Raises:
        CheckpointError: if the folder is no checkpoint, or a part of it is missing or changed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._manifest = self._read()
        digests = digests_of(folder)
        for name, digest in self._manifest.files.items():
            if digests.get(name) != digest:
                what = "is not what was written" if name in digests else "is missing"
                raise self._refusal(f"is damaged: {name} {what}; resume from another one, or start anew")

    @property
    def progress(self) -> Progress:
        """The run's counters."""
        return self._manifest.progress

    @property
    def steps_csv(self) -> Path:
        """The table of the steps so far."""
        return self.folder / STEPS_CSV

    def check(self, now: Fingerprint) -> str | None:
        """Make sure that the run is the one that wrote the checkpoint.

        Returns:
            What is different around it (device, versions), in words; None: nothing.

        Raises:
            CheckpointError: if the spec or the data is another one.
        """
        was = Fingerprint(self._manifest.spec, self._manifest.data, self._manifest.environment)
        if changes := run_differences(was, now):
            raise self._refusal(f"is of another run: {'; '.join(changes)}; set it back, or start anew")
        return environment_change(was, now)

    def restore(self, state: TrainingState) -> None:
        """Put everything back; the next step is then the one after the checkpoint's.

        Raises:
            CheckpointError: if the adapter does not fit the model.
        """
        if not state.load_adapter(load_file(self.folder / ADAPTER_DIR / ADAPTER_WEIGHTS)):
            raise self._refusal("does not fit the model, which is not the one it was written with")
        state.load_tensors(load_file(self.folder / STATE))
        self._restore_best(state)
        if state.ist is not None:
            state.ist.load_state_dict(cast("IstState", self._manifest.ist))

    def _restore_best(self, state: TrainingState) -> None:
        best = self.progress.standing.best_step
        if self._manifest.spec.select_checkpoint != "best" or best is None:
            return
        if best == self.progress.steps:
            state.keep_best()
        else:
            state.best.update(load_file(self.folder / BEST))

    def _read(self) -> Manifest:
        try:
            text = (self.folder / CHECKPOINT_MANIFEST).read_text(encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError) as error:
            raise self._refusal(
                f"is no checkpoint: it has no {CHECKPOINT_MANIFEST}; give a folder such as "
                f"{checkpoint_path(100)} that a run wrote"
            ) from error
        try:
            # Python's own parser returns every float as it was written.
            return Manifest.model_validate(json.loads(text), strict=False)  # JSON has texts for keys only
        except ValueError as error:  # of JSON, of UTF-8 or of pydantic
            first = str(error).splitlines()[:3]
            raise self._refusal(
                f"has a {CHECKPOINT_MANIFEST} that cannot be used: {' '.join(first)}"
            ) from error

    def _refusal(self, reason: str) -> CheckpointError:
        return CheckpointError(f"the checkpoint {self.folder} {reason}")


def checkpoint_path(step: int) -> str:
    """Return where the checkpoint of a step is, inside a run's output folder."""
    return f"{CHECKPOINTS_DIR}/step-{step:06d}"


def digests_of(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file of the folder but the manifest."""
    digests = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name != CHECKPOINT_MANIFEST:
            with path.open("rb") as file:
                digests[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return digests
