"""Bfloat16 products, by what Linux tells of a processor."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ist_core import processor
from ist_core.processor import has_bfloat16, tells_bfloat16

EPYC = """processor\t: 0
model name\t: AMD EPYC 9654
flags\t\t: fpu sse2 avx2 avx512f avx512_bf16 avx512vbmi
bugs\t\t: sysret_ss_attrs

"""
XEON = "processor\t: 0\nflags\t\t: fpu avx512f amx_bf16 amx_tile\n\n"
OLDER = "processor\t: 1\nmodel name\t: bf16 is no flag here\nflags\t\t: fpu avx2 avx512f avx512_vnni\n\n"
GRAVITON = (
    "processor\t: 0\nBogoMIPS\t: 2100.00\nFeatures\t: fp asimd svebf16 i8mm bf16 dgh\nCPU part\t: 0xd40\n\n"
)
RASPBERRY = "processor\t: 0\nFeatures\t: fp asimd evtstrm crc32 cpuid\n\n"


@pytest.mark.parametrize(
    ("cpuinfo", "expected"),
    [
        (EPYC, True),
        (XEON, True),
        (GRAVITON, True),
        (OLDER, False),
        (RASPBERRY, False),
        (EPYC + EPYC, True),
        (EPYC + OLDER, False),
        ("", False),
        ("processor\t: 0\nisa\t\t: rv64imafdc\n", False),
    ],
    ids=["AVX-512", "AMX", "ARM", "older x86", "older ARM", "two", "two kinds", "nothing", "no list"],
)
def test_all_processors_must_have_it(cpuinfo: str, expected: bool) -> None:
    assert tells_bfloat16(cpuinfo) is expected


@pytest.fixture
def cpuinfo(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """Where the system is asked, as if nobody had asked yet; there is no such file."""
    monkeypatch.setattr(processor, "_CPUINFO", tmp_path / "cpuinfo")
    has_bfloat16.cache_clear()
    yield tmp_path / "cpuinfo"
    has_bfloat16.cache_clear()


def test_a_system_that_does_not_tell_has_none(cpuinfo: Path) -> None:
    assert not cpuinfo.exists()
    assert has_bfloat16() is False


def test_the_system_is_asked_once(cpuinfo: Path) -> None:
    cpuinfo.write_text(EPYC)
    assert has_bfloat16() is True
    cpuinfo.write_text(OLDER)
    assert has_bfloat16() is True
