"""Runs one job from its spec to its artifacts: the engine's main entry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from peft import PeftModel
from transformers import PreTrainedTokenizerBase

from ist_core.adapters import add_adapters
from ist_core.allocator import return_large_blocks
from ist_core.artifacts import ADAPTER_DIR, REPORT, STEPS_CSV, StepTable, save_adapter, write_report
from ist_core.card import read_run, write_card
from ist_core.catalog import Catalog, ModelSource, resolve_path_or_name
from ist_core.checkpoint import Checkpoint
from ist_core.checkpoint_folder import CheckpointFolder
from ist_core.comparison import SAMPLES, Compared, make_comparison
from ist_core.device import device_name, pick_device, pick_dtype
from ist_core.encoding import ensure_template
from ist_core.examples import Examples, load_rows
from ist_core.fingerprint import Fingerprint, data_facts, fingerprint
from ist_core.forecast import Forecast
from ist_core.ist import IST, adapter_layers, decoder_layers
from ist_core.loop import Loop
from ist_core.memory import PeakMemory, memory_advice
from ist_core.models import BaseModel, HeldModel, default_cache, load_base_model
from ist_core.objectives.objective import BatchT, ItemT, Settled
from ist_core.objectives.task import Task, make_task
from ist_core.planner import KeptLayers
from ist_core.progress import Progress
from ist_core.records import Emitted, JsonValue, Message, Started, TrainResult
from ist_core.report import report_of
from ist_core.schedule import total_steps
from ist_core.seeds import stream_seed
from ist_core.spec import JobSpec
from ist_core.standing import make_judge, take_best
from ist_core.stepper import Stepper
from ist_core.stopping import StopCheck, Stopped
from ist_core.storage import storing
from ist_core.training_state import TrainingState


def train(
    spec: JobSpec,
    *,
    output_dir: Path,
    emit: Callable[[Emitted], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
    catalog: Catalog | None = None,
    cache_dir: Path | None = None,
    resume_from: Path | None = None,
    held: HeldModel | None = None,
) -> TrainResult:
    """Train what `spec` says and save it in `output_dir` (made if need be).

    Args:
        emit: called in this thread with `Started`, then a `StepRecord` a step, and `Message`s and
            `Checkpointed`s in between.
        should_stop: asked often; True ends the run at once, cleanly, with nothing saved but a checkpoint.
        catalog: what `spec.model` may name. None: a local path, or a name the default catalog knows.
        cache_dir: where converted GGUF models are kept. None: `isthmus/models` in the user's cache folder.
        resume_from: a checkpoint's folder. The run goes on after its step, on the CPU to the very weights
            and scores of a run that never stopped. Spec and data must be the checkpoint's.
        held: may hold the base model already, for this run alone: it gets adapters. Given in a process that
            was forked for this run, as its memory is counted so.

    Raises:
        EngineError: for everything a user can mend; see `ist_core.errors`.
    """
    output_dir.mkdir(parents=True, exist_ok=True)
    return_large_blocks()
    device = pick_device()
    run = _Run(spec, output_dir, emit, StopCheck(should_stop), device, forked=held is not None)
    devices = [device] if device.type == "cuda" else []
    with memory_advice(spec, run.relief), torch.random.fork_rng(devices=devices):
        torch.manual_seed(spec.seed)
        try:
            return run.to_end(_source(spec, catalog), cache_dir or default_cache(), resume_from, held)
        except Stopped:
            return run.result(stopped=True)


class _Run:
    """One run: what must be known when it ends, early or not."""

    def __init__(
        self,
        spec: JobSpec,
        output_dir: Path,
        emit: Callable[[Emitted], None],
        check_stop: StopCheck,
        device: torch.device,
        *,
        forked: bool,
    ) -> None:
        self.spec = spec
        self.output_dir = output_dir
        self.emit = emit
        self.check_stop = check_stop
        self.device = device
        self.memory = PeakMemory(device, forked=forked)
        self.progress = Progress()
        self.forecast: Forecast | None = None
        self.checkpoints: CheckpointFolder | None = None

    def to_end(
        self, source: ModelSource, cache_dir: Path, resume_from: Path | None, held: HeldModel | None
    ) -> TrainResult:
        """Load, train and save."""
        self.check_stop()
        checkpoint = Checkpoint(resume_from) if resume_from else None
        rows = load_rows(self.spec)
        dtype = pick_dtype(self.spec, self.device)
        identity = fingerprint(self.spec, rows, device=self.device, dtype=dtype)
        # What was told when the run began is not told again when it goes on.
        resumption = self._resume(checkpoint, identity) if checkpoint else None
        self.forecast = forecast = Forecast(self.spec, source, cache_dir=cache_dir, device=self.device)
        base = self._base(source, cache_dir, dtype, held)
        self.check_stop()
        messages = _template_messages(base.tokenizer)
        model = add_adapters(base.model, self.spec.adapter, seed=stream_seed(self.spec.seed, "adapter"))
        task = make_task(rows, self.spec, model, base.tokenizer, folder=self.output_dir)
        examples = task.examples
        comparison = make_comparison(self.spec, base, model, rows, check_stop=self.check_stop, emit=self.emit)
        forecast.see(examples)
        self.check_stop()
        with StepTable(self.output_dir, earlier=checkpoint.steps_csv if checkpoint else None) as table:
            total = total_steps(self.spec, len(examples.training))
            kept = forecast.kept(len(decoder_layers(model)[1]))
            state, stepper = self._make_state(model, base, task, total, kept)
            self.checkpoints = CheckpointFolder(self.output_dir, identity, state, table)
            if checkpoint:
                checkpoint.restore(state)
            messages += examples.messages + forecast.messages(kept)
            self._tell_start(state, examples, total, resumption or messages)
            loop = Loop(
                self.spec,
                state,
                stepper,
                judge=make_judge(self.spec, state, task, total=total, check_stop=self.check_stop),
                progress=self.progress,
                table=table,
                checkpoints=self.checkpoints,
                memory=self.memory,
                emit=self.emit,
                check_stop=self.check_stop,
            )
            loop.to_end(examples.training, total)
            if (news := take_best(state, self.progress.standing, self.progress.steps)) is not None:
                self.emit(news)
            compared = comparison.run(self.output_dir) if comparison else None
            with storing("the trained adapter", then="resume from the last checkpoint"):
                settled = task.objective.settled
                self._save(state, base.source, dtype, forecast, settled, compared, data_facts(identity, rows))
            table.finish()
        with storing("the model card", then="resume from the last checkpoint"):
            write_card(self.output_dir / ADAPTER_DIR, read_run(self.output_dir), base.source)
        return replace(self.result(stopped=False), samples=SAMPLES if comparison else None)

    def _base(
        self, source: ModelSource, cache_dir: Path, dtype: torch.dtype, held: HeldModel | None
    ) -> BaseModel:
        """Return the base model: the one held, if it is this one, else loaded now."""
        taken = held.take(source, cache_dir=cache_dir, dtype=dtype, device=self.device) if held else None
        if taken is None:
            return load_base_model(source, cache_dir=cache_dir, dtype=dtype, device=self.device)
        base, before_bytes = taken
        self.memory.count_from(before_bytes)
        return base

    def _resume(self, checkpoint: Checkpoint, identity: Fingerprint) -> list[Message]:
        """Take up the counters of a checkpoint that is of this run; return what to tell."""
        change = checkpoint.check(identity)
        self.progress = checkpoint.progress
        step = self.progress.steps
        messages = [Message(f"Resumed after step {step}", data={"step": step})]
        if change:
            messages.append(Message(f"Resumed {change}", "warn", {"step": step}))
        return messages

    def _make_state(
        self,
        model: PeftModel,
        base: BaseModel,
        task: Task[ItemT, BatchT],
        total: int,
        kept: KeptLayers | None,
    ) -> tuple[TrainingState, Stepper[ItemT, BatchT]]:
        spec = self.spec
        layers = adapter_layers(model)
        seed = stream_seed(spec.seed, "layers")
        ist = IST(model, spec.ist, total_steps=total, seed=seed) if spec.ist else None
        stepper = Stepper(
            model,
            layers,
            spec,
            ist=ist,
            objective=task.objective,
            probe=task.examples.probe,
            total_steps=total,
            rows=len(task.examples.training),
            kept=kept,
            check_stop=self.check_stop,
        )
        return TrainingState(model, base.tokenizer, layers, stepper.optimizer, ist, self.device), stepper

    def _tell_start(
        self, state: TrainingState, examples: Examples[ItemT], total: int, messages: list[Message]
    ) -> None:
        self.emit(
            Started(
                total_steps=total,
                layers=len(state.layers),
                examples=len(examples.training),
                trainable_parameters=sum(p.numel() for layer in state.layers for p in layer.parameters),
                total_parameters=sum(p.numel() for p in state.model.parameters()),
                device=device_name(self.device),
            )
        )
        for message in messages:
            self.emit(message)

    def relief(self) -> str | None:
        """Say what to change when memory runs out, if the planner knows."""
        return self.forecast.relief() if self.forecast else None

    def _save(
        self,
        state: TrainingState,
        source: ModelSource,
        dtype: torch.dtype,
        forecast: Forecast,
        settled: Settled | None,
        compared: Compared | None,
        data: dict[str, JsonValue],
    ) -> None:
        save_adapter(state.model, state.tokenizer, self.output_dir)
        report = report_of(
            self.spec,
            state,
            self.progress,
            self.memory,
            forecast,
            model=source.name,
            dtype=dtype,
            peak_bytes=self._peak_bytes(),
            settled=settled,
            compared=compared,
            data=data,
        )
        write_report(report, self.output_dir)

    def _peak_bytes(self) -> int:
        return max(self.progress.peak_memory_bytes, self.memory.peak_bytes())

    def result(self, *, stopped: bool) -> TrainResult:
        """Return what the run did so far."""
        return TrainResult(
            stopped=stopped,
            steps=self.progress.steps,
            trained_tokens=self.progress.trained_tokens,
            final_loss=self.progress.loss,
            train_seconds=self.progress.seconds,
            peak_memory_bytes=self._peak_bytes(),
            adapter_dir=ADAPTER_DIR,
            report=REPORT,
            steps_csv=STEPS_CSV,
            checkpoint=self.checkpoints.newest if self.checkpoints else None,
        )


def _template_messages(tokenizer: PreTrainedTokenizerBase) -> list[Message]:
    """Give the tokenizer a chat template if it has none, and say so."""
    if not ensure_template(tokenizer):
        return []
    return [Message("The model has no chat template, so conversations are written as ChatML", "warn")]


def _source(spec: JobSpec, catalog: Catalog | None) -> ModelSource:
    return catalog.resolve(spec.model) if catalog else resolve_path_or_name(spec.model, Catalog())
