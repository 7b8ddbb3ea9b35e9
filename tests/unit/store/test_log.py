"""Log lines: one a record whatever it holds, with the ids of the thread, the task or the process."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from store.log import JsonLines, TextLines, child_environment, current_ids, log_context

NASTY = 'a "quote"\n2026-01-01 CRITICAL forged\r\x00\x1b[31m \ud800'


def written(formatter: logging.Formatter, *, error: Exception | None = None, text: str = NASTY) -> str:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    logger = logging.Logger("test")  # noqa: LOG001  # one of its own, under no other handler
    logger.addHandler(handler)
    logger.error(text, exc_info=error)
    return stream.getvalue()


def test_a_record_is_one_line_of_json() -> None:
    with pytest.raises(ValueError) as raised:
        int("wrong\nvalue")
    with log_context(request_id="req_1", job_id="ftjob-1"):
        (line,) = written(JsonLines("api"), error=raised.value).splitlines()
    found: dict[str, Any] = json.loads(line)
    assert found.pop("time").endswith("Z")
    assert "ValueError: invalid literal" in found.pop("exception")
    assert found == {
        "level": "error",
        "logger": "test",
        "process": "api",
        "message": NASTY,
        "request_id": "req_1",
        "job_id": "ftjob-1",
    }
    line.encode()  # a lone surrogate could not be written to a file


def test_no_text_can_look_like_another_line() -> None:
    with log_context(job_id="ftjob-1"):
        first, *rest = written(TextLines("worker")).split("\n")[:-1]
    assert " ERROR worker test [ftjob-1]: a " in first
    assert rest
    assert all(line.startswith("    ") for line in rest)


def test_ids_follow_a_task_and_end_with_their_block() -> None:
    async def one(number: int) -> dict[str, str]:
        with log_context(request_id=f"req_{number}"):
            await asyncio.sleep(0.01)
            with log_context(job_id=lambda: f"ftjob-{number}"):
                return current_ids()

    async def both() -> list[dict[str, str]]:
        return list(await asyncio.gather(one(1), one(2)))

    assert asyncio.run(both()) == [
        {"request_id": "req_1", "job_id": "ftjob-1"},
        {"request_id": "req_2", "job_id": "ftjob-2"},
    ]
    assert current_ids() == {}


@pytest.mark.parametrize("value", ["", "a b", "x\nforged", "x" * 81, "é"])
def test_what_does_not_look_like_an_id_is_left_out(value: str) -> None:
    with log_context(job_id=value):
        assert current_ids() == {}
        assert child_environment() == {}


def test_a_child_process_has_its_parents_ids_in_all_its_threads() -> None:
    code = (
        "import logging, threading, warnings\n"
        "from store.log import configure_logging\n"
        "configure_logging('trainer', 'json')\n"
        "work = lambda: logging.getLogger('reporter').info('from a thread')\n"
        "thread = threading.Thread(target=work); thread.start(); thread.join()\n"
        "warnings.warn('from a warning')\n"
        "raise RuntimeError('from an error')\n"
    )
    with log_context(request_id="req_1", job_id="ftjob-1"):
        env = child_environment()
    child = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    lines = [json.loads(line) for line in child.stderr.splitlines()]
    assert [line["level"] for line in lines] == ["info", "warning", "critical"]
    assert "RuntimeError: from an error" in lines[-1]["exception"]
    assert {(line["process"], line["request_id"], line["job_id"]) for line in lines} == {
        ("trainer", "req_1", "ftjob-1")
    }
    assert child.returncode == 1


def test_a_thread_of_a_pool_has_no_ids_of_another() -> None:
    with ThreadPoolExecutor(1) as pool, log_context(job_id="ftjob-1"):
        assert pool.submit(current_ids).result() == {}
