"""What waits beside a trainer, for days maybe, must not hold the engine in memory."""

import pytest

from tests.loaded import engine_loaded_by


@pytest.mark.parametrize(
    "module", ["worker.app", "worker.attempt", "worker.scheduler", "worker.inference.__main__"]
)
def test_a_supervisor_loads_no_torch(module: str) -> None:
    assert engine_loaded_by(module) == "[]"
