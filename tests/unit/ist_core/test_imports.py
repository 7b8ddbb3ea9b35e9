"""What the API may load costs no torch."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["ist_core", "ist_core.spec", "ist_core.catalog", "ist_core.dataset"])
def test_no_torch_is_loaded(module: str) -> None:
    code = f"import sys, {module}; print(sorted({{'torch', 'transformers', 'peft'}} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
