"""What the API may load costs no torch."""

import os
import subprocess
import sys

import pytest

from tests.loaded import engine_loaded_by


@pytest.mark.parametrize(
    "module",
    [
        "ist_core",
        "ist_core.spec",
        "ist_core.catalog",
        "ist_core.export",
        "ist_core.card",
        "isthmus.dataset.formats",
    ],
)
def test_no_torch_is_loaded(module: str) -> None:
    assert engine_loaded_by(module) == "[]"


@pytest.mark.parametrize(("given", "expected"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_threads_do_not_spin_unless_asked(given: str | None, expected: str) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "OMP_WAIT_POLICY"}
    if given:
        environment["OMP_WAIT_POLICY"] = given
    code = "import os, ist_core; print(os.environ['OMP_WAIT_POLICY'])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60, env=environment
    )
    assert done.stdout.strip() == expected
