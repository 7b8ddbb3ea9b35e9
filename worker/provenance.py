"""Notes what a run is made with: the base model's files, the packages, the revision of the service."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import distributions, version
from pathlib import Path

from huggingface_hub import try_to_load_from_cache

from ist_core.catalog import Catalog, ModelSource
from store.bundle import BaseModelFiles, HashedFile, Provenance
from store.database import Database
from store.provenance import record_provenance
from store.settings import Settings
from store.tables import Job
from worker.hashes import HashCache
from worker.retry import until_back

CODE = Path(__file__).parents[1]


def note_provenance(database: Database, settings: Settings, job: Job) -> None:
    """Write what the job's present run is made with; raises ModelError for a base model that is not there."""
    source = Catalog(settings.base_models_dir, hub=settings.hub).resolve(job.model)
    found = provenance(source, HashCache(settings.cache_dir / "sha256"), revision=settings.revision)

    def write() -> None:
        with database.session() as session:
            record_provenance(session, job.id, job.attempt, found)

    until_back(write)


def provenance(source: ModelSource, hashes: HashCache, *, revision: str | None = None) -> Provenance:
    """What a run of this process on a base model is made with."""
    return Provenance(
        base_model=base_model_files(source, hashes),
        python=platform.python_version(),
        platform=platform.platform(),
        packages={found.name: found.version for found in distributions() if found.name != "isthmus-server"},
        service_version=version("isthmus-server"),
        service_revision=revision or git_revision(CODE),
    )


def base_model_files(source: ModelSource, hashes: HashCache) -> BaseModelFiles:
    """A base model by the hashes of its files; one from the Hub, whose commit says as much, by that."""
    if source.kind == "hub":
        return BaseModelFiles(
            name=source.name, kind=source.kind, revision=_hub_commit(source.location), files=[]
        )
    root = Path(source.location)
    paths = [root] if root.is_file() else sorted(path for path in root.rglob("*") if path.is_file())
    files = [
        HashedFile(
            path=path.name if path == root else path.relative_to(root).as_posix(),
            bytes=path.stat().st_size,
            sha256=hashes.sha256(path),
        )
        for path in paths
    ]
    return BaseModelFiles(name=source.name, kind=source.kind, revision=None, files=files)


def git_revision(folder: Path) -> str | None:
    """The commit of a folder's code, with `-dirty` if it was changed since; None where git does not know."""
    if not (folder / ".git").exists():
        return None
    try:
        answer = subprocess.run(
            ["git", "-C", str(folder), "describe", "--always", "--abbrev=40", "--dirty", "--exclude", "*"],
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()


def _hub_commit(repo: str) -> str | None:
    """The commit in the local cache; None before the first download, which the trainer makes."""
    config = try_to_load_from_cache(repo, "config.json")
    return Path(config).parent.name if isinstance(config, str) else None
