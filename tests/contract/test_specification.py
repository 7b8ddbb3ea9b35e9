"""The API keeps to its own specification: schemathesis sends what it allows and what it forbids."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.contract.conftest import Service
from tests.contract.inference import answering

ROOT = Path(__file__).parents[2]
SECONDS = 880
"""It takes about two minutes on a machine that has nothing else to do."""


@pytest.mark.timeout(SECONDS + 20)
def test_requests_and_answers_are_as_specified(service: Service, tmp_path: Path) -> None:
    """All of schemathesis' checks, with one replaced by a stricter reading of ours, and no server error."""
    service.create_job()
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{service.url}/openapi.json"]
    options = {
        "--header": f"Authorization: Bearer {service.key}",
        "--checks": "all",
        "--exclude-checks": "positive_data_acceptance",
        "--phases": "examples,coverage,fuzzing",
        "--max-examples": "3",
        "--seed": "1",
        "--workers": "1",  # Python 3.11 cannot compile in several threads as hypothesis does
        "--suppress-health-check": "all",
    }
    with answering(service, "Hello"):
        done = subprocess.run(
            [*command, "--no-color", *(part for option in options.items() for part in option)],
            cwd=tmp_path,  # it keeps what it found in a folder of its own
            env=os.environ
            | {"SCHEMATHESIS_HOOKS": "tests.contract.specification_checks", "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    selected, tested = (re.search(rf"{word}: (\d+)", done.stdout) for word in ("Selected", "Tested"))
    assert selected is not None
    assert tested is not None
    assert int(tested[1]) >= 40
