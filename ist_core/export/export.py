"""Exports a trained model: write, load again from the files, compare, and only then show the folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ist_core.artifacts import versions
from ist_core.catalog import ModelSource
from ist_core.device import pick_device
from ist_core.errors import ExportError
from ist_core.export.check import ask, compare
from ist_core.export.manifest import (
    MANIFEST,
    Check,
    ExportFormat,
    Manifest,
    Origin,
    WeightType,
    list_files,
)
from ist_core.export.merged import merged_bytes, read_merged, write_merged
from ist_core.export.prompts import check_prompts, encode_prompts
from ist_core.export.room import check_room
from ist_core.export.trained import load_trained, weight_type
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
) -> Manifest:
    """Export the base model with its adapter to `output_dir`, which appears whole and checked or not at all.

    Args:
        adapter: a local PEFT adapter folder.
        output_dir: an old folder of this name is replaced.
        cache_dir: where converted GGUF models are kept.
        progress: called with a line for a person; what it raises ends the export, and leaves nothing. So does
            an exception from a signal handler.
        weights: how `merged` stores its weights; the other formats have their own way.

    Memory: 4 bytes a parameter, for one model at a time (the trained one is gone when the export is loaded),
    and once more its largest tensor; the logits of the check take about 1 kB a word of the vocabulary.

    Raises:
        ExportError: the export is not what was trained (`export_check_failed`).
        ExportUnsupported: the format cannot hold this model or adapter (`export_unsupported`).
        StorageError: there is no room on the disk.
        EngineError: base model or adapter cannot be read.
    """
    export = _Export(source, adapter, format, weights, cache_dir, progress)
    with storing("the export", then="export again"), whole_folder(output_dir) as folder:
        manifest = export.fill(folder)
        (folder / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return manifest


@dataclass(frozen=True, slots=True)
class _Trained:
    """What is known of the trained model when it is gone."""

    origin: Origin
    prompts: list[str]
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
    cache_dir: Path
    progress: Callable[[str], None]

    def fill(self, folder: Path) -> Manifest:
        """Write the export into `folder` and check it; the manifest is not yet among its files."""
        device = pick_device()
        trained = self._write(folder, device)
        check = self._check(folder, trained, device)
        if check.verdict == "failed":
            raise ExportError(_failure(check, self.format))
        self.progress("The export answers as the trained model does")
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
        self.progress(f"Loading {self.source.name} with its adapter")
        trained = load_trained(self.source, self.adapter, cache_dir=self.cache_dir, device=device)
        dtype = weight_type(self.weights, trained.stored)
        base = trained.model.get_base_model()
        check_room(folder, merged_bytes(base, dtype))
        self.progress("Asking the trained model")
        prompts = check_prompts(trained.tokenizer)
        tokens = encode_prompts(trained.tokenizer, prompts)
        logits = ask(trained.model, tokens, device)
        self.progress("Merging the adapter")
        model = trained.merged()
        self.progress("Writing the weights")
        write_merged(model, trained.tokenizer, folder, dtype=dtype)
        name = str(dtype).removeprefix("torch.")
        return _Trained(trained.origin, prompts, tokens, logits, model.num_parameters(), name)

    def _check(self, folder: Path, trained: _Trained, device: torch.device) -> Check:
        self.progress("Loading the export from its files")
        try:
            model, tokenizer = read_merged(folder)
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise ExportError(f"the {self.format} export cannot be loaded again: {error}") from error
        self.progress("Asking the exported model")
        nn.Module.eval(nn.Module.to(model, device))
        return compare(
            trained.logits,
            ask(model, trained.tokens, device),
            prompts=trained.prompts,
            tokens_agree=encode_prompts(tokenizer, trained.prompts) == trained.tokens,
            weights=trained.weights,
        )


def _failure(check: Check, format: ExportFormat) -> str:  # noqa: A002  # the same
    """Say how far off a failed export is."""
    if not check.tokens_agree:
        return f"the {format} export is wrong: its tokenizer makes other tokens than the trained model's"
    limits, spread = check.tolerance, check.spread
    return (
        f"the {format} export is wrong: its logits differ by up to {check.largest_difference:.3g} "
        f"({check.mean_difference:.3g} on average, allowed {limits.largest * spread:.3g} and "
        f"{limits.mean * spread:.3g}), and it agrees on {check.top1_agreement:.1%} of the next tokens "
        f"(at least {limits.top1:.0%}); nothing was kept. Export again; if it fails again, use another format"
    )
