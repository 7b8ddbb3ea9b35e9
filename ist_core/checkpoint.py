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
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, cast

from safetensors.torch import load_file, save_file

from ist_core.artifacts import ADAPTER_DIR, STEPS_CSV, StepTable, save_adapter
from ist_core.errors import CheckpointError
from ist_core.fingerprint import Fingerprint, environment_differences, run_differences
from ist_core.ist import IstState
from ist_core.progress import Progress
from ist_core.spec import JobSpec
from ist_core.storage import storing
from ist_core.strict import Strict
from ist_core.training_state import Snapshot, TrainingState
from ist_core.whole_folder import remove_whole, whole_folder

CHECKPOINTS_DIR = "checkpoints"
_MANIFEST = "checkpoint.json"
_STATE = "state.safetensors"
_BEST = "best.safetensors"
_WEIGHTS = f"{ADAPTER_DIR}/adapter_model.safetensors"
_KEPT = 2


class Manifest(Strict):
    """What is in `checkpoint.json`."""

    version: Literal[1] = 1
    spec: JobSpec
    data: dict[str, str]
    environment: dict[str, str]
    progress: Progress
    ist: dict[str, Any] | None
    files: dict[str, str]


@dataclass(frozen=True, slots=True)
class _Unfinished:
    """A checkpoint whose files are written, and not yet known to be on the disk."""

    step: int
    whole: Future[None]


class CheckpointFolder:
    """Writes a run's checkpoints into its output folder, one after the other, and keeps the newest two.

    A thread takes a checkpoint to its end while the next steps are made: `begin` writes all that they change,
    `finish` tells that it is whole. Where the best one is to be the result, it is kept, too.
    Checkpoints of later steps, which an earlier run has left in the folder, give way to this run's.
    """

    def __init__(
        self, output_dir: Path, identity: Fingerprint, state: TrainingState, table: StepTable
    ) -> None:
        self._output_dir = output_dir
        self._identity = identity
        self._state = state
        self._table = table
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._unfinished: _Unfinished | None = None
        self.newest: str | None = None
        """The latest whole checkpoint that this run wrote, as a path inside the output folder."""
        self.newest_step: int | None = None
        """Of the latest checkpoint that this run began."""

    def begin(self, progress: Progress, snapshot: Snapshot) -> None:
        """Begin the checkpoint of the step just finished; the one before must be finished.

        Raises:
            StorageError: if it cannot be written; earlier ones are as they were.
        """
        step = progress.steps
        with storing(*self._names(step)), ExitStack() as stack:
            folder = stack.enter_context(whole_folder(self._output_dir / _path(step)))
            self._fill(folder, progress, snapshot)
            manifest = self._manifest(progress, snapshot)
            best = progress.standing.best_step if self._state.best else None
            whole = self._thread.submit(self._complete, stack.pop_all(), folder, manifest, step, best)
        self._unfinished, self.newest_step = _Unfinished(step, whole), step

    def finish(self, *, wait: bool) -> str | None:
        """Return the path of the checkpoint that was begun, inside the output folder, once it is whole.

        None: there is none, it was returned already, or, unless one waits, it takes longer.

        Raises:
            StorageError: if it cannot be written; earlier ones are as they were.
        """
        if (unfinished := self._unfinished) is None or not (wait or unfinished.whole.done()):
            return None
        self._unfinished = None
        with storing(*self._names(unfinished.step)):
            unfinished.whole.result()
        self.newest = _path(unfinished.step)
        return self.newest

    def _names(self, step: int) -> tuple[str, str]:
        """What is written, and what to do when that fails."""
        before = f"{self.newest} is whole" if self.newest else "this run has written none"
        return f"the checkpoint of step {step}", f"resume from the one before: {before}"

    def _fill(self, folder: Path, progress: Progress, snapshot: Snapshot) -> None:
        """Write all files but the manifest."""
        state = self._state
        earlier = self._output_dir / self.newest / ADAPTER_DIR if self.newest else None
        save_adapter(state.model, state.tokenizer, folder, earlier=earlier)
        save_file(state.tensors(snapshot), folder / _STATE)
        if state.best and progress.standing.best_step != progress.steps:
            save_file(state.best, folder / _BEST)
        self._table.copy_to(folder)

    def _manifest(self, progress: Progress, snapshot: Snapshot) -> dict[str, Any]:
        """Return the manifest without the files."""
        identity = self._identity
        return {
            "version": 1,
            "spec": identity.spec.model_dump(mode="json"),
            "data": identity.data,
            "environment": identity.environment,
            "progress": asdict(progress),
            "ist": snapshot.ist,
        }

    def _complete(
        self, partial: ExitStack, folder: Path, manifest: dict[str, Any], step: int, best: int | None
    ) -> None:
        """Write the manifest, and give the folder its name, in the thread."""
        with partial:
            text = json.dumps(
                manifest | {"files": _digests(folder)}, indent=1, ensure_ascii=False, allow_nan=False
            )
            (folder / _MANIFEST).write_text(text + "\n", encoding="utf-8")
        self._prune(step, best)

    def _prune(self, step: int, best: int | None) -> None:
        folder = self._output_dir / CHECKPOINTS_DIR
        names = {path: path.name.removeprefix("step-") for path in folder.glob("step-*")}
        found = {int(number): path for path, number in names.items() if number.isdecimal()}
        kept = set(sorted(number for number in found if number <= step)[-_KEPT:])
        if best is not None:
            kept.add(best)
        for number in found.keys() - kept:
            remove_whole(found[number])


class Checkpoint:
    """A checkpoint that has been read and found whole.

    Raises:
        CheckpointError: if the folder is no checkpoint, or a part of it is missing or changed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._manifest = self._read()
        digests = _digests(folder)
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

    def check(self, now: Fingerprint) -> list[str]:
        """Make sure that the run is the one that wrote the checkpoint.

        Returns:
            What is different around it (device, versions), in words.

        Raises:
            CheckpointError: if the spec or the data is another one.
        """
        was = Fingerprint(self._manifest.spec, self._manifest.data, self._manifest.environment)
        if changes := run_differences(was, now):
            raise self._refusal(f"is of another run: {'; '.join(changes)}; set it back, or start anew")
        return environment_differences(was, now)

    def restore(self, state: TrainingState) -> None:
        """Put everything back; the next step is then the one after the checkpoint's.

        Raises:
            CheckpointError: if the adapter does not fit the model.
        """
        if not state.load_adapter(load_file(self.folder / _WEIGHTS)):
            raise self._refusal("does not fit the model, which is not the one it was written with")
        state.load_tensors(load_file(self.folder / _STATE))
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
            state.best.update(load_file(self.folder / _BEST))

    def _read(self) -> Manifest:
        try:
            text = (self.folder / _MANIFEST).read_text(encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError) as error:
            raise self._refusal(
                f"is no checkpoint: it has no {_MANIFEST}; give a folder such as "
                f"{_path(100)} that a run wrote"
            ) from error
        try:
            # Python's own parser returns every float as it was written.
            return Manifest.model_validate(json.loads(text), strict=False)  # JSON has texts for keys only
        except ValueError as error:  # of JSON, of UTF-8 or of pydantic
            first = str(error).splitlines()[:3]
            raise self._refusal(f"has a {_MANIFEST} that cannot be used: {' '.join(first)}") from error

    def _refusal(self, reason: str) -> CheckpointError:
        return CheckpointError(f"the checkpoint {self.folder} {reason}")


def _name(step: int) -> str:
    return f"step-{step:06d}"


def _path(step: int) -> str:
    return f"{CHECKPOINTS_DIR}/{_name(step)}"


def _digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file of the folder but the manifest."""
    digests = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name != _MANIFEST:
            with path.open("rb") as file:
                digests[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return digests
