"""Exports a trained model: write, load again from the files, compare, and only then show the folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ist_core.artifacts import versions
from ist_core.base_facts import base_facts
from ist_core.card import Names, Verdict, read_run, write_card
from ist_core.catalog import ModelSource
from ist_core.device import pick_device
from ist_core.errors import ExportError, MemoryExhausted
from ist_core.export.check import ask, compare
from ist_core.export.gguf_file import read_back, write_gguf
from ist_core.export.gguf_layout import architecture_of
from ist_core.export.manifest import (
    MANIFEST,
    Check,
    ExportFormat,
    Manifest,
    Origin,
    WeightType,
    list_files,
)
from ist_core.export.merged import read_merged, write_merged
from ist_core.export.prompts import check_prompts, encode_prompts, window_of
from ist_core.export.room import check_room
from ist_core.export.trained import load_trained
from ist_core.gguf_cache import needs_conversion
from ist_core.memory import is_lack_of_memory
from ist_core.planner.gguf_header import read_gguf_header
from ist_core.storage import storing
from ist_core.whole_folder import whole_folder


def export_model(
    source: ModelSource,
    adapter: Path,
    format: ExportFormat,  # noqa: A002  # the word that users know
    output_dir: Path,
    *,
    cache_dir: Path,
    progress: Callable[[str], None] = lambda _: None,
    weights: WeightType = "base",
    name: str | None = None,
    run: Path | None = None,
    names: Names | None = None,
) -> Manifest:
    """Export the base model with its adapter to `output_dir`, which appears whole and checked or not at all.

    Args:
        adapter: a local PEFT adapter folder.
        output_dir: an old folder of this name is replaced.
        cache_dir: where converted GGUF models are kept.
        progress: called with a line for a person; what it raises ends the export, and leaves nothing. So does
            an exception from a signal handler.
        weights: how `merged` stores its weights; the other formats have their own way.
        name: what the model is called in a GGUF file and by its name; None: the base model's name.
        run: a folder with `report.json` and `steps.csv` of the run that trained it; the export gets a model
            card of them. None: it gets none.
        names: what else the card shall say.

    Memory: 4 bytes a parameter, for one model at a time (the trained one is gone when the export is loaded),
    and once more its largest tensor; the logits of the check take about 1 kB a word of the vocabulary.

    Raises:
        ExportError: the export is not what was trained (`export_check_failed`).
        ExportUnsupported: the format cannot hold this model or adapter (`export_unsupported`).
        StorageError: there is no room on the disk.
        EngineError: base model or adapter cannot be read.
    """
    export = _Export(source, adapter, format, weights, name or source.name, cache_dir, progress, run, names)
    try:
        with storing("the export", then="export again"), whole_folder(output_dir) as folder:
            manifest = export.fill(folder)
            (folder / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
    except (MemoryError, RuntimeError) as error:
        if not is_lack_of_memory(error):
            raise
        raise MemoryExhausted(
            "memory ran out; an export needs 4 bytes for each parameter of the model, and some for one tensor"
        ) from error
    return manifest


@dataclass(frozen=True, slots=True)
class _Trained:
    """What is known of the trained model when it is gone."""

    origin: Origin
    prompts: list[str]
    window: int
    tokens: list[list[int]]
    logits: list[Tensor]
    parameters: int
    weights: str


@dataclass(frozen=True, slots=True)
class _Export:
    source: ModelSource
    adapter: Path
    format: ExportFormat
    weights: WeightType
    name: str
    cache_dir: Path
    progress: Callable[[str], None]
    run: Path | None
    names: Names | None

    def fill(self, folder: Path) -> Manifest:
        """Write the export into `folder` and check it; the manifest is not yet among its files."""
        device = pick_device()
        trained = self._write(folder, device)
        check = self._check(folder, trained, device)
        if check.verdict == "failed":
            raise ExportError(_failure(check, self.format))
        self.progress("The export answers as the trained model does")
        self._write_card(folder, check)
        return Manifest(
            format=self.format,
            weights=trained.weights,
            parameters=trained.parameters,
            origin=trained.origin,
            files=list_files(folder),
            check=check,
            versions={name: str(found) for name, found in versions().items()},
        )

    def _write(self, folder: Path, device: torch.device) -> _Trained:
        """Ask the trained model, and write it; it is gone when this returns."""
        self._check_conversion_room()
        self.progress(f"Loading {self.source.name} with its adapter")
        trained = load_trained(self.source, self.adapter, cache_dir=self.cache_dir, device=device)
        if self.format != "merged":
            architecture_of(trained.config)
        weights = self._weights(trained.stored)
        check_room(folder, trained.parameters, weights)
        self.progress("Asking the trained model")
        prompts = check_prompts(trained.tokenizer)
        window = window_of(trained.config)
        tokens = encode_prompts(trained.tokenizer, prompts, window=window)
        logits = ask(trained.model, tokens, device)
        self.progress("Merging the adapter")
        model = trained.merged()
        self.progress("Writing the weights")
        if self.format == "merged":
            write_merged(model, trained.tokenizer, folder, weights=weights)
        else:
            write_gguf(
                model,
                trained.tokenizer,
                folder,
                weights=weights,
                name=self.name,
                base=base_facts(self.source),
                progress=self.progress,
            )
        return _Trained(trained.origin, prompts, window, tokens, logits, trained.parameters, weights)

    def _check(self, folder: Path, trained: _Trained, device: torch.device) -> Check:
        """Load what was written, and compare its answers."""
        self.progress("Loading the export from its files")
        try:
            model, tokenizer = self._read(folder)
        except Exception as error:  # tokenizers raises nothing narrower
            if is_lack_of_memory(error):
                raise
            raise ExportError(f"the {self.format} export cannot be loaded again: {error}") from error
        self.progress("Asking the exported model")
        nn.Module.eval(nn.Module.to(model, device))
        logits = ask(model, trained.tokens, device)
        if not all(answer.isfinite().all() for answer in logits):
            raise ExportError(
                f"the {self.format} export is wrong: its logits are not finite; nothing was kept"
            )
        own_tokens = encode_prompts(tokenizer, trained.prompts, window=trained.window)
        return compare(
            trained.logits,
            logits,
            prompts=trained.prompts,
            tokens_agree=own_tokens == trained.tokens,
            weights=trained.weights,
        )

    def _read(self, folder: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
        return read_merged(folder) if self.format == "merged" else read_back(next(folder.glob("*.gguf")))

    def _weights(self, stored: str) -> str:
        """Return how the weights are stored."""
        if self.format == "merged":
            return stored if self.weights == "base" else self.weights
        return {"gguf_f16": "float16", "gguf_q8_0": "q8_0"}[self.format]

    def _write_card(self, folder: Path, check: Check) -> None:
        if self.run is None:
            return
        names = self.names or Names()
        for path in folder.glob("*.gguf"):
            names = replace(names, file=path.name)
        verdict = Verdict(check.top1_agreement, check.mean_divergence)
        write_card(folder, read_run(self.run), self.source, form=self.format, names=names, verdict=verdict)

    def _check_conversion_room(self) -> None:
        if needs_conversion(self.source, self.cache_dir):
            header = read_gguf_header(Path(self.source.location))
            check_room(self.cache_dir, header.parameters, "float32")


def _failure(check: Check, format: ExportFormat) -> str:  # noqa: A002  # the same
    """Say how far off a failed export is."""
    if not check.tokens_agree:
        return f"the {format} export is wrong: its tokenizer makes other tokens than the trained model's"
    limits, spread = check.tolerance, check.spread
    return (
        f"the {format} export is wrong: its logits differ by up to {check.largest_difference:.3g} "
        f"({check.mean_difference:.3g} on average, allowed {limits.largest * spread:.3g} and "
        f"{limits.mean * spread:.3g}), its probabilities by {check.mean_divergence:.3g} nats (allowed "
        f"{limits.divergence:.3g}), and it agrees on {check.top1_agreement:.1%} of the next tokens (at least "
        f"{limits.top1:.0%}); nothing was kept. Export again; if it fails again, use another format"
    )
