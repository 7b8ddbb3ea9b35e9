"""`isthmus jobs`, against a scripted service."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.unit.client.cli.commands import FILE, JOB, ROW, Scripted, answer, events

JOBS = "/v1/fine_tuning/jobs"
STREAM = f"GET {JOBS}/ftjob-1/stream"
PLAN: Mapping[str, Any] = {
    "model": "tiny",
    "device": {"name": "l4", "kind": "cuda"},
    "verdict": "does_not_fit",
    "peak_bytes": 30_000_000_000,
    "budget_bytes": 24_000_000_000,
    "memory": {"weights": 20_000_000_000, "logits": 1_000_000_000},
    "precision": "bfloat16",
    "hyperparameters": {"n_epochs": 2, "batch_size": 8, "learning_rate_multiplier": 1.0},
    "micro_batch_size": 8,
    "steps": 100,
    "rows": 768,
    "tokens": 76_800,
    "seconds": {"low": 60.0, "expected": 90.0, "high": 180.0},
    "evaluation": {"measured_rows": 1200, "answered_rows": 50, "answer_tokens": 64},
    "lengths": {"known": "counted", "rows": 800, "mean": 100.0, "longest": 120},
    "layers": 30,
    "worst_selection": {"depth": 30, "active": 8},
    "mean_selection": {"depth": 28.5, "active": 7.5},
    "trainable_parameters": 1000,
    "total_parameters": 100_000,
    "change": {
        "fields": {"micro_batch_size": 2},
        "text": "micro_batch_size 2",
        "verdict": "fits",
        "peak_bytes": 18_000_000_000,
    },
    "assumptions": ["the GPU is otherwise empty"],
}


def frames(state: str = "succeeded", *, steps: int = 10, error: object = None) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = [{"seq": 0, "type": "job", "data": {**JOB, "last_seq": 0, "step": 0}}]
    for number in range(1, steps + 1):
        metrics = {"loss": 1 / number, "tokens_per_second": 100.0, "step_seconds": 0.5}
        data = {"step": number, "time": 1_700_000_000.0 + number, "metrics": metrics}
        made.append(
            {"seq": number, "type": "step", "data": {**data, "importance": [0.1, 0.9], "active": [1]}}
        )
    event = {"id": "ftevent-1", "created_at": 1_700_000_100, "level": "warn", "message": "nearly [there]"}
    made.append({"seq": steps + 1, "type": "event", "data": {**event, "object": "x"}})
    ended = {**JOB, "status": state, "state": state, "step": steps, "error": error, "last_seq": steps + 1}
    if state == "succeeded":
        ended["fine_tuned_model"] = "ft:tiny:abc"
    made += [{"seq": steps + 1, "type": "job", "data": ended}, {"type": "end"}]
    return made


def watched(*stream: dict[str, Any]) -> Scripted:
    return Scripted({f"GET {JOBS}/ftjob-1": answer(JOB), STREAM: events(*stream)})


def test_watch_tells_states_steps_and_messages_in_plain_lines() -> None:
    result = watched(*frames()).run("jobs", "watch", "ftjob-1")
    lines = result.stdout.splitlines()
    assert result.exit_code == 0
    assert lines[0] == "running"
    assert "step 1/10  loss 1.0000" in lines[1]
    assert "100 tokens/s" in lines[1]
    assert "updated 1  most important 1* (+0.90)  0 (+0.10)" in lines[1]
    assert sum("step " in line for line in lines[1:11]) == 10
    assert lines[11].endswith("nearly [there]")
    assert lines[12] == "succeeded"
    assert lines[13].startswith("loss 1.0000 █")
    assert lines[14].startswith("ftjob-1 succeeded at step 10/10")
    assert lines[15:] == ["model ft:tiny:abc", "  get it: isthmus models download ft:tiny:abc"]
    assert "\x1b" not in result.stdout


def test_scores_are_told_when_a_job_is_shown_and_when_it_ends() -> None:
    evaluation = {
        "rows": 50,
        "scores": {
            "exact_match": {"before": 0.0, "after": 0.84, "rows": 50},
            "choice": {"before": 0.5, "after": 0.25, "rows": 40},
        },
        "valid_loss": {"before": 2.5, "after": 0.75},
        "valid_mean_token_accuracy": {"before": 0.5, "after": 0.625},
        "best_step": 8,
        "selected": "best",
        "stopped_early": True,
        "seconds": 4.0,
    }
    told = frames()
    told[-2]["data"]["evaluation"] = evaluation
    lines = watched(*told).run("jobs", "watch", "ftjob-1").stdout.splitlines()
    scores = ["exact match 0.000 -> 0.840 (50 rows)", "choice 0.500 -> 0.250 (40 rows)"]
    assert lines[15:21] == [
        *scores,
        "validation loss 2.5000 -> 0.7500",
        "token accuracy 0.500 -> 0.625",
        "best step 8, which is the result",
        "stopped early the validation loss fell no more",
    ]
    service = Scripted({f"GET {JOBS}/ftjob-1": answer({**JOB, "evaluation": evaluation})})
    shown = service.run("jobs", "show", "ftjob-1").stdout
    assert "exact match      0.000 -> 0.840 (50 rows)" in shown
    assert "best step        8, which" in shown


def test_watch_shows_the_latest_validation_loss() -> None:
    told = frames(steps=3)
    measured = {"step": 2, "time": 1_700_000_002.0, "metrics": {"valid_loss": 2.5, "full_valid_loss": 1.25}}
    told.insert(2, {"part_of": 2, "type": "evaluation", "data": measured})
    lines = watched(*told).run("jobs", "watch", "ftjob-1").stdout.splitlines()
    shown = [line for line in lines if "  step " in line]
    assert ["valid loss 1.2500" in line for line in shown] == [False, True, True]


@pytest.mark.parametrize(("state", "code"), [("failed", 1), ("cancelled", 1)])
def test_watch_ends_with_the_jobs_exit_code(state: str, code: int) -> None:
    error = {"code": "out_of_memory", "message": "no room"} if state == "failed" else None
    result = watched(*frames(state, error=error)).run("jobs", "watch", "ftjob-1")
    assert result.exit_code == code
    assert ("no room (out_of_memory)" in result.stdout) == (state == "failed")


def test_watch_as_json_is_a_line_for_each_update() -> None:
    told = frames()
    result = watched(*told).run("jobs", "watch", "ftjob-1", "--json")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["type"] for line in lines] == [frame["type"] for frame in told[:-1]]
    assert lines[3]["data"]["importance"] == [0.1, 0.9]


def test_watch_comes_back_from_a_break_and_says_so_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("isthmus.core.retries.FIRST_DELAY", 0.0)
    told = frames()
    service = Scripted({f"GET {JOBS}/ftjob-1": answer(JOB), STREAM: []})
    service.routes[STREAM] = [
        events(*told[:4]),
        answer({"error": {"message": "starting"}}, 503),
        events(told[0], *told[4:]),
    ]
    result = service.run("jobs", "watch", "ftjob-1")
    assert result.exit_code == 0
    said = [line for line in result.stdout.splitlines() if "connection lost" in line]
    assert len(said) == 1
    assert said[0].startswith("connection lost at step 3, reconnected after ")
    assert [request.url.params["after"] for request in service.seen[1:]] == ["0", "3", "3"]
    assert sum(line.count("  step ") for line in result.stdout.splitlines()) == 10


def test_the_past_of_a_long_job_comes_as_a_few_points() -> None:
    job = {**JOB, "last_seq": 5000, "step": 4990, "total_steps": 6000}
    points = {"job_id": "ftjob-1", "steps": [2500, 4990], "time": [1.0, 2.0], "bucket": 2500}
    points |= {"series": {"loss": [4.0, 2.0]}, "low": {"loss": [3.5, 1.5]}, "high": {"loss": [5.0, 3.0]}}
    last = {"step": 4990, "time": 3.0, "metrics": {"loss": 1.75}, "importance": [], "active": []}
    ended = {**job, "status": "cancelled", "state": "cancelled", "last_seq": 5001}
    stream = [{"seq": 4999, "type": "step", "data": last}, {"seq": 5001, "type": "job", "data": ended}]
    service = Scripted({f"GET {JOBS}/ftjob-1": answer(job), STREAM: events(*stream, {"type": "end"})})
    service.routes[f"GET {JOBS}/ftjob-1/metrics"] = answer(points)
    text = service.run("jobs", "watch", "ftjob-1").stdout
    assert "loss 4.0000 █▁ 1.7500" in text
    assert service.seen[-1].url.params["after"] == "4800"
    assert [request.url.params.get("after") for request in service.seen[:-1]] == [None, None]
    service.seen.clear()
    service.run("jobs", "watch", "ftjob-1", "--json")
    assert service.seen[-1].url.params["after"] == "0"


def test_logs_are_shown_oldest_first_and_followed_without_repetition() -> None:
    def event(number: int) -> dict[str, Any]:
        return {"id": f"ftevent-{number}", "created_at": number, "level": "info", "message": f"line {number}"}

    page = answer({"data": [event(2), event(1)], "has_more": False})
    stream = [{"seq": 8, "type": "event", "data": event(number)} for number in (2,)]
    stream += [{"seq": 9, "type": "event", "data": event(3)}]
    ended = {**JOB, "status": "succeeded", "state": "succeeded", "last_seq": 9}
    service = Scripted(
        {
            f"GET {JOBS}/ftjob-1": answer(JOB),
            f"GET {JOBS}/ftjob-1/events": page,
            STREAM: events(*stream, {"seq": 9, "type": "job", "data": ended}, {"type": "end"}),
        }
    )
    lines = [
        line.split("  ")[-1].strip() for line in service.run("jobs", "logs", "ftjob-1").stdout.splitlines()
    ]
    assert lines == ["line 1", "line 2"]
    assert len(json.loads(service.run("jobs", "logs", "ftjob-1", "--json").stdout)) == 2
    followed = service.run("jobs", "logs", "-f", "ftjob-1")
    assert followed.exit_code == 0
    assert [line.split("  ")[-1].strip() for line in followed.stdout.splitlines()] == [
        "line 1",
        "line 2",
        "line 3",
    ]
    assert service.seen[-1].url.params["after"] == str(JOB["last_seq"])


def test_create_merges_file_flags_and_settings(tmp_path: Path) -> None:
    spec = tmp_path / "job.yaml"
    spec.write_text("model: tiny\ntraining_file: file-9\nseed: 1\nadapter: {type: lora, rank: 4}\n")
    service = Scripted({f"POST {JOBS}": answer(JOB)})
    result = service.run(
        *("jobs", "create", str(spec), "--seed", "2", "--rank", "8", "--epochs", "auto", "--batch-size", "4"),
        *("--set", "ist.policy=random", "--metadata", "team=a=b", "--every-layer", "--json"),
    )
    assert json.loads(result.stdout)["id"] == "ftjob-1"
    assert service.body() == {
        "model": "tiny",
        "training_file": "file-9",
        "seed": 2,
        "adapter": {"type": "lora", "rank": 8},
        "hyperparameters": {"n_epochs": "auto", "batch_size": 4},
        "metadata": {"team": "a=b"},
        "ist": None,
    }


def test_create_asks_for_an_evaluation() -> None:
    service = Scripted({f"POST {JOBS}": answer(JOB)})
    files = ("--training-file", "file-1", "--validation-file", "file-2")
    flags = ("--eval-rows", "20", "--eval-interval", "5", "--score", "choice", "--score", "exact_match")
    result = service.run(
        *("jobs", "create", "--model", "tiny", *files, *flags, "--choice", "yes", "--choice", "no"),
        *("--patience", "2", "--select-checkpoint", "best", "--set", "early_stopping.min_delta=0.01"),
    )
    assert result.exit_code == 0, result.stderr
    assert service.body() == {
        "model": "tiny",
        "training_file": "file-1",
        "validation_file": "file-2",
        "evaluation": {
            "interval": 5,
            "rows": 20,
            "scores": ["choice", "exact_match"],
            "choices": ["yes", "no"],
        },
        "early_stopping": {"patience": 2, "min_delta": 0.01},
        "select_checkpoint": "best",
    }


def test_create_from_stdin_uploads_a_path_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.jsonl").write_text(json.dumps(ROW))
    service = Scripted({"POST /v1/files": answer(FILE), f"POST {JOBS}": answer(JOB)})
    spec = json.dumps({"model": "tiny", "training_file": "train.jsonl"})
    result = service.run("jobs", "create", "-", stdin=spec)
    assert result.exit_code == 0
    assert result.stderr == "uploaded train.jsonl as file-1\n"
    assert service.body() == {"model": "tiny", "training_file": "file-1"}


def test_create_and_watch_ends_with_the_jobs_exit_code() -> None:
    service = watched(*frames("failed"))
    service.routes[f"POST {JOBS}"] = answer(JOB)
    result = service.run("jobs", "create", "--model", "tiny", "--training-file", "file-1", "--watch")
    assert result.exit_code == 1
    assert result.stdout.startswith("ftjob-1 created\n")


def test_a_dry_run_shows_the_plan_and_creates_nothing(tmp_path: Path) -> None:
    service = Scripted({"POST /v1/fine_tuning/plan": answer(PLAN)})
    args = (
        "jobs",
        "create",
        "--model",
        "tiny",
        "--training-file",
        "file-1",
        "--dry-run",
        "--set",
        "device=l4",
    )
    text = service.run(*args).stdout
    for expected in (
        "does not fit: 30.0 GB at the peak, 24.0 GB on l4",
        "to fit: micro_batch_size 2",
        "1:30",
        "1,200 rows measured, 50 rows answered by both models",
    ):
        assert expected in text
    assert json.loads(service.run(*args, "--json").stdout)["verdict"] == "does_not_fit"
    assert {request.url.path for request in service.seen} == {"/v1/fine_tuning/plan"}
    assert service.body()["device"] == "l4"
    path = tmp_path / "train.jsonl"
    path.write_text(json.dumps(ROW))
    refused = service.run("jobs", "create", "--model", "tiny", "--training-file", str(path), "--dry-run")
    assert refused.exit_code == 2
    assert "isthmus files upload" in refused.stderr


def test_create_says_what_is_missing() -> None:
    result = Scripted({}).run("jobs", "create", "--model", "tiny")
    assert result.exit_code == 2
    assert result.stderr == (
        "error: training_file is missing: give --training-file, or have it in the spec\n"
    )


def test_list_filters_by_what_the_service_knows() -> None:
    jobs = [{**JOB, "id": f"ftjob-{letter}"} for letter in "abc"]
    service = Scripted({f"GET {JOBS}": answer({"data": jobs, "has_more": False})})
    args = ("--state", "paused", "--state", "running", "--model", "tiny", "--metadata", "team=a")
    result = service.run("jobs", "list", *args, "--search", "x", "--oldest-first", "-n", "2", "--json")
    assert [job["id"] for job in json.loads(result.stdout)] == ["ftjob-a", "ftjob-b"]
    query = service.seen[0].url.params
    assert query.get_list("state") == ["paused", "running"]
    assert {key: query[key] for key in ("model", "metadata[team]", "search", "order", "limit")} == {
        "model": "tiny",
        "metadata[team]": "a",
        "search": "x",
        "order": "asc",
        "limit": "2",
    }
    lines = service.run("jobs", "list").stdout.splitlines()
    assert lines[0].split() == ["ID", "STATE", "MODEL", "STEP", "CREATED", "RESULT"]
    assert lines[1].split()[:4] == ["ftjob-a", "running", "tiny", "3/10"]


@pytest.mark.parametrize("action", ["cancel", "pause", "resume"])
def test_changes_tell_the_new_state(action: str) -> None:
    service = Scripted({f"POST {JOBS}/ftjob-1/{action}": answer({**JOB, "state": "pausing"})})
    assert service.run("jobs", action, "ftjob-1").stdout == "ftjob-1 pausing\n"


def test_metrics_are_csv_with_extremes_where_a_row_is_of_several_steps() -> None:
    series = {"job_id": "ftjob-1", "steps": [1, 2], "time": [1.0, 2.0], "series": {"loss": [3.0, None]}}
    merged = {**series, "bucket": 5, "low": {"loss": [2.0, None]}, "high": {"loss": [4.0, None]}}
    service = Scripted({f"GET {JOBS}/ftjob-1": answer(JOB)})
    service.routes[f"GET {JOBS}/ftjob-1/metrics"] = [answer(series), answer(merged), answer(series)]
    command = ("jobs", "metrics", "ftjob-1")
    assert service.run(*command, "--keys", "loss, lr").stdout == "step,time,loss\n1,1.0,3.0\n2,2.0,\n"
    assert service.seen[-1].url.params["keys"] == "loss,lr"
    assert service.run(*command, "--points", "2").stdout == (
        "step,time,loss,loss_low,loss_high\n1,1.0,3.0,2.0,4.0\n2,2.0,,,\n"
    )
    assert json.loads(service.run(*command, "--json").stdout)["series"] == {"loss": [3.0, None]}


def test_importance_is_csv_with_scores_and_updates() -> None:
    found = {"job_id": "ftjob-1", "steps": [1, 2], "importance": [[0.1, 0.2], [0.3, 0.4]]}
    service = Scripted({f"GET {JOBS}/ftjob-1": answer(JOB)})
    service.routes[f"GET {JOBS}/ftjob-1/importance"] = [
        answer({**found, "active": [[1], [0, 1]]}),
        answer({**found, "updated": [[3, 1], [0, 4]], "bucket": 4}),
    ]
    lines = service.run("jobs", "importance", "ftjob-1").stdout.splitlines()
    assert lines == ["step,layer_0,layer_1,updated_0,updated_1", "1,0.1,0.2,0,1", "2,0.3,0.4,1,1"]
    assert service.run("jobs", "importance", "ftjob-1", "--points", "2").stdout.splitlines()[1] == (
        "1,0.1,0.2,3,1"
    )


def test_export_saves_a_file_of_the_format_that_its_name_ends_in(tmp_path: Path) -> None:
    service = Scripted({f"GET {JOBS}/ftjob-1": answer(JOB), f"GET {JOBS}/ftjob-1/export": answer("steps")})
    target = tmp_path / "steps.parquet"
    assert service.run("jobs", "export", "ftjob-1", "-o", str(target)).stdout == f"{target}\n"
    assert target.read_text() == '"steps"'
    assert service.seen[-1].url.params["format"] == "parquet"
    service.run("jobs", "export", "ftjob-1", "-o", str(target), "--format", "arrow")
    assert service.seen[-1].url.params["format"] == "arrow"
    unknown = service.run("jobs", "export", "ftjob-1", "-o", str(tmp_path / "steps.xls"))
    assert unknown.exit_code == 2
    assert "csv, jsonl, arrow, parquet" in unknown.stderr
