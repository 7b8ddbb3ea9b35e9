"""The dashboard in Chromium, against the real stack: every journey of web/e2e."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e import service
from tests.e2e.service import Service

PROGRAMS = Path(sys.executable).parent
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
    _run_the_code(tmp_path, stack)


def _run_the_code(folder: Path, stack: Service) -> None:
    """Do what the pages say does the same as they do: make a job, or plan one; ask a model."""
    programs = os.environ | {"ISTHMUS_API_KEY": stack.api_key, "PATH": f"{PROGRAMS}:{os.environ['PATH']}"}
    plan = (folder / "code.CLI").read_text().replace("--watch", "--dry-run")
    said = []
    for command in (
        ["bash", str(folder / "code.curl")],
        [sys.executable, str(folder / "code.openai")],
        ["bash", "-ec", plan],
        [sys.executable, str(folder / "code.isthmus")],
        ["bash", str(folder / "chat.curl")],
        [sys.executable, str(folder / "chat.openai")],
        ["bash", "-e", str(folder / "chat.CLI")],
    ):
        ran = subprocess.run(command, env=programs, capture_output=True, text=True, timeout=120, check=False)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        said.append(ran.stdout)
    job, *chats = said[3:]
    assert job.startswith("ft:tiny:")
    assert chats[0].rstrip().endswith("data: [DONE]")
    # Without chance, both programs say what the page did, whatever a tiny model makes of it.
    assert chats[1].strip() in chats[2]
    made = [job for job in stack.client.fine_tuning.jobs.list(limit=10) if job.metadata == {"team": "web"}]
    assert len(made) == 4  # the form's, curl's, openai's and the SDK's
