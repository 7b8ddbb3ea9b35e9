"""How a job was judged, for people: each score and loss before and after training."""

from __future__ import annotations

from collections.abc import Mapping

from isthmus.cli.view.figures import number_text
from isthmus.types.jobs import BeforeAndAfter, JobEvaluation


def evaluation_fields(evaluation: JobEvaluation | None) -> Mapping[str, str]:
    """The figures by their names; none for a job that was not judged."""
    if evaluation is None:
        return {}
    found = {
        name.replace("_", " "): f"{_change(told, 3)} ({told.rows} rows)"
        for name, told in evaluation.scores.items()
    }
    measured = {
        "validation loss": (evaluation.valid_loss, 4),
        "token accuracy": (evaluation.valid_mean_token_accuracy, 3),
        "reward accuracy": (evaluation.valid_reward_accuracy, 3),
    }
    found |= {name: _change(told, digits) for name, (told, digits) in measured.items() if told is not None}
    if evaluation.best_step is not None:
        kept = ", which is the result" if evaluation.selected == "best" else ""
        found["best step"] = f"{evaluation.best_step}{kept}"
    if evaluation.stopped_early:
        found["stopped early"] = "the validation loss fell no more"
    return found


def _change(told: BeforeAndAfter, digits: int) -> str:
    return f"{number_text(told.before, digits)} -> {number_text(told.after, digits)}"
