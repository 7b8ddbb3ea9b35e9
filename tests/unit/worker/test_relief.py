"""A trainer that the system killed for want of memory: the job's error holds the planner's advice."""

from __future__ import annotations

import json
import signal
import threading

import pytest
import redis

from ist_core.spec import JobSpec
from store import jobs
from store.database import Database
from store.settings import Settings
from store.tables import State
from tests.factories import claim, make_file, read_job, tenant
from worker.attempt import Ending, Run
from worker.exits import MemoryKills
from worker.relief import memory_advice
from worker.scratch import Scratch

CONFIG = {
    "model_type": "llama",
    "hidden_size": 512,
    "intermediate_size": 1024,
    "num_hidden_layers": 8,
    "num_attention_heads": 8,
    "vocab_size": 8000,
}


@pytest.fixture
def model(settings: Settings) -> str:
    folder = settings.base_models_dir / "known"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    return folder.name


def test_advice_is_the_planners_and_of_a_model_it_does_not_know_in_general_words(
    settings: Settings, model: str
) -> None:
    spec = JobSpec(model=model, training_file="file", batch_size=8, ist=None, precision="float32")
    assert memory_advice(spec, settings) == "set micro_batch_size to 4"
    alone = spec.model_copy(update={"batch_size": 1, "max_length": 4096})
    assert memory_advice(alone, settings).startswith("set precision to bfloat16")
    unknown = spec.model_copy(update={"model": "nobody"})
    assert memory_advice(unknown, settings) == "try a smaller micro_batch_size, batch_size or max_length"


@pytest.mark.parametrize("wish", ["fail", "retry"])
def test_a_killed_trainer_ends_its_job_with_advice_or_goes_on_smaller(
    settings: Settings,
    database: Database,
    redis_client: redis.Redis,
    model: str,
    monkeypatch: pytest.MonkeyPatch,
    wish: str,
) -> None:
    with database.session() as session:
        spec = JobSpec.model_validate(
            {"model": model, "training_file": make_file(session).id, "ist": None, "on_out_of_memory": wish}
        )
        job_id = jobs.create_job(tenant(session), spec=spec, request={}).id
    held = claim(database, job_id)
    scratch = Scratch(settings.data_dir, job_id, held.attempt)
    scratch.make()
    scratch.log.write_text("step 3\n")
    run = Run(settings, database, redis_client, held, threading.Event())
    monkeypatch.setattr(MemoryKills, "count", lambda _: 1)
    run._settle(Ending.EXITED, -signal.SIGKILL)
    job = read_job(database, job_id)
    if wish == "retry":
        assert (job.state, job.retrying, job.losses) == (State.QUEUED, True, 0)
        assert (job.spec["micro_batch_size"], job.spec["batch_size"]) == (4, 8)
        return
    assert job.state is State.FAILED
    assert job.error == {
        "code": "out_of_memory",
        "message": "The system ran out of memory and killed the trainer; set micro_batch_size to 4",
        "param": "micro_batch_size",
    }
