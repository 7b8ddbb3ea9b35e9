"""Writes a model's card: front matter for the Hub, sections, pictures."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import ModelCard, ModelCardData

from ist_core.base_facts import BaseFacts, base_facts
from ist_core.card import sections
from ist_core.card.facts import CardFormat, Names, Run, Verdict
from ist_core.card.loading import how_to_load
from ist_core.card.pictures import draw_layers, draw_losses
from ist_core.catalog import ModelSource

README = "README.md"

_LIBRARIES = {"adapter": "peft", "merged": "transformers", "gguf_f16": "gguf", "gguf_q8_0": "gguf"}
_RELATIONS = {"adapter": "adapter", "merged": "finetune", "gguf_f16": "quantized", "gguf_q8_0": "quantized"}


def write_card(
    folder: Path,
    run: Run,
    source: ModelSource,
    *,
    form: CardFormat = "adapter",
    names: Names | None = None,
    verdict: Verdict | None = None,
) -> None:
    """Write `README.md` and its pictures into `folder`.

    Args:
        run: what `read_run` returns.
        source: the base model.
        verdict: how an export's check went; None: it is the adapter as it was trained.
    """
    names, base = names or Names(), base_facts(source)
    parts = {
        "": sections.introduction(form, run, base),
        "Results": sections.results(run, draw_losses(run, folder)),
    }
    if run.sparse:
        parts["Layers"] = sections.layers(run, draw_layers(run, folder))
    if verdict is not None:
        parts["Check"] = sections.check(verdict)
    parts["Load"] = how_to_load(form, run, base, names)
    parts["Data"] = sections.data(run)
    parts["Reproduce"] = sections.reproduction(run, names)
    parts["Time and memory"] = sections.cost(run)
    title = names.model or f"{base.name.rpartition('/')[2]}, tuned with Isthmus"
    text = "\n\n".join(
        f"## {head}\n\n{part}" if head else f"# {title}\n\n{part}" for head, part in parts.items()
    )
    card = ModelCard(f"---\n{_front_matter(form, run, base).to_yaml()}\n---\n\n{text}\n")
    card.save(folder / README)


def _front_matter(form: CardFormat, run: Run, base: BaseFacts) -> ModelCardData:
    # Only a Hub id: any other name would lead to somebody else's model, or be refused.
    base_model = base.name if base.hub else None
    tags = ["isthmus", *(["importance-aware-sparse-tuning"] if run.sparse else [])]
    tags += [run.adapter.lower().replace(" ", "-"), "sft" if run.method == "supervised" else "dpo"]
    return ModelCardData(
        base_model=base_model,
        base_model_relation=_RELATIONS[form] if base_model else None,
        library_name=_LIBRARIES[form],
        license=base.license,
        pipeline_tag="text-generation",
        tags=tags,
    )
