"""The API keeps to its own specification: schemathesis sends what it allows and what it forbids."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.contract.conftest import Service


def test_requests_and_answers_are_as_specified(service: Service) -> None:
    """All of schemathesis' checks, with one replaced by a stricter reading of ours, and no server error."""
    service.create_job()
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{service.url}/openapi.json"]
    options = {
        "--header": f"Authorization: Bearer {service.key}",
        "--checks": "all",
        "--exclude-checks": "positive_data_acceptance",
        "--phases": "examples,coverage,fuzzing",
        "--max-examples": "10",
        "--seed": "1",
        "--workers": "1",
        "--suppress-health-check": "all",
    }
    done = subprocess.run(
        [*command, "--no-color", *(part for option in options.items() for part in option)],
        env=os.environ | {"SCHEMATHESIS_HOOKS": "tests.contract.specification_checks"},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No issues found" in done.stdout
