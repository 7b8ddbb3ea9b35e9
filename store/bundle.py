"""A job's reproduction bundle: a zip that says all that its weights depend on, and what they were."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from ist_core.spec import JobSpec

MANIFEST, SPEC, REQUEST, REQUIREMENTS, README = (
    "bundle.json",
    "spec.json",
    "request.json",
    "requirements.txt",
    "README.md",
)
OPTIONS = MappingProxyType({"training_file": "--data", "validation_file": "--validation-data"})
"""How `python -m worker.reproduce` is given the data files."""
MAX_ENTRY_BYTES = 4 * 1024 * 1024
EPOCH = (1980, 1, 1, 0, 0, 0)
"""The date of every entry, so that the same job gives the same bytes."""


class BadBundle(ValueError):
    """A file that is no reproduction bundle, or one of a later version."""


class Part(BaseModel):
    """What the parts of a manifest have in common."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class HashedFile(Part):
    """A file by its content."""

    path: str
    bytes: int
    sha256: str


class DataFile(HashedFile):
    """A data file; `path` is its name when it was uploaded."""

    id: str
    field: Literal["training_file", "validation_file"]
    rows: int | None
    format: str


class BaseModelFiles(Part):
    """A base model: files and their hashes, or for one from the Hub the commit."""

    name: str
    kind: Literal["folder", "gguf", "hub"]
    revision: str | None
    files: list[HashedFile]


class Provenance(Part):
    """What a run was made with beside its spec and data, noted when it began."""

    base_model: BaseModelFiles
    python: str
    platform: str
    packages: dict[str, str]
    service_version: str
    service_revision: str | None
    """The git commit of the service's code; None where it is not known."""


class Expected(Part):
    """What the run made."""

    weights: list[HashedFile]
    steps: int
    trained_tokens: int
    final_loss: float | None


class Manifest(Part):
    """All that `spec.json` does not say."""

    format: Literal[1] = 1
    job_id: str
    state: str
    seed: int
    data: list[DataFile]
    provenance: Provenance | None
    """None: the job ended before a run began."""
    device: str | None
    precision: str | None
    expected: Expected | None
    """None: the job did not succeed."""


def pack(manifest: Manifest, spec: JobSpec, request: dict[str, Any]) -> bytes:
    """The bundle as a zip."""
    packages = manifest.provenance.packages if manifest.provenance else {}
    entries = {
        MANIFEST: _json(manifest.model_dump(mode="json")),
        SPEC: _json(spec.model_dump(mode="json")),
        REQUEST: _json(request),
        REQUIREMENTS: "".join(f"{name}=={version}\n" for name, version in sorted(packages.items())),
        README: _readme(manifest),
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, text in entries.items():
            bundle.writestr(zipfile.ZipInfo(name, EPOCH), text, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def unpack(path: Path) -> tuple[Manifest, JobSpec]:
    """Read a bundle; raises BadBundle. Nothing is written, and no entry but the two is looked at."""
    try:
        with zipfile.ZipFile(path) as bundle:
            manifest = Manifest.model_validate_json(_entry(bundle, MANIFEST))
            spec = JobSpec.model_validate_json(_entry(bundle, SPEC))
    except (OSError, zipfile.BadZipFile, KeyError) as error:
        raise BadBundle(f"{path} is no reproduction bundle: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise BadBundle(f"{path} cannot be read by this version: {place}: {first['msg']}") from error
    return manifest, spec


def _entry(bundle: zipfile.ZipFile, name: str) -> bytes:
    with bundle.open(name) as entry:
        data = entry.read(MAX_ENTRY_BYTES + 1)
    if len(data) > MAX_ENTRY_BYTES:
        raise BadBundle(f"{name} is larger than {MAX_ENTRY_BYTES} bytes")
    return data


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True) + "\n"


def _readme(manifest: Manifest) -> str:
    options = "".join(f" {OPTIONS[file.field]} FILE" for file in manifest.data)
    files = "\n".join(f"- `{file.field}`: {file.path}, SHA-256 `{file.sha256}`" for file in manifest.data)
    revision = manifest.provenance.service_revision if manifest.provenance else None
    checkout = f"Check out revision `{revision}` of" if revision else "Install"
    return f"""# {manifest.job_id}

{checkout} Isthmus with the packages of `requirements.txt`, then run

    python -m worker.reproduce {manifest.job_id}.zip{options}

It trains what `spec.json` says on the same data, and compares the weights with the job's, whose hashes are in
`bundle.json`. Exit code 0: the same, bit for bit; 1: others; 2: it could not be done. `--model PATH` names
the base model's folder or file where it is not found by its name. The data are not in here; they must be:

{files}

Bits are the same on the same kind of device, with the same number of threads, and with the same packages.
"""
