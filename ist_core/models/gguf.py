"""Converts a GGUF file, once, to a plain transformers folder with dequantised float32 weights."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils.quantization_config import GgufConfig

from ist_core.errors import ModelError
from ist_core.gguf_cache import converted_folder
from ist_core.models.quiet import no_progress_bars


def convert_gguf(path: Path, cache_dir: Path) -> Path:
    """Return the folder under `cache_dir` that holds `path` converted, converting it if need be.

    The folder appears whole or not at all, also with several processes at work: each converts into a
    folder of its own, and the first to rename it wins. Its key is the file's name, size and change time.

    Raises:
        ModelError: if the file is missing or no GGUF file that transformers can read.
    """
    try:
        target = converted_folder(path, cache_dir)
    except OSError as error:
        raise ModelError(f"the GGUF file {path.name} cannot be read: {error.strerror}") from error
    if target.is_dir():
        return target
    cache_dir.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{path.stem}-", dir=cache_dir))
    try:
        _write_plain(path, work)
        work.rename(target)
    except OSError:
        if not target.is_dir():
            raise
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return target


def read_gguf(path: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a GGUF file, dequantised to float32.

    Raises:
        ModelError: if it is no GGUF file that transformers can read.
    """
    try:
        with no_progress_bars():
            tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
            model = AutoModelForCausalLM.from_pretrained(
                path.parent,
                gguf_file=path.name,
                dtype=torch.float32,
                quantization_config=GgufConfig(gguf_file=path.name, dequantize=True),
            )
    except (ValueError, KeyError, RuntimeError, IndexError) as error:
        raise ModelError(f"the GGUF file {path.name} cannot be converted: {error}") from error
    return model, tokenizer


def _write_plain(path: Path, folder: Path) -> None:
    model, tokenizer = read_gguf(path)
    with no_progress_bars():
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
