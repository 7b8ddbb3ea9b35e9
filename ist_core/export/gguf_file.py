"""The GGUF formats: a merged Llama-family model in one file for llama.cpp, and that file read back."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import gguf
import torch
from gguf import GGMLQuantizationType as Kind
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ist_core.base_facts import BaseFacts
from ist_core.export.gguf_layout import (
    ROPE_FACTORS,
    PlacedTensor,
    add_numbers,
    architecture_of,
    place_tensors,
)
from ist_core.export.gguf_tokenizer import add_tokenizer
from ist_core.models.gguf import read_gguf
from ist_core.planner.gguf_header import read_gguf_header

_KINDS = {"float16": Kind.F16, "q8_0": Kind.Q8_0}
_FILE_TYPES = {Kind.F16: gguf.LlamaFileType.MOSTLY_F16, Kind.Q8_0: gguf.LlamaFileType.MOSTLY_Q8_0}
_TOLD_EVERY = 64
"""Tensors from one line of progress to the next."""


def write_gguf(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    folder: Path,
    *,
    weights: str,
    name: str,
    base: BaseFacts,
    progress: Callable[[str], None],
) -> Path:
    """Write one file into `folder`, tensor by tensor; return its path.

    Args:
        weights: how matrices are stored, float16 or q8_0; vectors are float32.
        name: what the model is called, in the file and by its name.

    Raises:
        ExportUnsupported: if GGUF cannot hold the model or its tokenizer.
    """
    architecture = architecture_of(model.config)
    kind = _KINDS[weights]
    path = folder / _file_name(name, kind)
    writer = gguf.GGUFWriter(path, gguf.MODEL_ARCH_NAMES[architecture])
    try:
        placed = list(place_tensors(model, kind))
        _add_description(writer, kind, name, base, model.num_parameters())
        add_numbers(writer, model.config)
        add_tokenizer(writer, tokenizer, size=model.config.vocab_size, rule=base.tokenizer_rule)
        _write(writer, placed, progress)
    finally:
        writer.close()
    return path


def read_back(path: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a written file through transformers, dequantised to float32, with its scaled positions.

    transformers 5.23 reads no scaling of positions from these files: it is set here, from the file.
    """
    model, tokenizer = read_gguf(path)
    header = read_gguf_header(path)
    metadata = header.metadata
    linear = metadata.get(f"{metadata['general.architecture']}.rope.scaling.factor")
    if linear is not None:
        _slow_down(model, torch.tensor(float(linear)))
    if ROPE_FACTORS in header.tensors:
        factors = next(tensor for tensor in gguf.GGUFReader(path).tensors if tensor.name == ROPE_FACTORS)
        _slow_down(model, torch.tensor(factors.data))
    return model, tokenizer


def _file_name(name: str, kind: Kind) -> str:
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "model"
    return f"{plain}-{kind.name}.gguf"


def _slow_down(model: PreTrainedModel, factors: torch.Tensor) -> None:
    """Divide the frequencies of the model's rotary positions."""
    buffers = [buffer for key, buffer in model.named_buffers() if key.endswith("rotary_emb.inv_freq")]
    for buffer in buffers:
        buffer.div_(factors.to(buffer))


def _add_description(
    writer: gguf.GGUFWriter, kind: Kind, name: str, base: BaseFacts, parameters: int
) -> None:
    writer.add_type(gguf.GGUFType.MODEL)
    writer.add_name(name)
    writer.add_size_label(gguf.size_label(parameters, parameters, 0, 0))
    if base.license:
        writer.add_license(base.license)
    writer.add_base_model_count(1)
    writer.add_base_model_name(0, base.name.rpartition("/")[2])
    if base.hub:
        writer.add_base_model_organization(0, base.name.partition("/")[0])
        writer.add_base_model_repo_url(0, f"https://huggingface.co/{base.name}")
    writer.add_tags(["isthmus", "text-generation"])
    writer.add_file_type(_FILE_TYPES[kind])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)


def _write(writer: gguf.GGUFWriter, placed: list[PlacedTensor], progress: Callable[[str], None]) -> None:
    """Write header, numbers and the list of tensors, then one tensor after the other."""
    for tensor in placed:
        writer.add_tensor_info(tensor.name, tensor.shape, tensor.dtype, tensor.bytes, raw_dtype=tensor.kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for count, tensor in enumerate(placed):
        if count % _TOLD_EVERY == 0:
            progress(f"Writing the weights: {count} of {len(placed)} tensors")
        writer.write_tensor_data(tensor.array())
