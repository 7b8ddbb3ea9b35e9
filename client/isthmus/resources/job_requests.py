"""The requests about one job, which `client.jobs` and the job itself share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from isthmus.core.download import Wanted, download_all, inside
from isthmus.core.effects import Operation
from isthmus.core.fetching import fetch
from isthmus.core.request import Request, delete, get, part, post
from isthmus.core.retries import Retries
from isthmus.core.stream import SILENCE_SECONDS
from isthmus.errors import IsthmusError
from isthmus.types.jobs import ArtifactList
from isthmus.types.params import JobListParams, JobParams, SampleParams, SeriesParams
from isthmus.types.plan import PlanParams

PATH = "/v1/fine_tuning/jobs"


def create(params: JobParams) -> Request:
    """A new job; what is None is sent as null, which is not the same as left out (`ist`)."""
    return post(PATH, params)


def plan(params: PlanParams) -> Request:
    """What a job would need."""
    return post("/v1/fine_tuning/plan", params)


def list_all(params: JobListParams) -> Request:
    """Jobs of some kind."""
    pairs = {f"metadata[{key}]": value for key, value in (params.get("metadata") or {}).items()}
    return get(
        PATH,
        after=params.get("after"),
        limit=params.get("limit"),
        order=params.get("order"),
        state=params.get("state"),
        model=params.get("model"),
        search=params.get("search"),
        **pairs,
    )


def one(job_id: str) -> Request:
    """The job as it is."""
    return get(f"{PATH}/{part(job_id)}")


def cancel(job_id: str) -> Request:
    """Cancel it."""
    return post(f"{PATH}/{part(job_id)}/cancel")


def pause(job_id: str) -> Request:
    """Pause it."""
    return post(f"{PATH}/{part(job_id)}/pause")


def resume(job_id: str) -> Request:
    """Let it go on."""
    return post(f"{PATH}/{part(job_id)}/resume")


def events(job_id: str, after: str | None, limit: int | None) -> Request:
    """Its log."""
    return get(f"{PATH}/{part(job_id)}/events", after=after, limit=limit)


def checkpoints(job_id: str, after: str | None, limit: int | None) -> Request:
    """Its checkpoints."""
    return get(f"{PATH}/{part(job_id)}/checkpoints", after=after, limit=limit)


def checkpoint_archive(job_id: str, checkpoint_id: str) -> Request:
    """A checkpoint as a tar."""
    return get(f"{PATH}/{part(job_id)}/checkpoints/{part(checkpoint_id)}/archive")


def delete_checkpoint(job_id: str, checkpoint_id: str) -> Request:
    """A checkpoint's end."""
    return delete(f"{PATH}/{part(job_id)}/checkpoints/{part(checkpoint_id)}")


def artifacts(job_id: str) -> Request:
    """What it made."""
    return get(f"{PATH}/{part(job_id)}/artifacts")


def samples(job_id: str, params: SampleParams) -> Request:
    """What its models answered."""
    return get(
        f"{PATH}/{part(job_id)}/samples",
        after=params.get("after"),
        limit=params.get("limit"),
        only=params.get("only"),
        score=params.get("score"),
    )


def metrics(job_id: str, keys: Sequence[str] | None, params: SeriesParams) -> Request:
    """Its metrics by step."""
    names = None if keys is None else ",".join(keys)
    return _series(f"{PATH}/{part(job_id)}/metrics", params, keys=names)


def importance(job_id: str, params: SeriesParams) -> Request:
    """Its layers' scores by step."""
    return _series(f"{PATH}/{part(job_id)}/importance", params)


def export(job_id: str, file_format: str) -> Request:
    """All its steps as a file."""
    return get(f"{PATH}/{part(job_id)}/export", format=file_format)


def reproduction(job_id: str) -> Request:
    """A zip of all that its weights depend on."""
    return get(f"{PATH}/{part(job_id)}/reproduction")


def stream(job_id: str) -> Request:
    """Its stream of server-sent events; the cursor comes with each connection."""
    return Request(
        "GET",
        f"{PATH}/{part(job_id)}/stream",
        headers={"Accept": "text/event-stream"},
        read_timeout=SILENCE_SECONDS,
    )


def download(job_id: str, folder: Path, retries: Retries) -> Operation[list[Path]]:
    """Save all that a job made in a folder, as the paths of its artifacts say; returns where.

    Raises IsthmusError for a job that has made nothing (yet).
    """
    listed = yield from fetch(artifacts(job_id), ArtifactList, retries)
    if not listed.data:
        raise IsthmusError(f"job {job_id} has no artifacts: it has some once it has succeeded")
    wanted = [
        Wanted(
            get(f"{PATH}/{part(job_id)}/artifacts/{quote(item.path)}"), inside(folder, item.path), item.sha256
        )
        for item in listed.data
    ]
    yield from download_all(wanted, retries)
    return [file.target for file in wanted]


def _series(path: str, params: SeriesParams, *, keys: str | None = None) -> Request:
    return get(
        path,
        keys=keys,
        points=params.get("points"),
        limit=params.get("limit"),
        after_step=params.get("after_step"),
        before_step=params.get("before_step"),
        after_time=params.get("after_time"),
        before_time=params.get("before_time"),
    )
