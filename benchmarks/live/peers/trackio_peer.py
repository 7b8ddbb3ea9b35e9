"""trackio in its local mode: `init`, `log`, `finish`; read by the function that its CLI and server call."""

from __future__ import annotations

import os
import time

from benchmarks.live.peers.series import answer, options, point, timed, values

PROJECT = "bench"


def main() -> None:
    """Measure one thing."""
    given = options()
    os.environ["TRACKIO_DIR"] = str(given.folder.resolve())
    import trackio  # it reads the folder when it is imported
    from trackio.sqlite_storage import SQLiteStorage

    trackio.init(PROJECT, name="run", embed=False, auto_log_gpu=False, auto_log_cpu=False)
    began = time.perf_counter()
    for step in range(1, given.size + 1):
        trackio.log(values(step) if given.measure == "ingest" else {"loss": point(step)}, step=step)
    trackio.finish()
    seconds = time.perf_counter() - began
    stored = SQLiteStorage.get_log_count(PROJECT, "run")
    if given.measure == "ingest":
        answer(records=given.size, seconds=seconds, stored=stored, version=trackio.__version__)
        return
    if stored != given.size:
        raise RuntimeError(f"trackio stored {stored} of {given.size}")

    def sampled() -> int:
        return len(SQLiteStorage.get_metric_values(PROJECT, "run", "loss", max_points=given.points))

    def whole() -> int:
        return len(SQLiteStorage.get_metric_values(PROJECT, "run", "loss"))

    answer(
        reads={"get_metric_values(max_points)": timed(sampled), "get_metric_values": timed(whole)},
        version=trackio.__version__,
    )


if __name__ == "__main__":
    main()
