"""`isthmus` against a live API, with a worker's side played by the test."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from isthmus.cli.app import app
from typer.testing import CliRunner

from standalone.ports import free_port
from tests.contract.client.command import (
    ISTHMUS,
    WAIT_SECONDS,
    document,
    environment,
    isthmus,
    on_a_terminal,
    started,
)
from tests.contract.conftest import DATA, Service
from tests.contract.test_plan import CONFIG
from tests.contract.test_process import running
from tests.contract.worker import TOTAL, Run
from tests.tiny_model import make_tiny_tokenizer


@pytest.fixture
def data_file(tmp_path: Path) -> Path:
    path = tmp_path / "train.jsonl"
    path.write_bytes(DATA)
    return path


def test_a_file_goes_up_is_shown_comes_down_and_goes(
    service: Service, data_file: Path, tmp_path: Path
) -> None:
    file = document(service, "files", "upload", str(data_file))
    assert (file["filename"], file["rows"], file["format"]) == ("train.jsonl", 12, "chat")
    assert file["id"] in isthmus(service, "files", "list").stdout
    assert document(service, "files", "show", file["id"])["sha256"] == file["sha256"]
    copy = tmp_path / "copy.jsonl"
    assert isthmus(service, "files", "download", file["id"], "-o", str(copy)).stdout == f"{copy}\n"
    assert copy.read_bytes() == DATA
    assert isthmus(service, "files", "delete", file["id"]).exit_code == 0
    gone = isthmus(service, "files", "show", file["id"])
    assert (gone.exit_code, gone.stdout) == (3, "")


def test_the_local_check_says_what_the_service_says(service: Service, tmp_path: Path) -> None:
    faulty = tmp_path / "faulty.jsonl"
    faulty.write_bytes(DATA + b'\n{"messages": [{"role": "user", "content": ""}]}\n{\n')
    checked = json.loads(isthmus(service, "files", "check", str(faulty), "--json").stdout)
    assert [fault["line"] for fault in checked["faults"]] == [13, 14]
    refused = isthmus(service, "files", "upload", str(faulty), "--no-check")
    assert refused.exit_code == 2
    first = checked["faults"][0]
    assert f"line 13, {first['path']}: {first['reason']}" in refused.stderr


def test_a_job_from_spec_to_model(service: Service, data_file: Path, tmp_path: Path) -> None:
    spec = "model: tiny\ntraining_file: train.jsonl\nadapter: {rank: 4}\nlearning_rate: 1e-3\nsuffix: mine\n"
    (tmp_path / "job.yaml").write_text(spec)
    args = ("--seed", "7", "--epochs", "2", "--set", "ist.policy=random", "--metadata", "team=cli")
    job = document(service, "jobs", "create", str(tmp_path / "job.yaml"), *args)
    job_id = job["id"]
    assert (job["seed"], job["suffix"], job["hyperparameters"]["n_epochs"]) == (7, "mine", 2)
    assert (job["spec"]["adapter"]["rank"], job["spec"]["ist"]["policy"]) == (4, "random")
    assert isthmus(service, "jobs", "pause", job_id).stdout == f"{job_id} paused\n"
    assert [found["id"] for found in document(service, "jobs", "list", "--state", "paused")] == [job_id]
    assert isthmus(service, "jobs", "resume", job_id).stdout == f"{job_id} queued\n"
    run = Run(service, job_id)
    run.steps(1, 4)
    run.checkpoint(4)
    run.say("half way [there]")
    assert "half way [there]" in isthmus(service, "jobs", "logs", job_id, "-n", "1").stdout
    metrics = isthmus(service, "jobs", "metrics", job_id, "--keys", "loss").stdout.splitlines()
    assert metrics[0] == "step,time,loss"
    assert [line.split(",")[::2] for line in metrics[1:]] == [
        ["1", "1.0"],
        ["2", "0.5"],
        ["3", str(1 / 3)],
        ["4", "0.25"],
    ]
    scores = isthmus(service, "jobs", "importance", job_id).stdout.splitlines()
    assert scores[1] == "1,0.0,1.0,2.0,3.0,0,1,0,1"
    assert [found["step_number"] for found in document(service, "checkpoints", "list", job_id)] == [4]
    run.steps(5, TOTAL)
    name = run.succeed()
    watched = isthmus(service, "jobs", "watch", job_id)
    assert watched.exit_code == 0
    assert f"{job_id} succeeded at step {TOTAL}/{TOTAL}" in watched.stdout
    assert name in isthmus(service, "models", "list", "--tuned").stdout
    folder = tmp_path / "model"
    assert isthmus(service, "models", "download", name, "-o", str(folder)).exit_code == 0
    assert (folder / "adapter" / "adapter_config.json").read_text() == "{}"
    found = document(service, "jobs", "list", "--metadata", "team=cli", "--model", "tiny")
    assert [one["id"] for one in found] == [job_id]


def test_refusals_of_the_service_have_their_exit_codes(service: Service) -> None:
    assert isthmus(service, "jobs", "show", "ftjob-none").exit_code == 3
    assert isthmus(service, "jobs", "list", "--api-key", "wrong").exit_code == 4
    assert isthmus(service, "jobs", "list", "--base-url", f"http://127.0.0.1:{free_port()}").exit_code == 5
    unknown = isthmus(service, "jobs", "create", "--model", "none", "--training-file", service.upload())
    assert unknown.exit_code == 2
    assert "Traceback" not in unknown.stderr
    assert len(unknown.stderr.splitlines()) == 1
    ended = service.create_job()
    assert isthmus(service, "jobs", "cancel", ended).exit_code == 0
    assert isthmus(service, "jobs", "cancel", ended).exit_code == 2
    assert isthmus(service, "jobs", "watch", ended).exit_code == 1


def test_keys_are_made_used_and_revoked(service: Service) -> None:
    made = document(service, "keys", "create", "reader", "--scope", "read")
    own = ("--api-key", made["value"])
    assert isthmus(service, "jobs", "list", *own).exit_code == 0
    assert isthmus(service, "jobs", "cancel", "ftjob-x", *own).exit_code == 4
    assert made["id"] in isthmus(service, "keys", "list").stdout
    rotated = isthmus(service, "keys", "rotate", made["id"])
    assert isthmus(service, "jobs", "list", *own).exit_code == 4
    own = ("--api-key", rotated.stdout.strip())
    assert isthmus(service, "jobs", "list", *own).exit_code == 0
    new = next(key["id"] for key in document(service, "keys", "list") if key["name"] == "reader")
    assert isthmus(service, "keys", "revoke", new).exit_code == 0
    assert isthmus(service, "jobs", "list", *own).exit_code == 4
    assert new not in isthmus(service, "keys", "list").stdout
    assert "revoked" in isthmus(service, "keys", "list", "--revoked").stdout


def test_a_dry_run_shows_the_plan_and_leaves_nothing(service: Service) -> None:
    folder = service.settings.base_models_dir / "planned"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG))
    make_tiny_tokenizer().save_pretrained(folder)
    args = ("jobs", "create", "--model", "planned", "--training-file", service.upload(), "--dry-run")
    before = service.contents()
    fits = isthmus(service, *args, "--set", "device=a100-80gb")
    assert fits.exit_code == 0, fits.stderr
    assert fits.stdout.startswith("fits: ")
    assert "memory: weights" in fits.stdout
    little = isthmus(service, *args, "--set", "memory_bytes=100000000")
    assert little.stdout.startswith("does not fit: ")
    assert {**service.contents(), "objects": 0} == {**before, "objects": 0}  # the lengths are kept


def test_ids_are_completed(service: Service) -> None:
    job_id = service.create_job()
    variables = {
        "_ISTHMUS_COMPLETE": "complete_bash",
        "COMP_WORDS": f"isthmus jobs show {job_id[:12]}",
        "COMP_CWORD": "3",
        "ISTHMUS_BASE_URL": service.url,
        "ISTHMUS_API_KEY": service.key,
    }
    assert job_id in CliRunner().invoke(app, env=variables, prog_name="isthmus").stdout.split()
    gone = {**variables, "ISTHMUS_BASE_URL": f"http://127.0.0.1:{free_port()}"}
    answer = CliRunner().invoke(app, env=gone, prog_name="isthmus")
    assert (answer.exit_code, answer.output.strip()) == (0, "")


def test_watch_goes_on_through_a_restarted_api(service: Service, tmp_path: Path) -> None:
    job_id, port = service.create_job(), free_port()
    with running(service, tmp_path, port=port) as process:
        run = Run(service, job_id)
        run.steps(1, 5)
        with started(process.service, "jobs", "watch", job_id) as watch:
            watch.wait_for(f"step 5/{TOTAL}")
            process.child.kill()
            process.child.wait()
            run.steps(6, 9)
            with running(service, tmp_path, port=port):
                watch.wait_for("connection lost at step 5, reconnected after ")
                run.steps(10, TOTAL)
                run.succeed()
                assert watch.end() == 0
    lines = [line for line in watch.text.splitlines() if "  step " in line and "loss" in line]
    shown = [line.split("  step ")[1].split("/")[0] for line in lines]
    assert shown == [str(step) for step in range(1, TOTAL + 1)]
    assert watch.text.count("connection lost") == 1
    assert "Traceback" not in watch.text


@pytest.mark.parametrize("extra", [{}, {"NO_COLOR": "1"}, {"PYTHONIOENCODING": "ascii"}])
def test_ctrl_c_on_a_terminal_detaches_and_the_job_goes_on(service: Service, extra: dict[str, str]) -> None:
    job_id = service.create_job()
    run = Run(service, job_id)
    run.steps(1, 7)
    with on_a_terminal(service, "jobs", "watch", job_id, extra=extra) as watch:
        watch.wait_for(f"step 7/{TOTAL}")
        watch.wait_for("importance of the layers")
        run.steps(8, 9)
        watch.wait_for(f"step 9/{TOTAL}")
        watch.interrupt()
        assert watch.end() == 130
    assert f"detached; the job goes on: isthmus jobs watch {job_id}" in watch.text.replace("\r\n", "")
    assert "Traceback" not in watch.text
    assert max(len(line) for line in watch.text.replace("\r", "\n").splitlines()) <= 80
    coloured = "\x1b[36m" in watch.raw or "\x1b[1;36m" in watch.raw
    assert coloured == ("NO_COLOR" not in extra)
    assert service.client.fine_tuning.jobs.retrieve(job_id).status == "running"
    run.succeed()


def test_ctrl_c_without_a_terminal_detaches_too(service: Service) -> None:
    job_id = service.create_job()
    run = Run(service, job_id)
    run.say("at work")
    for command in ("watch", "logs -f"):
        with started(service, "jobs", *command.split(), job_id) as child:
            child.wait_for("at work")
            child.interrupt()
            assert child.end() == 130
        assert child.text.endswith(f"detached; the job goes on: isthmus jobs {command} {job_id}\n")
    run.succeed()


def test_a_reader_that_goes_away_ends_it_quietly(service: Service) -> None:
    job_id = service.create_job()
    run = Run(service, job_id)
    run.steps(1, 3)
    command = [*ISTHMUS, "jobs", "watch", job_id, "--json"]
    with subprocess.Popen(
        command, env=environment(service), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        assert json.loads(child.stdout.readline())["type"] == "job"
        child.stdout.close()
        run.steps(4, TOTAL)
        run.succeed()
        assert child.stderr.read() == ""
        assert child.wait(WAIT_SECONDS) == 141


def test_logs_are_followed_to_the_jobs_end(service: Service) -> None:
    job_id = service.create_job()
    run = Run(service, job_id)
    run.say("before")
    with started(service, "jobs", "logs", "-f", job_id, "--json") as logs:
        logs.wait_for("before")
        run.say("after")
        logs.wait_for("after")
        run.fail()
        assert logs.end() == 1
    messages = [json.loads(line)["message"] for line in logs.text.splitlines()]
    assert messages.count("before") == messages.count("after") == 1
