"""Writes a run's checkpoints: what steps change at once, the rest beside the next steps."""

from __future__ import annotations

import json
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ist_core.adapter_writer import AdapterWriter, copy_rest
from ist_core.artifacts import StepTable
from ist_core.checkpoint import BEST, CHECKPOINTS_DIR, STATE, checkpoint_path, digests_of
from ist_core.fingerprint import Fingerprint
from ist_core.priority import yield_to_steps
from ist_core.progress import Progress
from ist_core.records import CHECKPOINT_MANIFEST
from ist_core.storage import storing
from ist_core.tensor_file import write_tensors
from ist_core.training_state import Snapshot, TrainingState
from ist_core.whole_folder import remove_whole, whole_folder

_KEPT = 2


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
        self._adapter = AdapterWriter(state.model, state.tokenizer)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint", initializer=yield_to_steps)
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
        with self._storing(step), ExitStack() as stack:
            folder = stack.enter_context(whole_folder(self._output_dir / checkpoint_path(step)))
            earlier = self._output_dir / self.newest if self.newest else None
            rest = None if self._fill(folder, progress, snapshot, earlier) else earlier
            manifest = self._manifest(progress, snapshot)
            best = progress.standing.best_step if self._state.best else None
            whole = self._thread.submit(self._complete, stack.pop_all(), folder, rest, manifest, step, best)
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
        with self._storing(unfinished.step):
            unfinished.whole.result()
        self.newest = checkpoint_path(unfinished.step)
        return self.newest

    def _storing(self, step: int) -> AbstractContextManager[None]:
        before = f"{self.newest} is whole" if self.newest else "this run has written none"
        then = f"resume from the one before: {before}"
        return storing(f"the checkpoint of step {step}", then=then)

    def _fill(self, folder: Path, progress: Progress, snapshot: Snapshot, earlier: Path | None) -> bool:
        """Write what the next steps change, and return whether that is all files but the manifest.

        False: the rest of the adapter's folder is as in `earlier`.
        """
        state = self._state
        complete = self._adapter.write(folder, earlier=earlier)
        write_tensors(state.tensors(snapshot), folder / STATE)
        if state.best and progress.standing.best_step != progress.steps:
            write_tensors(state.best, folder / BEST)
        self._table.copy_to(folder)
        return complete

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
        self,
        partial: ExitStack,
        folder: Path,
        rest: Path | None,
        manifest: dict[str, Any],
        step: int,
        best: int | None,
    ) -> None:
        """Copy the rest from `rest`, write the manifest, and give the folder its name, in the thread."""
        with partial:
            if rest is not None:
                copy_rest(rest, folder)
            text = json.dumps(
                manifest | {"files": digests_of(folder)}, indent=1, ensure_ascii=False, allow_nan=False
            )
            (folder / CHECKPOINT_MANIFEST).write_text(text + "\n", encoding="utf-8")
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
