"""The dashboard in Chromium, against the real stack: every journey of web/e2e."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.e2e import service
from tests.e2e.service import Service

WEB = Path(__file__).parents[2] / "web"
MINUTES = 8


@pytest.mark.browser
@pytest.mark.timeout(60 * MINUTES)
def test_the_journeys_of_the_dashboard(stack: Service, tmp_path: Path) -> None:
    chromium = next(
        path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))
    )
    api = next(process for process in stack.processes() if "-m api " in service.command_line(process))
    environment = {
        "CHROMIUM": chromium,
        "ISTHMUS_URL": stack.url,
        "ISTHMUS_API_KEY": stack.api_key,
        "ISTHMUS_API_PID": str(api.pid),
        "SCREENSHOTS": str(tmp_path),
        **os.environ,
    }
    answer = subprocess.run(
        ["npm", "run", "--silent", "e2e"],
        cwd=WEB, env=environment, capture_output=True, text=True, timeout=60 * MINUTES, check=False,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stdout + answer.stderr
    print(answer.stdout)
