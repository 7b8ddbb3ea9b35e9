"""Exports through a real worker: converted in a process of their own, which may be killed or cancelled."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from ist_core.catalog import Catalog
from ist_core.spec import JobSpec
from ist_core.trainer import train
from store import bus
from store.exports import ExportFormat, Push, cancel_export, create_export, find_export
from store.model_sources import find_source
from store.sealing import Seal
from store.tables import Export, ExportState
from tests.exports import read_export, tuned_model
from tests.factories import tenant
from tests.hub import HubServer, hub_server
from tests.integration.conftest import DEADLINE_SECONDS, Service, chat_lines

TOKEN = "hf_integration"


@pytest.fixture(scope="module")
def hub() -> Iterator[HubServer]:
    with hub_server(TOKEN) as running:
        yield running


@pytest.fixture(scope="module")
def model(service: Service, hub: HubServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A model that was trained here, and a worker and a scheduler to export it."""
    name = tuned_model(
        service.database, service.objects, train_one_step(service, tmp_path_factory.mktemp("job"))
    )
    environment = {
        "ISTHMUS_HUB_ENDPOINT": hub.url,
        "HF_HUB_DISABLE_XET": "1",
        "ISTHMUS_WARM_TRAINERS": "false",  # no job is trained here
    }
    with (
        service.process("worker", **environment),
        service.process("worker.scheduler"),
    ):
        yield name


def train_one_step(service: Service, folder: Path) -> dict[str, bytes]:
    """What a job leaves: its artifacts by their paths."""
    (folder / "train.jsonl").write_bytes(chat_lines(8))
    output = folder / "output"
    spec = JobSpec(
        model="tiny", training_file=str(folder / "train.jsonl"), max_steps=1, n_epochs=1, batch_size=1
    )
    train(
        spec,
        output_dir=output,
        emit=lambda _: None,
        should_stop=lambda: False,
        catalog=Catalog(service.settings.base_models_dir, hub=False),
        cache_dir=service.settings.cache_dir,
    )
    return {
        path.relative_to(output).as_posix(): path.read_bytes()
        for path in sorted(output.rglob("*"))
        if path.is_file() and "checkpoints" not in path.parts
    }


def ask(service: Service, model: str, format_: ExportFormat, push: Push | None = None) -> str:
    """Ask for an export as the API does, without a wake-up: the scheduler notices."""
    with service.database.session() as session:
        source = find_source(tenant(session), model, take=True)
        assert source is not None
        seal = Seal.of(service.settings)
        return create_export(tenant(session), source, format_, push=push, seal=seal)[0].id


def wait(service: Service, export_id: str, done: Callable[[Export], bool]) -> Export:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not done(export := read_export(service.database, export_id)):
        assert time.monotonic() < deadline, f"{export.state}, {export.progress}; {service.log()}"
        time.sleep(0.05)
    return export


def has_ended(export: Export) -> bool:
    return export.finished_at is not None


def the_process(service: Service, export_id: str) -> psutil.Process:
    """The process that does the export, once there is one."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while True:
        for process in psutil.process_iter(["cmdline"]):
            if {"worker.export", export_id} <= set(process.info["cmdline"] or []):
                return process
        assert time.monotonic() < deadline, service.log()
        time.sleep(0.02)


def test_a_killed_export_is_made_again_and_another_after_it(service: Service, model: str) -> None:
    merged, gguf = ask(service, model, "merged"), ask(service, model, "gguf_q8_0")
    the_process(service, merged).kill()
    for export_id, attempts, weights in (
        (merged, 2, "model.safetensors"),
        (gguf, 1, f"{model.removeprefix('ft:').replace(':', '-')}-Q8_0.gguf"),
    ):
        export = wait(service, export_id, has_ended)
        assert (export.state, export.error, export.attempt) == (ExportState.SUCCEEDED, None, attempts)
        assert export.manifest is not None
        assert export.manifest["check"]["verdict"] == "passed"
        files = {file["path"]: file for file in export.files}
        assert {weights, "manifest.json"} <= set(files)
        assert export.bytes == sum(file["bytes"] for file in export.files)
        with service.objects.open(f"{export.prefix}{weights}") as stored:
            assert hashlib.sha256(stored.read()).hexdigest() == files[weights]["sha256"]
        keys = {f"{export.prefix}{path}" for path in files}
        assert set(service.objects.list(f"exports/{export_id}/")) == keys
        service.wait_until_clean(export_id)


def test_a_cancelled_export_stops_soon_and_leaves_nothing(service: Service, model: str) -> None:
    export_id = ask(service, model, "gguf_f16")
    process = the_process(service, export_id)
    began = time.monotonic()
    with service.database.session() as session:
        found = find_export(tenant(session), model, export_id, for_update=True)
        assert found is not None
        cancel_export(tenant(session), found)
    bus.publish_cancel(service.redis, export_id)
    export = wait(service, export_id, has_ended)
    assert (export.state, export.error) == (ExportState.CANCELLED, None)
    assert time.monotonic() - began < 20  # generous: five seconds is the promise on a machine with time
    assert not process.is_running()
    service.wait_until_clean(export_id)
    assert list(service.objects.list(f"exports/{export_id}/")) == []


def test_an_adapter_is_pushed_to_a_hub(service: Service, model: str, hub: HubServer) -> None:
    export_id = ask(service, model, "adapter", Push("team/tickets", private=True, token=TOKEN))
    export = wait(service, export_id, has_ended)
    assert (export.state, export.error) == (ExportState.SUCCEEDED, None)
    repository = hub.repositories["team/tickets"]
    assert repository.private
    assert json.loads(repository.files["adapter_config.json"])["peft_type"]
    assert "adapter_model.safetensors" in repository.files
    assert export.url == f"{hub.url}/team/tickets/commit/{repository.commits[-1]}"
    assert (export.hub_token, export.files, export.bytes) == (None, [], 0)
    assert TOKEN not in service.log()
