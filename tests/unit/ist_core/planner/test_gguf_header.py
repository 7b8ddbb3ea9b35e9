"""GGUF headers, against the gguf package."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from gguf import GGUFReader, GGUFWriter
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ist_core.catalog import SMOLLM2, Catalog, ModelSource
from ist_core.errors import ModelError
from ist_core.planner.config import read_config
from ist_core.planner.families import shape_of
from ist_core.planner.gguf_header import read_gguf_header

SHAPE = {
    "embedding_length": 32,
    "feed_forward_length": 48,
    "block_count": 2,
    "attention.head_count": 4,
    "attention.head_count_kv": 2,
    "context_length": 64,
}


def write(path: Path, *, architecture: str = "llama", tied: bool = True) -> Path:
    """Write a small GGUF file with every kind of value."""
    writer = GGUFWriter(path, architecture)
    writer.add_string("general.name", "tiny é")
    for key, value in SHAPE.items():
        writer.add_uint32(f"{architecture}.{key}", value)
    writer.add_float32("a.float", 0.5)
    writer.add_bool("a.flag", True)
    writer.add_int64("a.number", -3)
    writer.add_array("tokenizer.ggml.tokens", ["a", "bc", ""] * 5)
    writer.add_array("a.numbers", [1, 2, 3])
    writer.add_tensor("token_embd.weight", np.zeros((15, 32), dtype=np.float32))
    if not tied:
        writer.add_tensor("output.weight", np.zeros((15, 32), dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_the_header_is_what_the_package_reads(tmp_path: Path) -> None:
    path = write(tmp_path / "tiny.gguf", tied=False)
    header, reader = read_gguf_header(path), GGUFReader(path)
    scalars = {
        name: field.contents()
        for name, field in reader.fields.items()
        if not name.startswith("GGUF.") and not isinstance(field.contents(), list)
    }
    assert header.metadata == scalars
    assert header.lengths == {"tokenizer.ggml.tokens": 15, "a.numbers": 3}
    assert header.tensors == {tensor.name: tuple(tensor.shape.tolist()) for tensor in reader.tensors}
    assert header.parameters == 2 * 15 * 32


@pytest.mark.parametrize("tied", [True, False])
def test_a_gguf_file_has_a_shape(tmp_path: Path, tied: bool) -> None:
    path = write(tmp_path / "tiny.gguf", tied=tied)
    shape = shape_of(read_config(ModelSource("gguf", "tiny", str(path))))
    assert (shape.family, shape.hidden, shape.layers, shape.vocabulary) == ("llama", 32, 2, 15)
    assert (shape.heads, shape.kv_heads, shape.head_dim, shape.context) == (4, 2, 8, 64)
    assert shape.outer == (1 if tied else 2) * 15 * 32 + 32


def test_a_family_that_is_not_planned_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "tiny.gguf", architecture="mamba")
    with pytest.raises(ModelError, match="family 'mamba'"):
        read_config(ModelSource("gguf", "tiny", str(path)))


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"GGML" + bytes(30), "no GGUF file"),
        (b"GGUF" + struct.pack("<IQQ", 1, 0, 0), "no GGUF file of version 2 or 3"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1), "damaged"),
        (b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 2**60), "damaged"),
        (b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1) + b"k" + struct.pack("<I", 99), "damaged"),
        (b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1) + b"\xff" + struct.pack("<IB", 0, 1), "damaged"),
        (b"GGUF" + struct.pack("<IQQQ", 3, 1, 0, 1) + b"t" + struct.pack("<I", 10**9), "damaged"),
        (b"", "damaged"),
    ],
)  # fmt: skip
def test_a_damaged_file_is_refused(tmp_path: Path, data: bytes, says: str) -> None:
    path = tmp_path / "broken.gguf"
    path.write_bytes(data)
    with pytest.raises(ModelError, match=says):
        read_gguf_header(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"none\.gguf cannot be read: No such file"):
        read_gguf_header(tmp_path / "none.gguf")


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(0, 600), at=st.integers(4, 600), byte=st.integers(0, 255))
def test_any_damage_is_refused_or_read(tmp_path: Path, cut: int, at: int, byte: int) -> None:
    whole = write(tmp_path / "tiny.gguf").read_bytes()
    data = bytearray(whole[: len(whole) - cut])
    data[at] = byte
    path = tmp_path / "damaged.gguf"
    path.write_bytes(data)
    try:
        read_gguf_header(path)
    except ModelError as error:
        assert "damaged.gguf" in error.message  # noqa: PT017  # either way is right, a crash is not


@pytest.mark.smollm2
def test_smollm2_is_counted_exactly() -> None:
    source = Catalog().resolve(SMOLLM2)
    header = read_gguf_header(Path(source.location))
    assert shape_of(read_config(source)).parameters == header.parameters == 134_515_008
