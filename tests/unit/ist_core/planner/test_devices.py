"""Devices by the names that people and torch give them."""

from __future__ import annotations

import pytest

from ist_core import processor
from ist_core.errors import UnknownDevice
from ist_core.planner.devices import GPUS, cpu, find_device, machine_memory


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("l4", "l4"),
        ("NVIDIA L4", "l4"),
        ("Tesla T4", "t4"),
        ("NVIDIA A10", "a10"),
        ("NVIDIA A100-SXM4-80GB", "a100-80gb"),
        ("NVIDIA A100-PCIE-40GB", "a100-40gb"),
        ("NVIDIA H100 80GB HBM3", "h100"),
        ("NVIDIA GeForce RTX 4090", "rtx-4090"),
        ("L40S", "l40s"),
        ("v100_32GB", "v100-32gb"),
    ],
)
def test_names(name: str, found: str) -> None:
    assert find_device(name) == GPUS[found]


def test_a_cpu_has_this_machines_memory_and_the_cores_that_are_named() -> None:
    assert find_device("CPU").memory_bytes == machine_memory() > 10**8
    assert find_device("cpu (3 threads)").cores == 3
    assert find_device("cpu (2 threads)").flops == 2 * cpu(cores=1).flops


@pytest.mark.parametrize(
    ("name", "says"), [("h10", "did you mean 'h100'"), ("tpu-v5", "known: cpu, t4"), ("", "known")]
)
def test_unknown_devices_are_refused(name: str, says: str) -> None:
    with pytest.raises(UnknownDevice, match=says) as error:
        find_device(name)
    assert (error.value.code, error.value.param) == ("unknown_device", "device")


def test_auto_precision_follows_the_device() -> None:
    plain, fast = cpu(cores=2, bfloat16=False), cpu(cores=2, bfloat16=True)
    assert find_device("t4").width("auto") == plain.width("auto") == 4
    assert find_device("l4").width("auto") == fast.width("auto") == 2
    assert find_device("l4").width("float32") == fast.width("float32") == 4
    assert plain.width("bfloat16") == 2


def test_bfloat16_is_faster_where_the_processor_multiplies_in_it() -> None:
    plain, fast = cpu(cores=2, bfloat16=False), cpu(cores=2, bfloat16=True)
    assert fast.rate("auto") == fast.rate("bfloat16") == 1.8 * plain.rate("auto")
    assert plain.rate("bfloat16") == plain.rate("auto") == fast.rate("float32")
    assert find_device("l4").rate("auto") == find_device("l4").bfloat16_flops


@pytest.mark.parametrize("has_it", [True, False])
def test_a_named_cpu_multiplies_as_this_machines_does(monkeypatch: pytest.MonkeyPatch, has_it: bool) -> None:
    monkeypatch.setattr(processor, "has_bfloat16", lambda: has_it)
    assert find_device("cpu").bfloat16 is find_device("cpu (3 threads)").bfloat16 is has_it
