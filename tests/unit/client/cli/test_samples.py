"""`isthmus jobs samples`, against a scripted service."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tests.unit.client.cli.commands import Scripted, answer, refusal

PATH = "/v1/fine_tuning/jobs/ftjob-1"
SAMPLES: list[Mapping[str, Any]] = [
    {
        "id": f"sample-{row}",
        "row": row,
        "input": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Which\n colour?"}],
        "expected": "red",
        "base": "I think " * 40,
        "tuned": "red",
        "scores": {"exact_match": {"base": 0.0, "tuned": 1.0}, "rouge_l": {"base": 0.0625, "tuned": None}},
    }
    for row in (3, 8)
]


def service(*samples: Mapping[str, Any]) -> Scripted:
    listed = answer({"data": list(samples), "has_more": False})
    return Scripted({f"GET {PATH}/samples": listed})


def test_samples_are_a_table_with_a_column_for_each_score() -> None:
    lines = service(*SAMPLES).run("jobs", "samples", "ftjob-1").stdout.splitlines()
    assert lines[0].split() == ["ROW", "INPUT", "EXPECTED", "BASE", "TUNED", "EXACT_MATCH", "ROUGE_L"]
    assert len(lines) == 3
    assert " ".join(lines[1].split()).startswith("3 Which colour? red I think I think")
    assert lines[1].rstrip().endswith("0 -> 1       0.0625 -> -")
    assert "... " in lines[1]  # the base model's answer was too long


def test_samples_as_json_are_whole() -> None:
    scripted = service(*SAMPLES)
    told = json.loads(
        scripted.run("jobs", "samples", "ftjob-1", "--only", "wrong", "--score", "rouge_l", "--json").stdout
    )
    assert [one["row"] for one in told] == [3, 8]
    assert told[0]["base"] == SAMPLES[0]["base"]
    query = scripted.seen[-1].url.params
    assert (query["only"], query["score"], query["limit"]) == ("wrong", "rouge_l", "20")


def test_so_many_samples_are_shown() -> None:
    scripted = service(*SAMPLES)
    told = json.loads(scripted.run("jobs", "samples", "ftjob-1", "-n", "1", "--json").stdout)
    assert [one["id"] for one in told] == ["sample-3"]
    assert scripted.seen[-1].url.params["limit"] == "1"


def test_a_job_without_samples_says_why() -> None:
    why = refusal(404, "samples_not_found", "job ftjob-1 has no samples: it has failed")
    scripted = Scripted({f"GET {PATH}/samples": why})
    result = scripted.run("jobs", "samples", "ftjob-1")
    assert (result.exit_code, result.stdout) == (3, "")
    assert "it has failed" in result.stderr
