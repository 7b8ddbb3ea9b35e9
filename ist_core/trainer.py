"""Runs one job from its spec to its artifacts: the engine's main entry."""

from __future__ import annotations

import math
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from peft import PeftModel

from ist_core.adapters import add_adapters
from ist_core.artifacts import ADAPTER_DIR, REPORT, STEPS_CSV, StepTable, save_adapter, versions, write_report
from ist_core.batches import epoch_order
from ist_core.catalog import Catalog, ModelSource, resolve_path_or_name
from ist_core.device import device_name, pick_device, pick_dtype
from ist_core.encoding import Example, ensure_template
from ist_core.errors import MemoryExhausted
from ist_core.examples import Examples, encode_rows, load_rows
from ist_core.ist import IST, IstRecord, adapter_layers
from ist_core.memory import PeakMemory
from ist_core.models import BaseModel, load_base_model
from ist_core.records import Emitted, JsonValue, Message, Started, StepRecord, TrainResult
from ist_core.seeds import stream_seed
from ist_core.spec import JobSpec
from ist_core.stepper import StepOutcome, Stepper
from ist_core.stopping import StopCheck, Stopped


def train(
    spec: JobSpec,
    *,
    output_dir: Path,
    emit: Callable[[Emitted], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
    catalog: Catalog | None = None,
    cache_dir: Path | None = None,
) -> TrainResult:
    """Train what `spec` says and save it in `output_dir` (made if need be).

    Args:
        emit: called in this thread with `Started`, then a `StepRecord` a step, and `Message`s in between.
        should_stop: asked often; True ends the run at once, cleanly, with nothing saved.
        catalog: what `spec.model` may name. None: a local path, or a name the default catalog knows.
        cache_dir: where converted GGUF models are kept. None: `isthmus/models` in the user's cache folder.

    Raises:
        EngineError: for everything a user can mend; see `ist_core.errors`.
    """
    output_dir.mkdir(parents=True, exist_ok=True)
    device = pick_device()
    run = _Run(spec, output_dir, emit, StopCheck(should_stop), device)
    devices = [device] if device.type == "cuda" else []
    with _memory_advice(spec), torch.random.fork_rng(devices=devices):
        torch.manual_seed(spec.seed)
        try:
            return run.to_end(_source(spec, catalog), cache_dir or default_cache())
        except Stopped:
            return run.result(stopped=True)


class _Run:
    """One run's progress: what must be known when it ends, early or not."""

    def __init__(
        self,
        spec: JobSpec,
        output_dir: Path,
        emit: Callable[[Emitted], None],
        check_stop: StopCheck,
        device: torch.device,
    ) -> None:
        self.spec = spec
        self.output_dir = output_dir
        self.emit = emit
        self.check_stop = check_stop
        self.device = device
        self.memory = PeakMemory(device)
        self.steps = 0
        self.trained_tokens = 0
        self.loss = math.nan
        self.seconds = 0.0
        self.probe_seconds = 0.0
        self.updates: Counter[int] = Counter()

    def to_end(self, source: ModelSource, cache_dir: Path) -> TrainResult:
        """Load, train and save."""
        self.check_stop()
        rows = load_rows(self.spec)
        dtype = pick_dtype(self.spec, self.device)
        base = load_base_model(source, cache_dir=cache_dir, dtype=dtype, device=self.device)
        self.check_stop()
        if ensure_template(base.tokenizer):
            self.emit(
                Message("The model has no chat template, so conversations are written as ChatML", "warn")
            )
        examples = encode_rows(rows, self.spec, base.tokenizer)
        self.check_stop()
        model = add_adapters(base.model, self.spec.adapter, seed=stream_seed(self.spec.seed, "adapter"))
        with StepTable(self.output_dir) as table:
            importance = self._train(model, base, examples, table)
            self._save(model, base, importance, dtype)
            table.finish()
        return self.result(stopped=False)

    def _train(
        self, model: PeftModel, base: BaseModel, examples: Examples, table: StepTable
    ) -> tuple[float, ...]:
        spec = self.spec
        layers = adapter_layers(model)
        total = _total_steps(spec, len(examples.training))
        seed = stream_seed(spec.seed, "layers")
        ist = IST(model, spec.ist, total_steps=total, seed=seed) if spec.ist else None
        stepper = Stepper(
            model,
            layers,
            spec,
            ist=ist,
            probe=examples.probe,
            total_steps=total,
            pad=base.tokenizer.pad_token_id,
            device=self.device,
            check_stop=self.check_stop,
        )
        self.emit(
            Started(
                total_steps=total,
                layers=len(layers),
                examples=len(examples.training),
                trainable_parameters=sum(p.numel() for layer in layers for p in layer.parameters),
                total_parameters=sum(p.numel() for p in model.parameters()),
                device=device_name(self.device),
            )
        )
        for message in examples.messages:
            self.emit(message)
        steps_per_epoch = math.ceil(len(examples.training) / spec.batch_size)
        begin = time.perf_counter()
        for step, batch in enumerate(_batches(examples.training, spec, total)):
            self.check_stop()
            start = time.perf_counter()
            outcome = stepper.step(step, batch)
            self.seconds = time.perf_counter() - begin
            record = self._record(outcome, len(layers), time.perf_counter() - start, steps_per_epoch)
            table.write(record)
            self.emit(record)
            if ist and self.steps == ist.warmup_steps < total:
                text = (
                    f"Warm-up ends: from now on {ist.update_count} of {len(layers)} layers are updated a step"
                )
                self.emit(Message(text, data={"step": self.steps}))
        return ist.importance if ist else (0.0,) * len(layers)

    def _record(self, outcome: StepOutcome, layers: int, seconds: float, steps_per_epoch: int) -> StepRecord:
        self.steps += 1
        self.trained_tokens += outcome.tokens
        self.loss = outcome.loss
        told = outcome.ist
        active = told.active if told else tuple(range(layers))
        self.updates.update(active)
        metrics = {
            "loss": outcome.loss,
            "learning_rate": outcome.learning_rate,
            "grad_norm": outcome.grad_norm,
            "epoch": self.steps / steps_per_epoch,
            "tokens": float(outcome.tokens),
            "trained_tokens": float(self.trained_tokens),
            "tokens_per_second": outcome.tokens / seconds,
            "step_seconds": seconds,
            "memory_bytes": float(self.memory.peak_bytes()),
            **ist_metrics(told, layers),
        }
        self.probe_seconds += metrics["probe_seconds"]
        scores = told.scores if told else (0.0,) * layers
        chances = told.probabilities if told else (1.0,) * layers
        return StepRecord(self.steps, time.time(), metrics, scores, active, chances)

    def _save(
        self, model: PeftModel, base: BaseModel, importance: tuple[float, ...], dtype: torch.dtype
    ) -> None:
        save_adapter(model, base.tokenizer, self.output_dir)
        report: dict[str, JsonValue] = {
            "spec": self.spec.model_dump(mode="json"),
            "model": base.source.name,
            "device": device_name(self.device),
            "precision": str(dtype).removeprefix("torch."),
            "steps": self.steps,
            "trained_tokens": self.trained_tokens,
            "final_loss": self.loss,
            "train_seconds": self.seconds,
            "probe_seconds": self.probe_seconds,
            "tokens_per_second": self.trained_tokens / self.seconds,
            "peak_memory_bytes": self.memory.peak_bytes(),
            "peak_memory_kind": self.memory.kind,
            "importance": list(importance),
            "layer_updates": [self.updates[layer] for layer in range(len(importance))],
            "versions": versions(),
        }
        write_report(report, self.output_dir)

    def result(self, *, stopped: bool) -> TrainResult:
        """Return what the run did so far."""
        return TrainResult(
            stopped=stopped,
            steps=self.steps,
            trained_tokens=self.trained_tokens,
            final_loss=self.loss,
            train_seconds=self.seconds,
            peak_memory_bytes=self.memory.peak_bytes(),
            adapter_dir=ADAPTER_DIR,
            report=REPORT,
            steps_csv=STEPS_CSV,
        )


def ist_metrics(told: IstRecord | None, layers: int) -> dict[str, float]:
    """Return what a step record says of IST; without IST every layer is updated in every step."""
    if told is None:
        whole = {"entropy": 1.0, "backward_depth": float(layers)}
        return {"ist_seconds": 0.0, "probe_seconds": 0.0, "ist_bytes": 0.0, **whole}
    metrics = {
        "ist_seconds": told.seconds,
        "probe_seconds": told.probe_seconds,
        "ist_bytes": float(told.bytes),
        "entropy": told.entropy,
        "backward_depth": float(told.backward_depth),
    }
    if told.probe and told.probe.losses:
        metrics["probe_loss"] = sum(told.probe.losses) / len(told.probe.losses)
    return metrics


def _source(spec: JobSpec, catalog: Catalog | None) -> ModelSource:
    return catalog.resolve(spec.model) if catalog else resolve_path_or_name(spec.model, Catalog())


def default_cache() -> Path:
    """Return where converted models are kept when nobody says where."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "isthmus" / "models"


def _total_steps(spec: JobSpec, examples: int) -> int:
    steps = spec.n_epochs * math.ceil(examples / spec.batch_size)
    return min(steps, spec.max_steps) if spec.max_steps else steps


def _batches(examples: list[Example], spec: JobSpec, total_steps: int) -> Iterator[list[Example]]:
    """Yield the examples of each step, epoch after epoch."""
    lengths = [len(example.tokens) for example in examples]
    made = 0
    for epoch in range(spec.n_epochs):
        for batch in epoch_order(lengths, batch_size=spec.batch_size, seed=spec.seed, epoch=epoch):
            if made == total_steps:
                return
            made += 1
            yield [examples[index] for index in batch]


@contextmanager
def _memory_advice(spec: JobSpec) -> Iterator[None]:
    """Turn every way of running out of memory into `MemoryExhausted`, with what to lower."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        # torch's CPU allocator raises a bare RuntimeError.
        cpu = "can't allocate memory" in str(error) or "not enough memory" in str(error)
        if not (isinstance(error, MemoryError | torch.OutOfMemoryError) or cpu):
            raise
        size = spec.micro_batch_size or spec.batch_size
        smaller = (
            f"set micro_batch_size to {size // 2}" if size > 1 else f"lower max_length ({spec.max_length})"
        )
        raise MemoryExhausted(f"the device ran out of memory; {smaller}", param="micro_batch_size") from error
