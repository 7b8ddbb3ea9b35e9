"""`POST /v1/fine_tuning/plan`: what a job would need, by those who may read, with nothing created."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from ist_core import processor
from ist_core.catalog import SMOLLM2
from store import runs
from tests.contract.conftest import DATA, PREFERENCE_DATA, Service
from tests.contract.errors import JOBS, check_error
from tests.contract.tenants import join, make_project
from tests.tiny_model import make_tiny_tokenizer

PLAN = "/v1/fine_tuning/plan"
LAYERS, HIDDEN, WORDS = 4, 64, 400
CONFIG = {
    "model_type": "llama",
    "hidden_size": HIDDEN,
    "intermediate_size": 160,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": WORDS,
    "max_position_embeddings": 256,
    "tie_word_embeddings": True,
}
PARAMETERS = WORDS * HIDDEN + HIDDEN + LAYERS * (2 * HIDDEN + 3 * HIDDEN * 160 + HIDDEN * (64 + 32 + 32 + 64))


@pytest.fixture(autouse=True)
def model(service: Service) -> Iterator[Path]:
    """A model folder without weights, called `planned`."""
    folder = service.settings.base_models_dir / "planned"
    folder.mkdir(exist_ok=True)
    make_tiny_tokenizer().save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    yield folder
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()


def ask(service: Service, **body: Any) -> httpx.Response:
    """Ask for a plan of a job on the tiny model."""
    whole = {"model": "planned", "training_file": body.get("training_file") or service.upload(), **body}
    with service.http() as http:
        return http.post(PLAN, json=whole)


def planned(service: Service, **body: Any) -> dict[str, Any]:
    """A plan that is made."""
    answer = ask(service, **body)
    assert answer.status_code == httpx.codes.OK, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_plan_says_what_a_job_would_need(service: Service) -> None:
    plan = planned(service, device="l4", ist={"update_fraction": 0.5})
    assert (plan["object"], plan["model"], plan["verdict"]) == ("fine_tuning.plan", "planned", "fits")
    assert plan["device"] == {"name": "l4", "kind": "cuda", "cores": None}
    assert (plan["precision"], plan["layers"]) == ("bfloat16", LAYERS)
    memory = plan["memory"]
    assert memory["weights"] == 2 * PARAMETERS
    assert all(0 < memory["activations_mean"] < memory[part] for part in ("activations_worst", "runtime")), (
        memory
    )
    assert plan["peak_bytes"] <= sum(memory.values())
    assert plan["budget_bytes"] == 23_034 * 2**20
    # 12 rows, 10 epochs in batches of 8
    assert plan["hyperparameters"] == {"n_epochs": 10, "batch_size": 8, "learning_rate_multiplier": 1.0}
    assert (plan["rows"], plan["steps"], plan["micro_batch_size"]) == (12, 20, 8)
    assert plan["lengths"]["known"] == "counted"
    assert plan["tokens"] == pytest.approx(20 * 8 * plan["lengths"]["mean"], abs=9)
    assert 0 < plan["seconds"]["low"] <= plan["seconds"]["expected"] <= plan["seconds"]["high"]
    assert plan["worst_selection"] == {"depth": LAYERS, "active": LAYERS}
    assert plan["mean_selection"]["active"] < LAYERS
    assert plan["total_parameters"] == PARAMETERS + plan["trainable_parameters"]
    assert plan["change"] is None
    assert any("data sheet of l4" in line for line in plan["assumptions"])


def test_what_is_assumed_of_layers_that_settle_is_said(service: Service) -> None:
    file_id = service.upload()
    ist = {"policy": "settling", "update_fraction": 0.5}
    told = planned(service, training_file=file_id, device="cpu", ist=ist)["assumptions"]
    assert any(line.startswith(f"Layers: {LAYERS // 2} are left") for line in told)
    assert any(f"{LAYERS - LAYERS // 2} settled layers" in line for line in told)
    drawn = planned(service, training_file=file_id, device="cpu", ist={"policy": "random"})
    assert not any(line.startswith(("Layers:", "Disk:")) for line in drawn["assumptions"])


@pytest.mark.parametrize(("has_it", "expected", "rate"), [(True, "bfloat16", 90), (False, "float32", 50)])
def test_the_number_format_of_a_cpu_is_said(
    service: Service, monkeypatch: pytest.MonkeyPatch, has_it: bool, expected: str, rate: int
) -> None:
    monkeypatch.setattr(processor, "has_bfloat16", lambda: has_it)
    file_id = service.upload()
    plan = planned(service, training_file=file_id, device="cpu")
    assert plan["precision"] == expected
    assert plan["memory"]["weights"] == PARAMETERS * (2 if has_it else 4)
    (told,) = (line for line in plan["assumptions"] if line.startswith("Precision:"))
    assert told.startswith(f"Precision: {expected}, as the processor of the API's machine")
    assert any(f"by {rate} GFLOP/s for each of" in line for line in plan["assumptions"])
    given = planned(service, training_file=file_id, device="cpu", precision="float32")
    assert not any(line.startswith("Precision:") for line in given["assumptions"])


def test_a_plan_creates_nothing_and_the_same_one_is_the_same(service: Service) -> None:
    file_id = service.upload()
    first = planned(service, training_file=file_id, device="cpu")
    before = service.contents()
    assert planned(service, training_file=file_id, device="cpu") == first
    assert service.contents() == before


def test_the_smallest_change_is_a_job_that_fits(service: Service) -> None:
    body = {"training_file": service.upload(), "device": "cpu", "ist": None, "precision": "float32"}
    body["recompute"] = "none"
    peak = planned(service, **body)["peak_bytes"]
    budget = {"memory_bytes": int(1.19 * peak)}
    tight = planned(service, **body, **budget)
    assert (tight["verdict"], tight["budget_bytes"]) == ("tight", budget["memory_bytes"])
    over = planned(service, **body, memory_bytes=peak - 1)
    assert over["verdict"] == "does_not_fit"
    for plan, memory in ((tight, budget["memory_bytes"]), (over, int(1.1995 * peak))):
        change = planned(service, **body, memory_bytes=memory)["change"] or plan["change"]
        assert list(change["fields"]) == ["micro_batch_size"]
        assert change["text"] == f"set micro_batch_size to {change['fields']['micro_batch_size']}"
        changed = planned(service, **body, **change["fields"], memory_bytes=memory)
        assert (changed["verdict"], changed["peak_bytes"]) == (change["verdict"], change["peak_bytes"])
        assert changed["change"] is None
    assert planned(service, **body, memory_bytes=1)["change"] is None


@pytest.mark.parametrize(
    ("body", "code", "param", "says"),
    [
        ({"device": "h10"}, "unknown_device", "device", "did you mean 'h100'"),
        ({"device": ""}, "invalid_value", "device", "at least 1"),
        ({"memory_bytes": 0}, "invalid_value", "memory_bytes", "greater than or equal to 1"),
        ({"memory_bytes": "8GB"}, "invalid_value", "memory_bytes", "integer"),
        ({"memory_byte": 1}, "unknown_parameter", "memory_byte", "did you mean 'memory_bytes'"),
        ({"device": "t4", "precision": "bfloat16"}, "engine_error", "precision", "no bfloat16"),
        ({"adapter": {"target_modules": ["q"]}}, "invalid_adapter", "adapter.target_modules", "q_proj"),
        ({"model": "tiny"}, "plan_unavailable", "model", "cannot plan for a model of the family"),
    ],
)
def test_what_cannot_be_planned_is_refused_by_field(
    service: Service, body: dict[str, Any], code: str, param: str, says: str
) -> None:
    answer = ask(service, training_file=service.upload(), **body)
    assert says in check_error(answer, 400, code=code, param=param)


@pytest.mark.parametrize(
    "body",
    [
        {"model": "tinny"},
        {"model": "ft:planned:isthmus::abc"},
        {"training_file": "file-none"},
        {"validation_file": "file-none"},
        {"method": {"type": "dpo"}},
        {"method": {"type": "reinforcement"}},
        {"method": {"type": "supervised", "dpo": {}}},
        {"micro_batch_size": 3, "hyperparameters": {"batch_size": 8}},
        {"learning_rate": 0.1, "hyperparameters": {"learning_rate_multiplier": 1}},
        {"adapter": {"rank": 0}},
        {"ist": {"probe_intervall": 5}},
        {"webhook": {"url": "http://127.0.0.1/"}},
        {"integrations": [{"type": "wandb"}]},
        {"seed": -1},
        {"zzz": 1},
    ],
    ids=str,
)
def test_a_job_is_refused_in_the_same_words_when_it_is_planned(
    service: Service, body: dict[str, Any]
) -> None:
    whole = {"model": "planned", "training_file": service.upload(), **body}
    with service.http() as http:
        refused = [http.post(address, json=whole) for address in (JOBS, PLAN)]
    assert [answer.status_code for answer in refused] == [400, 400]
    created, plan = (answer.json()["error"] for answer in refused)
    for error in (created, plan):  # a plan has two keys more
        error["message"] = error["message"].split("known keys")[0]
    assert plan == created


def test_planning_is_a_read_and_needs_no_room_in_the_quota(service: Service) -> None:
    project_id = make_project(service, max_jobs=1)
    owner = join(service, project_id=project_id)
    file_id = owner.service.upload()
    owner.service.create_job(model="planned", training_file=file_id)
    reader = join(service, "read", project_id=project_id)
    assert planned(reader.service, training_file=file_id)["verdict"] == "fits"
    writer = join(service, "write", project_id=project_id)
    answer = ask(writer.service, training_file=file_id)
    check_error(answer, 403, code="insufficient_scope", param=None)


def test_the_time_is_by_what_the_latest_job_reached(service: Service) -> None:
    member = join(service)
    file_id = member.service.upload()
    body: dict[str, Any] = {"model": "planned", "training_file": file_id, "ist": None}
    first = planned(member.service, **body)
    assert first["device"]["kind"] == "cpu"
    assert "no job of the project has run yet" in first["assumptions"][0]
    report = {
        "device": "NVIDIA L4",
        "precision": "bfloat16",
        "tokens_per_second": 500.0,
        "operations_per_token": 2e6,
    }
    job_id = member.service.create_job(**body)
    with service.database.session() as session:
        claim = runs.claim(session, job_id, worker="test", lease_seconds=60)
        assert claim is not None
        assert runs.finish_succeeded(
            session, job_id, 1, fine_tuned_model="ft", result_files=[], report=report, trained_tokens=1
        )
    second = planned(member.service, **body)
    assert second["device"] == {"name": "l4", "kind": "cuda", "cores": None}
    assert "where the project's latest job ran" in second["assumptions"][0]
    assert any(job_id in line for line in second["assumptions"])
    seconds = second["seconds"]
    assert seconds["low"] == pytest.approx(0.8 * seconds["expected"], rel=0.02)
    elsewhere = planned(member.service, **body, device="h100")
    assert not any(job_id in line for line in elsewhere["assumptions"])
    stranger = join(service)
    other = planned(stranger.service, **{**body, "training_file": stranger.service.upload()})
    assert other["device"]["kind"] == "cpu", "another project's jobs are its own"


def test_lengths_are_estimated_until_they_are_counted(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    file_id = service.upload(DATA + b"\n" + DATA.splitlines()[1])
    monkeypatch.setattr("api.row_lengths.COUNTED_AT_ONCE_BYTES", 10)
    guess = planned(service, training_file=file_id)
    assert guess["lengths"]["known"] == "estimated"
    (remark,) = (line for line in guess["assumptions"] if "estimated" in line)
    address = f"/v1/files/{file_id}/tokens?model=planned"
    assert f"GET {address}" in remark
    with service.http() as http:
        counts = http.get(address).json()
    found = planned(service, training_file=file_id)
    assert found["lengths"] == {
        "known": "counted",
        "rows": 13,
        "mean": round(counts["total"] / 13, 1),
        "longest": counts["max"],
    }
    assert not any("estimated" in line for line in found["assumptions"])
    assert found["lengths"]["longest"] <= guess["lengths"]["longest"]


def test_a_model_whose_tokenizer_is_not_at_hand_is_planned_by_the_files_size(
    service: Service, model: Path
) -> None:
    (model / "tokenizer.json").unlink()
    plan = planned(service, training_file=service.upload())
    assert plan["lengths"]["known"] == "estimated"
    assert any("no tokenizer.json" in line for line in plan["assumptions"])


def test_preference_pairs_and_validation_files_are_planned(service: Service) -> None:
    pairs = service.upload(PREFERENCE_DATA)
    body = {"training_file": pairs, "device": "cpu", "ist": {"policy": "importance"}}
    method = {"type": "dpo", "dpo": {"hyperparameters": {"n_epochs": 2, "batch_size": 4}}}
    plan = planned(service, **body, method=method, validation_file=pairs)
    assert (plan["rows"], plan["steps"]) == (12, 6)
    assert plan["hyperparameters"]["batch_size"] == 4
    assert any("validation file" in line for line in plan["assumptions"])


def test_an_evaluation_is_planned(service: Service) -> None:
    evaluation = {"full_rows": 10, "interval": 2, "loss_rows": 5, "rows": 100, "max_new_tokens": 20}
    job = {
        "model": "planned",
        "training_file": service.upload(),
        "validation_file": service.upload(),
        "max_steps": 4,
        "checkpoint_interval": 2,
    }
    plan = planned(service, **job, evaluation=evaluation)
    # 10 rows before the first step, at the checkpoint of step 2 and at the end; 5 rows in steps 2 and 4.
    assert plan["evaluation"] == {"measured_rows": 40, "answered_rows": 12, "answer_tokens": 20}
    assert plan["memory"]["answers"] > 0
    usual = planned(service, **job)
    assert usual["evaluation"] == {"measured_rows": 36, "answered_rows": 0, "answer_tokens": None}
    assert planned(service, **job, evaluation={"full_rows": 0})["evaluation"] is None
    del job["validation_file"]
    assert planned(service, **job)["evaluation"] is None


def test_layers_compute_again_where_that_makes_it_fit(service: Service) -> None:
    ist = {"policy": "settling", "update_fraction": 0.5}
    body = {"training_file": service.upload(), "device": "cpu", "ist": ist, "precision": "float32"}
    plain = planned(service, **body)
    assert not any("compute again" in line for line in plain["assumptions"])
    least = planned(service, **body, recompute="all")["peak_bytes"]
    # A plan that just fits has a fifth to spare.
    plan = planned(service, **body, memory_bytes=int(1.2 * least) + 1)
    assert (plan["verdict"], plan["change"]) == ("fits", None)
    assert any(
        line.startswith(f"Memory: {LAYERS} of {LAYERS} layers compute") for line in plan["assumptions"]
    )


def test_what_would_make_a_job_fail_is_told(service: Service) -> None:
    plan = planned(service, training_file=service.upload(), max_length=8)
    assert any("leaves no answer in 12 rows" in line for line in plan["assumptions"])
    assert plan["lengths"]["longest"] == 8


@pytest.mark.smollm2
def test_a_real_model_is_planned_from_its_header(service: Service) -> None:
    job = {"model": SMOLLM2, "ist": None, "precision": "float32"}
    plan = planned(service, **job, device="cpu", memory_bytes=1_200_000_000)
    assert plan["total_parameters"] - plan["trainable_parameters"] == 134_515_008
    assert (plan["layers"], plan["precision"], plan["lengths"]["known"]) == (30, "float32", "estimated")
    assert plan["memory"]["weights"] == 4 * 134_515_008
    assert plan["memory"]["loading"] > plan["memory"]["weights"], "the GGUF file is converted first"
    assert any("conversion" in line for line in plan["assumptions"])


def test_the_openai_client_can_ask(service: Service) -> None:
    body = {"model": "planned", "training_file": service.upload(), "device": "a100-80gb"}
    plan = service.client.post("/fine_tuning/plan", body=body, cast_to=dict[str, Any])
    assert plan["verdict"] == "fits"
