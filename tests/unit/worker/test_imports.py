"""What waits beside a trainer, for days maybe, must not hold the engine in memory."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["worker.app", "worker.attempt", "worker.scheduler"])
def test_a_supervisor_loads_no_torch(module: str) -> None:
    code = f"import sys, {module}; print(sorted({{'torch', 'transformers', 'peft'}} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
