"""The API as a process: what it loads, what it needs, what it says of itself."""

from __future__ import annotations

import os
import subprocess
import sys

from api.openapi import STORED, render


def run(code: str, **env: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ISTHMUS_")}
    return subprocess.run(
        [sys.executable, "-c", code], env={**kept, **env}, capture_output=True, text=True, check=False
    )


def test_the_api_never_loads_the_engine() -> None:
    answer = run(
        "import sys, api.app, api.openapi;"
        "print([m for m in ('torch', 'transformers', 'peft', 'worker') if m in sys.modules])"
    )
    assert (answer.returncode, answer.stdout.strip()) == (0, "[]"), answer.stderr


def test_it_refuses_to_start_with_wrong_settings_in_one_line() -> None:
    create = "from api.app import create_app; create_app()"
    places = {"ISTHMUS_DATABASE_URL": "postgresql://x/y", "ISTHMUS_REDIS_URL": "redis://x"}
    for env, named in (
        ({**places, "ISTHMUS_DATA_DIR": "x", "ISTHMUS_API_KEY": ""}, "ISTHMUS_API_KEY is empty"),
        ({**places, "ISTHMUS_DATA_DIR": "x", "ISTHMUS_REQUESTS_PER_MINUTE": "0"}, "REQUESTS_PER_MINUTE"),
        (places, "ISTHMUS_DATA_DIR"),
    ):
        answer = run(create, **env)
        assert answer.returncode == 1
        assert named in answer.stderr
        assert len(answer.stderr.splitlines()) == 1


def test_the_stored_openapi_document_is_current() -> None:
    assert STORED.read_text() == render(), "run `make openapi`"
