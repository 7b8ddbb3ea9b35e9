"""What to change after the system killed a trainer for want of memory: it could not say so itself."""

from __future__ import annotations

from ist_core.catalog import Catalog
from ist_core.errors import EngineError
from ist_core.planner import Lengths, Setting, cpu, read_config, shape_of
from ist_core.planner.advice import relief
from ist_core.spec import JobSpec
from store.settings import Settings


def memory_advice(spec: JobSpec, settings: Settings) -> str:
    """Return the planner's advice, of rows as long as may be; in general words where it cannot plan."""
    catalog = Catalog(settings.base_models_dir, hub=settings.hub)
    try:
        shape = shape_of(read_config(catalog.resolve(spec.model)))
        unseen = Lengths.at_limit(spec.batch_size, spec.max_length)
        change = relief(spec, Setting(shape, cpu(), unseen))
    except EngineError:
        change = None
    return str(change) if change else "try a smaller micro_batch_size, batch_size or max_length"
