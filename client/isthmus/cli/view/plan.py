"""A plan for people: whether a job fits, what it needs, how long it takes."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from isthmus.cli.view.figures import duration_text, size_text
from isthmus.cli.view.tables import fields
from isthmus.types.plan import Plan, PlannedEvaluation

VERDICTS = {"fits": ("fits", "green"), "tight": ("tight", "yellow"), "does_not_fit": ("does not fit", "red")}


def plan_view(plan: Plan) -> RenderableType:
    """The verdict first, the parts of the memory, the steps and the time, then what it rests on."""
    word, style = VERDICTS.get(plan.verdict, (plan.verdict, ""))
    verdict = Text.assemble(
        (word, f"bold {style}"),
        f": {size_text(plan.peak_bytes)} at the peak, {size_text(plan.budget_bytes)} on {plan.device.name}",
    )
    parts: list[RenderableType] = [verdict]
    if plan.change is not None:
        parts.append(Text(f"to fit: {plan.change.text} ({size_text(plan.change.peak_bytes)})"))
    parts.append(_figures(plan))
    parts += [Text(f"assumed: {assumption}", style="bright_black") for assumption in plan.assumptions]
    return Group(*parts)


def _figures(plan: Plan) -> RenderableType:
    seconds, hyperparameters = plan.seconds, plan.hyperparameters
    memory = {f"memory: {name.replace('_', ' ')}": size_text(count) for name, count in plan.memory if count}
    return fields(
        {
            "model": plan.model,
            "time": f"{duration_text(seconds.low)} to {duration_text(seconds.high)}, "
            f"expected {duration_text(seconds.expected)}",
            "steps": f"{plan.steps:,}",
            "rows": f"{plan.rows:,}",
            "tokens": f"{plan.tokens:,} ({plan.lengths.known})",
            "evaluation": _evaluation(plan.evaluation),
            "epochs": hyperparameters.n_epochs,
            "batch size": f"{hyperparameters.batch_size} (in pieces of {plan.micro_batch_size})",
            "precision": plan.precision,
            "layers": f"{plan.layers}; a step updates {plan.mean_selection.active:g} in the mean",
            "trainable": f"{plan.trainable_parameters:,} of {plan.total_parameters:,} parameters",
            **memory,
        }
    )


def _evaluation(planned: PlannedEvaluation | None) -> str | None:
    if planned is None:
        return None
    answers = f", {planned.answered_rows:,} rows answered by both models" if planned.answered_rows else ""
    return f"{planned.measured_rows:,} rows measured{answers}"
