"""`python -m ist_core.export --model NAME --adapter DIR --format FORMAT --output DIR`: exports and checks.

Exit code 0: done; 1: stopped, or the export is not what was trained; 2: something the user can mend.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn, get_args

from ist_core.catalog import Catalog, resolve_path_or_name
from ist_core.errors import EngineError
from ist_core.export.export import export_model
from ist_core.export.manifest import ExportFormat, WeightType
from ist_core.models import default_cache

STOPPED, MENDABLE = 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _stop)
    try:
        manifest = export_model(
            resolve_path_or_name(options.model, Catalog()),
            options.adapter,
            options.format,
            options.output,
            cache_dir=options.cache_dir or default_cache(),
            progress=lambda line: print(f"  {line}", flush=True),
            weights=options.weights,
            name=options.name,
            run=options.run,
        )
    except EngineError as error:
        print(f"error: {error.message}", file=sys.stderr)
        return STOPPED if error.code == "export_check_failed" else MENDABLE
    check = manifest.check
    print(
        f"{options.output}: {manifest.format}, {check.top1_agreement:.1%} the same next tokens, "
        f"{check.mean_divergence:.2g} nats apart"
    )
    return 0


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    """End as an exception, so that what is half written goes."""
    raise SystemExit(STOPPED)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ist_core.export", description=__doc__)
    parser.add_argument("--model", required=True, help="a base model's name, folder or .gguf file")
    parser.add_argument("--adapter", required=True, type=Path, help="folder of a PEFT adapter")
    parser.add_argument("--format", required=True, choices=get_args(ExportFormat))
    parser.add_argument("--output", required=True, type=Path, help="folder to write; an old one is replaced")
    parser.add_argument("--weights", default="base", choices=get_args(WeightType), help="of a merged export")
    parser.add_argument("--name", help="what the model is called (default: as its base)")
    parser.add_argument("--run", type=Path, help="folder of report.json and steps.csv, for a model card")
    parser.add_argument("--cache-dir", type=Path, help="where converted GGUF models are kept")
    return parser


if __name__ == "__main__":
    sys.exit(main())
