"""`python -m worker.reproduce BUNDLE --data FILE`: train a job again and compare its weights.

Exit code 0: the same weights, bit for bit; 1: other weights; 2: it could not be done.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from ist_core.catalog import Catalog, resolve_path_or_name
from ist_core.errors import EngineError
from ist_core.records import Emitted, StepRecord
from ist_core.spec import JobSpec
from ist_core.trainer import train
from store.bundle import OPTIONS, BadBundle, HashedFile, Manifest, unpack
from worker.hashes import HashCache, file_sha256
from worker.provenance import provenance

SAME, DIFFERENT, IMPOSSIBLE = 0, 1, 2


class CannotReproduce(RuntimeError):
    """Something that the job had is not here."""


def main() -> int:
    """Read the command line and train; returns the exit code."""
    options = _parser().parse_args()
    try:
        return reproduce(options)
    except (CannotReproduce, BadBundle, EngineError) as error:
        print(f"error: {error}", file=sys.stderr)
        return IMPOSSIBLE


def reproduce(options: argparse.Namespace) -> int:
    """Check what is given, train, and compare; returns the exit code."""
    manifest, spec = unpack(options.bundle)
    if manifest.expected is None:
        raise CannotReproduce(f"{manifest.job_id} ended as {manifest.state}: it has no weights to compare")
    spec = _localise(manifest, spec, options)
    with tempfile.TemporaryDirectory() as scratch:
        for difference in _differences(manifest, spec.model, Path(scratch) / "hashes"):
            print(f"warning: {difference}", file=sys.stderr)
        output = options.output or Path(scratch) / "output"
        train(spec, output_dir=output, emit=_show)
        return _compare(manifest.expected.weights, output)


def _localise(manifest: Manifest, spec: JobSpec, options: argparse.Namespace) -> JobSpec:
    """The spec on the files of the command line, which must be those that the job learned from.

    Its number format is the job's, also where this machine would take another one by itself.
    """
    given: dict[str, Path | None] = {
        "training_file": options.data,
        "validation_file": options.validation_data,
    }
    paths: dict[str, str] = {}
    for file in manifest.data:
        path, option = given[file.field], OPTIONS[file.field]
        if path is None or not path.is_file():
            raise CannotReproduce(f"{option}: give the job's {file.field}, which was called {file.path}")
        found = file_sha256(path)
        if found != file.sha256:
            raise CannotReproduce(f"{option}: {path} has the SHA-256 {found}; the job's had {file.sha256}")
        paths[file.field] = str(path)
    chosen = {"model": options.model or spec.model, "precision": manifest.precision or spec.precision}
    return spec.model_copy(update={**paths, **chosen})


def _differences(manifest: Manifest, model: str, cache: Path) -> list[str]:
    """In what respect this is another place than the job's; each may change the last digits, or more."""
    was = manifest.provenance
    if was is None:
        return ["the bundle does not say what the job was made with"]
    source = resolve_path_or_name(model, Catalog())
    now = provenance(source, HashCache(cache))
    found = []
    if now.base_model.files != was.base_model.files:
        found.append("the base model's files are not the job's")
    if now.base_model.revision != was.base_model.revision:
        found.append(f"the base model is of {now.base_model.revision}, the job's {was.base_model.revision}")
    if now.service_revision != was.service_revision:
        found.append(f"the code is of {now.service_revision}, the job's of {was.service_revision}")
    changed = sorted(
        f"{name} {now.packages.get(name)} (was {number})"
        for name, number in was.packages.items()
        if now.packages.get(name) != number
    )
    if changed:
        found.append(f"other packages: {', '.join(changed)}")
    return found


def _compare(expected: list[HashedFile], output: Path) -> int:
    same = True
    for file in expected:
        found = file_sha256(output / file.path)
        same &= found == file.sha256
        verdict = "the same" if found == file.sha256 else f"different: {found}, the job's {file.sha256}"
        print(f"{file.path}: {verdict}")
    return SAME if same else DIFFERENT


def _show(item: Emitted) -> None:
    if isinstance(item, StepRecord):
        print(f"step {item.step}: loss {item.metrics['loss']:.6f}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m worker.reproduce", description=__doc__)
    parser.add_argument("bundle", type=Path, help="the zip of GET /v1/fine_tuning/jobs/ID/reproduction")
    parser.add_argument("--data", type=Path, help="the job's training file")
    parser.add_argument("--validation-data", type=Path, help="the job's validation file, if it had one")
    parser.add_argument("--model", help="the base model's folder or .gguf file, or another name of it")
    parser.add_argument("--output", type=Path, help="keep what is trained in this folder")
    return parser


if __name__ == "__main__":
    sys.exit(main())
