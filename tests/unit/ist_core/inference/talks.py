"""Talks with a tiny model: through the engine, and through transformers' `generate` alone."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from ist_core.bottleneck import BottleneckConfig
from ist_core.catalog import ModelSource
from ist_core.inference import AdapterRef, ChatEngine, ChatMessage, ChatRequest, Delta

TARGETS = ["q_proj", "v_proj", "up_proj", "down_proj"]
CONFIGS: dict[str, Callable[[], PeftConfig]] = {
    "lora": lambda: LoraConfig(r=4, target_modules="all-linear"),
    "rslora": lambda: LoraConfig(
        r=3,
        use_rslora=True,
        rank_pattern={"q_proj": 2},
        alpha_pattern={"v_proj": 3},
        target_modules=TARGETS[:2],
    ),
    "dora": lambda: LoraConfig(r=4, use_dora=True, target_modules=TARGETS),
    "series": lambda: BottleneckConfig(variant="series", bottleneck_size=4, target_modules=TARGETS),
    "parallel": lambda: BottleneckConfig(
        variant="parallel", bottleneck_size=6, non_linearity="tanh", scaling=2.0, target_modules=TARGETS
    ),
}
"""Every kind of adapter that the service trains."""


def write_adapter(model_folder: Path, config: PeftConfig, folder: Path, *, seed: int = 1) -> Path:
    """Save an adapter that changes much of what the model says; returns `folder`."""
    model = get_peft_model(_load(model_folder), config)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    model.save_pretrained(str(folder))
    return folder


@dataclass(slots=True)
class Answer:
    """What the engine said in one choice."""

    text: str = ""
    deltas: list[Delta] = field(default_factory=list)

    @property
    def last(self) -> Delta:
        return self.deltas[-1]


Answers = dict[tuple[str, int], Answer]


def new_engine(folder: Path, **options: int) -> ChatEngine:
    return ChatEngine(ModelSource("folder", folder.name, str(folder)), cache_dir=folder, **options)


def ask(
    name: str, text: str, *, adapter: Path | None = None, max_tokens: int | None = 24, **options: object
) -> ChatRequest:
    """Make a greedy request, if `options` do not say otherwise; the adapter is called as its folder."""
    return ChatRequest(
        name,
        None if adapter is None else AdapterRef(adapter.name, adapter),
        [ChatMessage("user", text)],
        max_tokens=max_tokens,
        **{"temperature": 0.0, **options},  # type: ignore[arg-type]  # each test names fields of the request
    )


def talk(engine: ChatEngine, requests: Iterable[ChatRequest] = (), *, between: int = 0) -> Answers:
    """Submit requests, with so many steps after each, and take steps until all are answered."""
    answers: Answers = defaultdict(Answer)
    for request in requests:
        engine.submit(request)
        for _ in range(between):
            add(answers, engine.step())
    while not engine.idle:
        add(answers, engine.step())
    return answers


def add(answers: Answers, deltas: Iterable[Delta]) -> None:
    for delta in deltas:
        answer = answers[delta.request_id, delta.index]
        answer.text += delta.text
        answer.deltas.append(delta)


def generate(model_folder: Path, text: str, *, adapter: Path | None = None, tokens: int = 24) -> list[int]:
    """Return the tokens that transformers' own loop writes for one prompt alone, by PEFT's own adapter."""
    model: Any = _load(model_folder)
    if adapter is not None:
        with warnings.catch_warnings():
            # PEFT reads transformers' old name of this property.
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
            model = PeftModel.from_pretrained(model, str(adapter)).eval()
    tokenizer: Any = AutoTokenizer.from_pretrained(model_folder)
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": text}], add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    output = model.generate(**prompt, max_new_tokens=tokens, do_sample=False)
    return list(output[0, prompt["input_ids"].shape[1] :].tolist())


def decode(model_folder: Path, tokens: list[int]) -> str:
    """Return the text of tokens as the engine shows it: a character without its end is none."""
    text = AutoTokenizer.from_pretrained(model_folder).decode(tokens, skip_special_tokens=True)
    return str(text).rstrip("\ufffd")


def _load(folder: Path) -> PreTrainedModel:
    model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(folder)
    torch.nn.Module.eval(model)
    return model
