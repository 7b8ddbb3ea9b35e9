"""Exports: asked for once, taken by one worker, ended once, and never after their model."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import update

from store import export_runs as runs
from store.checkpoints import checkpoint_prefix, record_checkpoint
from store.database import Database
from store.export_states import ENDED, TRANSITIONS, transition
from store.exports import (
    ExportEnded,
    Push,
    cancel_export,
    delete_export,
    delete_exports_of,
    find_export,
    list_exports,
    mark_export_purged,
    unpurged_exports,
)
from store.gauges import live_exports
from store.model_sources import find_source, read_source
from store.objects import LocalObjects
from store.paging import UnknownCursor
from store.projects import create_project
from store.quotas import Limits, QuotaExceeded, quota_of, set_limits
from store.sealing import Seal, SealBroken
from store.strays import named_keys
from store.tables import Export, ExportState, Job, Project
from store.tenant import Tenant
from store.tuned_models import checkpoint_model_id, delete_tuned_model
from store.workers import Device, beat, list_workers
from tests.exports import MANIFEST, SEAL, asked, finished, read_export, taken, tuned_model
from tests.factories import claimed, tenant

PUSH = Push("team/model", private=True, token="hf_secret")
FILES = {"model.safetensors": b"12345", "manifest.json": b"{}"}


@pytest.fixture
def objects(tmp_path: Path) -> LocalObjects:
    return LocalObjects(tmp_path / "objects")


@pytest.fixture
def model(database: Database, objects: LocalObjects) -> str:
    return tuned_model(database, objects)


def test_only_the_transitions_of_the_table_are_made(database: Database, model: str) -> None:
    export, _ = asked(database, model)
    for begin in ExportState:
        for to in ExportState:
            with database.session() as session:
                session.execute(update(Export).values(state=begin, attempt=3))
                assert transition(session, export.id, to, attempt=2) is None
                moved = transition(session, export.id, to, attempt=3)
                assert (moved is not None) == (to in TRANSITIONS[begin]), (begin, to)
                if moved is not None:
                    assert (moved.state, moved.finished_at is not None) == (to, to in ENDED)
                session.rollback()


def test_asked_twice_it_is_made_once_unless_it_failed(database: Database, model: str) -> None:
    export, is_new = asked(database, model)
    again, is_new_again = asked(database, model)
    assert (is_new, is_new_again, again.id) == (True, False, export.id)
    assert asked(database, model, "gguf_f16")[1]
    held = taken(database)
    assert held.export_id == export.id
    with database.session() as session:
        assert runs.finish_failed(session, held.export_id, held.attempt, code="broken", message="It broke")
    third, is_new = asked(database, model)
    assert is_new
    assert third.id != export.id


def test_of_many_that_ask_at_once_one_makes_it(database: Database, model: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: asked(database, model), range(16)))
    assert len({export.id for export, _ in made}) == 1
    assert sum(is_new for _, is_new in made) == 1


def test_a_push_stands_until_it_has_ended(database: Database, model: str) -> None:
    export, _ = asked(database, model, "adapter", PUSH)
    assert asked(database, model, "adapter", PUSH)[0].id == export.id
    assert asked(database, model, "adapter", Push("team/other", private=False, token=None))[1]
    held = taken(database)
    with database.session() as session:
        url = "https://hub.test/commit"
        assert runs.finish_pushed(session, held.export_id, held.attempt, url=url, manifest=None)
    assert asked(database, model, "adapter", PUSH)[1]


def test_a_token_is_sealed_and_gone_at_the_end(database: Database, model: str) -> None:
    export, _ = asked(database, model, "adapter", PUSH)
    assert export.hub_token is not None
    assert "hf_secret" not in export.hub_token
    assert SEAL.open(export.id, export.hub_token) == "hf_secret"
    for seal, place in ((Seal(b"other"), export.id), (SEAL, "export-other")):
        with pytest.raises(SealBroken):
            seal.open(place, export.hub_token)
    held = taken(database)
    with database.session() as session:
        assert runs.finish_failed(session, held.export_id, held.attempt, code="broken", message="It broke")
    assert read_export(database, export.id).hub_token is None


def test_one_worker_takes_it_and_only_that_one_writes(database: Database, model: str) -> None:
    export, _ = asked(database, model)
    held = taken(database)
    with database.session() as session:
        assert runs.claim_next_export(session, worker="other", lease_seconds=1) is None
        assert runs.heartbeat(session, export.id, held.attempt, lease_seconds=30) is False
        assert runs.tell_progress(session, export.id, held.attempt, "converting")
        for attempt in (held.attempt - 1, held.attempt + 1):
            assert runs.heartbeat(session, export.id, attempt, lease_seconds=30) is None
            assert not runs.tell_progress(session, export.id, attempt, "mine")
            assert runs.finish_kept(session, export.id, attempt, stored=[], manifest={}) is None
            assert runs.release(session, export.id, attempt) is None
            lost = runs.lose(session, export.id, attempt, what="x", code="y", max_losses=1)
            assert lost is None
    assert read_export(database, export.id).progress == "converting"


def test_a_lost_one_is_taken_up_again_up_to_the_cap(database: Database, model: str) -> None:
    export, _ = asked(database, model)
    for loss in (1, 2):
        held = taken(database, lease_seconds=-1)
        assert held.attempt == loss
        with database.session() as session:
            (expired,) = runs.expired_exports(session, patience_seconds=0)
            lost = runs.lose(
                session, expired.id, expired.attempt, what="It was lost", code="worker_lost", max_losses=2
            )
            assert lost is not None
    ended = read_export(database, export.id)
    assert (ended.state, ended.error and ended.error["code"]) == (ExportState.FAILED, "worker_lost")


def test_given_back_in_order_it_has_lost_nothing(database: Database, model: str) -> None:
    export, _ = asked(database, model)
    held = taken(database)
    with database.session() as session:
        runs.mark_export_sent(session, export.id)
        assert runs.unsent_exports(session) == []
        assert runs.release(session, held.export_id, held.attempt) is not None
    with database.session() as session:
        assert runs.unsent_exports(session) == [export.id]
    again = read_export(database, export.id)
    assert (again.state, again.losses, again.worker) == (ExportState.QUEUED, 0, None)


def test_queued_it_is_cancelled_at_once_and_running_when_its_process_is_gone(
    database: Database, objects: LocalObjects, model: str
) -> None:
    export, _ = asked(database, model)
    with database.session() as session:
        found = find_export(tenant(session), model, export.id, for_update=True)
        assert found is not None
        assert cancel_export(tenant(session), found).state is ExportState.CANCELLED
        with pytest.raises(ExportEnded):
            cancel_export(tenant(session), found)
    running, is_new = asked(database, model)
    assert is_new
    held = taken(database)
    with database.session() as session:
        found = find_export(tenant(session), model, running.id, for_update=True)
        assert found is not None
        assert cancel_export(tenant(session), found).state is ExportState.RUNNING
    with database.session() as session:
        assert runs.heartbeat(session, running.id, held.attempt, lease_seconds=30) is True
    # What it finishes from now on is not kept.
    assert finished(database, objects, held, FILES) is None
    with database.session() as session:
        assert runs.finish_cancelled(session, running.id, held.attempt) is not None
    assert read_export(database, running.id).state is ExportState.CANCELLED
    assert asked(database, model)[1]


def test_its_bytes_count_until_it_is_deleted(database: Database, objects: LocalObjects, model: str) -> None:
    with database.session() as session:
        before = quota_of(tenant(session))[1].bytes
    export, _ = asked(database, model)
    ended = finished(database, objects, taken(database), FILES)
    assert ended is not None
    assert (ended.state, ended.bytes, ended.manifest) == (ExportState.SUCCEEDED, 7, MANIFEST)
    keys = set(objects.list("exports/"))
    assert len(keys) == 2
    with database.session() as session:
        assert quota_of(tenant(session))[1].bytes == before + 7
        assert named_keys(session, keys) == keys
        found = find_export(tenant(session), model, export.id, for_update=True)
        assert found is not None
        delete_export(tenant(session), found)
    with database.session() as session:
        assert quota_of(tenant(session))[1].bytes == before
        assert find_export(tenant(session), model, export.id) is None
        assert [row.id for row in unpurged_exports(session)] == [export.id]
        mark_export_purged(session, export.id)
    with database.session() as session:
        assert unpurged_exports(session) == []
        assert named_keys(session, keys) == set()


def test_a_full_project_gets_none(database: Database, objects: LocalObjects, model: str) -> None:
    export, _ = asked(database, model)
    held = taken(database)
    with database.session() as session:
        used = quota_of(tenant(session))[1].bytes
        project = session.get_one(Project, tenant(session).project_id)
        set_limits(session, project, Limits(max_bytes=used + 6))
    with pytest.raises(QuotaExceeded, match="7 more do not fit"):
        finished(database, objects, held, FILES)
    assert read_export(database, export.id).state is ExportState.RUNNING
    with database.session() as session:
        set_limits(session, session.get_one(Project, project.id), Limits(max_bytes=used))
    with pytest.raises(QuotaExceeded, match="Delete an export"):
        asked(database, model, "gguf_f16")


def test_a_model_that_goes_takes_its_exports_along(database: Database, model: str) -> None:
    first, _ = asked(database, model)
    second, _ = asked(database, model, "gguf_f16")
    held = taken(database)
    with database.session() as session:
        assert delete_tuned_model(tenant(session), model) is not None
        gone = delete_exports_of(tenant(session), [model])
    assert {export.id for export in gone} == {first.id, second.id}
    assert read_export(database, second.id).state is ExportState.CANCELLED
    with database.session() as session:
        assert runs.heartbeat(session, first.id, held.attempt, lease_seconds=30) is True
        assert find_source(tenant(session), model) is None
        assert read_source(session, first.job_id, None) is None
        assert unpurged_exports(session) == [session.get_one(Export, second.id)]


def test_another_project_sees_nothing_of_it(database: Database, model: str) -> None:
    export, _ = asked(database, model)
    with database.session() as session:
        other = Tenant(session, create_project(session, name="other").id)
        assert find_source(other, model) is None
        assert find_export(other, model, export.id) is None
        assert list_exports(other, model).rows == []
        assert delete_exports_of(other, [model]) == []
        with pytest.raises(UnknownCursor):
            list_exports(other, model, after=export.id)


def test_pages_are_newest_first(database: Database, model: str) -> None:
    ids = [asked(database, model, format_)[0].id for format_ in ("merged", "gguf_f16", "gguf_q8_0")]
    with database.session() as session:
        first = list_exports(tenant(session), model, limit=2)
        rest = list_exports(tenant(session), model, after=first.rows[-1].id, limit=2)
    assert [row.id for row in [*first.rows, *rest.rows]] == ids[::-1]
    assert (first.has_more, rest.has_more) == (True, False)


def test_a_checkpoint_is_found_by_its_name(database: Database, objects: LocalObjects) -> None:
    held = claimed(database)
    prefix = checkpoint_prefix(held.job_id, held.attempt, 7)
    stored = [objects.put(prefix + path, io.BytesIO(b"x")) for path in ("adapter/a", "state.safetensors")]
    with database.session() as session:
        assert record_checkpoint(session, held.job_id, held.attempt, step=7, metrics={}, stored=stored)
        name = checkpoint_model_id(session.get_one(Job, held.job_id), 7)
    with database.session() as session:
        source = find_source(tenant(session), name, take=True)
        assert source is not None
        assert (source.job_id, source.step, source.base_model) == (held.job_id, 7, "tiny")
        assert (source.prefix, [file["path"] for file in source.files]) == (f"{prefix}adapter/", ["a"])
        assert read_source(session, held.job_id, 7) == source
        assert find_source(tenant(session), name.replace("step-7", "step-8")) is None
        assert find_source(tenant(session), name.replace("tiny", "other")) is None


def test_a_scrape_counts_those_that_wait_and_run_and_a_worker_is_busy(database: Database, model: str) -> None:
    asked(database, model)
    asked(database, model, "gguf_f16")
    device = Device("cpu", "test", 2, 1)
    with database.session() as session:
        beat(session, host="here", pid=7, device=device, stopping=False, first=True)
        (idle,) = list_workers(tenant(session))
        held = runs.claim_next_export(session, worker="here:7", lease_seconds=30)
        (busy,) = list_workers(tenant(session))
        assert (idle.state, busy.state, busy.job_id) == ("idle", "busy", None)
        project_id = tenant(session).project_id
        counts = {(project_id, ExportState.QUEUED): 1, (project_id, ExportState.RUNNING): 1}
        assert live_exports(session, None) == live_exports(session, project_id) == counts
        assert live_exports(session, "none") == {}
        assert held is not None
        assert runs.release(session, held.export_id, held.attempt) is not None
        assert live_exports(session, None) == {(project_id, ExportState.QUEUED): 2}
