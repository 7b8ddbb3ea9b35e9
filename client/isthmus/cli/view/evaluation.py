"""How a job was judged, for people: each score before and after training, and the losses."""

from __future__ import annotations

from collections.abc import Mapping

from isthmus.cli.view.figures import number_text
from isthmus.types.jobs import JobEvaluation


def evaluation_fields(evaluation: JobEvaluation | None) -> Mapping[str, str | None]:
    """The figures by their names; none for a job that was not judged."""
    if evaluation is None:
        return {}
    scores = {
        name.replace("_", " "): f"{number_text(told.before, 3)} -> {number_text(told.after, 3)}"
        f" ({evaluation.rows} rows)"
        for name, told in evaluation.scores.items()
    }
    losses = ", ".join(f"{number_text(loss)} {when}" for when, loss in evaluation.valid_loss.items())
    stopped = "the validation loss fell no more" if evaluation.stopped_early else None
    return {
        **scores,
        "validation loss": losses,
        "best step": str(evaluation.best_step) if evaluation.best_step is not None else None,
        "stopped early": stopped,
    }
