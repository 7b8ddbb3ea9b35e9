"""The chat engine beside transformers' `generate`: `python -m benchmarks.chat [--quick]`.

One process, one model (SmolLM2-135M), greedy answers to the same prompts: `generate` answers them one by one,
the engine 1, 4 and 8 at once, and 8 of the base model and four LoRA adapters in one batch (beside PEFT's
`generate`). Each round measures all in turn, the best of the rounds counts. Prints a table, writes
benchmarks/results/chat.json.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import PreTrainedTokenizerBase

from ist_core.adapters import add_adapters
from ist_core.catalog import SMOLLM2, Catalog, ModelSource
from ist_core.encoding import render
from ist_core.inference import AdapterRef, ChatEngine, ChatMessage, ChatRequest
from ist_core.models import BaseModel, default_cache, load_base_model
from ist_core.spec import LoraSpec

RESULTS = Path(__file__).parent / "results" / "chat.json"
SUBJECTS = ("a lamp", "the sea", "two brothers", "a lost key", "the moon", "an old dog", "rain", "a train")
FIRST_TOKEN_SECONDS = 1.0
ADAPTERS = 4
Timed = dict[str, list[float]]
"""Tokens a second, by what was measured, one value a round."""


def question(number: int) -> str:
    """Return a prompt whose answer is long; they differ in length."""
    return "Once more, please. " * (3 * number) + f"Tell me a long story about {SUBJECTS[number]}."


def write_adapters(base: BaseModel, folder: Path) -> tuple[Any, list[AdapterRef]]:
    """Put random LoRA adapters on a model; returns PEFT's model, which has them all, and their folders."""
    refs = [AdapterRef(f"lora-{number}", folder / f"lora-{number}") for number in range(ADAPTERS)]
    adapted: PeftModel = add_adapters(base.model, LoraSpec(rank=8), seed=0)
    for number, ref in enumerate(refs):
        generator = torch.Generator().manual_seed(number)
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.data.copy_(0.01 * torch.randn(parameter.shape, generator=generator))
        adapted.save_pretrained(str(ref.folder), save_embedding_layers=False)
    for ref in refs:
        adapted.load_adapter(str(ref.folder), ref.name)
    return adapted.eval(), refs


def one_by_one(
    model: Any, tokenizer: PreTrainedTokenizerBase, count: int, tokens: int
) -> tuple[list[str], list[int], float]:
    """Let transformers answer the first prompts; returns texts, tokens of each, and seconds."""
    texts, sizes = [], []
    start = time.perf_counter()
    for number in range(count):
        prompt = render(tokenizer, [{"role": "user", "content": question(number)}], 1, prompt=True)
        batch: Any = tokenizer(prompt, add_special_tokens=False, return_tensors="pt")
        output = model.generate(**batch, max_new_tokens=tokens, do_sample=False)
        answer = output[0, batch["input_ids"].shape[1] :]
        # The engine shows no character without its end.
        texts.append(str(tokenizer.decode(answer, skip_special_tokens=True)).rstrip("\ufffd"))
        sizes.append(len(answer))
    return texts, sizes, time.perf_counter() - start


def at_once(
    engine: ChatEngine, count: int, tokens: int, adapters: Sequence[AdapterRef | None] = (None,)
) -> tuple[list[str], int, float]:
    """Let the engine answer the first prompts together; returns texts, tokens of all, and seconds."""
    start = time.perf_counter()
    for number in range(count):
        engine.submit(_ask(str(number), question(number), tokens, adapters[number % len(adapters)]))
    texts, written = [""] * count, 0
    while not engine.idle:
        for delta in engine.step():
            texts[int(delta.request_id)] += delta.text
            written += delta.completion_tokens if delta.finish_reason else 0
    return texts, written, time.perf_counter() - start


def first_token(engine: ChatEngine) -> float:
    """Return the seconds from a short request to an idle engine until its first text."""
    start = time.perf_counter()
    engine.submit(_ask("first", question(0), 2, None))
    while not engine.step():
        pass
    seconds = time.perf_counter() - start
    engine.cancel("first")
    return seconds


def longest_pause(engine: ChatEngine, *, beside_long_prompt: bool) -> float:
    """Return the longest step of an answer of 40 tokens, alone or while a long prompt joins."""
    engine.submit(_ask("runs", question(1), 40, None))
    engine.step()
    if beside_long_prompt:
        engine.submit(_ask("long", "word " * (engine.window // 8), 1, None))
    pauses = []
    while not engine.idle:
        start = time.perf_counter()
        engine.step()
        pauses.append(time.perf_counter() - start)
    return max(pauses)


def measure(source: ModelSource, *, rounds: int, tokens: int, counts: Sequence[int]) -> dict[str, Any]:
    """Measure everything in turn, `rounds` times; returns what is written."""
    device = torch.device("cpu")
    load: Callable[[], BaseModel] = lambda: load_base_model(  # noqa: E731  # twice the same
        source, cache_dir=default_cache(), dtype=torch.float32, device=device
    )
    plain, most = load(), max(counts)
    engine = ChatEngine(source, cache_dir=default_cache(), max_batch=most)
    speeds: Timed = {}
    firsts, calm, beside, alike = [], [], [], []
    with tempfile.TemporaryDirectory() as place, torch.inference_mode():
        adapted, refs = write_adapters(load(), Path(place))
        mixed: list[AdapterRef | None] = [None, *refs]
        at_once(engine, most, 2, mixed)  # reads the adapters
        for _ in range(rounds):
            texts, sizes, seconds = one_by_one(plain.model, plain.tokenizer, most, tokens)
            speeds.setdefault("generate, one by one", []).append(sum(sizes) / seconds)
            adapted.set_adapter(refs[0].name)
            _, sizes, seconds = one_by_one(adapted, plain.tokenizer, most, tokens)
            speeds.setdefault("generate with PEFT, one by one", []).append(sum(sizes) / seconds)
            for count in counts:
                found, written, seconds = at_once(engine, count, tokens)
                speeds.setdefault(f"engine, {count} at once", []).append(written / seconds)
                alike += [mine == theirs for mine, theirs in zip(found, texts, strict=False)]
            _, written, seconds = at_once(engine, most, tokens, mixed)
            speeds.setdefault(f"engine, {most} of {len(mixed)} models", []).append(written / seconds)
            firsts += [first_token(engine) for _ in range(3)]
            calm.append(longest_pause(engine, beside_long_prompt=False))
            beside.append(longest_pause(engine, beside_long_prompt=True))
    return {
        "machine": {"system": platform.platform(), "threads": torch.get_num_threads()},
        "rounds": rounds,
        "model": source.name,
        "answer_tokens": tokens,
        "speeds": _ratios(speeds),
        "first_token_seconds": round(statistics.median(firsts), 3),
        "longest_step_seconds": {"alone": round(min(calm), 3), "beside_a_long_prompt": round(min(beside), 3)},
        "answers_as_generate": {"same": sum(alike), "of": len(alike)},
    }


def _ratios(speeds: Timed) -> dict[str, dict[str, float]]:
    """Each way's best tokens a second, and how many times that of `generate` on the same kind of model."""
    best = {name: max(values) for name, values in speeds.items()}
    plain, with_peft = best["generate, one by one"], best["generate with PEFT, one by one"]
    return {
        name: {
            "tokens_per_second": round(value, 1),
            "times_generate": round(value / (with_peft if "models" in name or "PEFT" in name else plain), 2),
        }
        for name, value in best.items()
    }


def _ask(name: str, text: str, tokens: int, adapter: AdapterRef | None) -> ChatRequest:
    return ChatRequest(name, adapter, [ChatMessage("user", text)], max_tokens=tokens, temperature=0.0)


def table(found: dict[str, Any]) -> str:
    """Return the results for a person."""
    lines = [f"{'tokens/s':>9} {'x generate':>11}"]
    for name, line in found["speeds"].items():
        lines.append(f"{line['tokens_per_second']:9.1f} {line['times_generate']:11.2f}  {name}")
    steps, same = found["longest_step_seconds"], found["answers_as_generate"]
    lines += [
        f"first token {found['first_token_seconds']:.3f} s (target: below {FIRST_TOKEN_SECONDS:.0f} s)",
        f"longest step {steps['alone']:.3f} s, beside a long prompt {steps['beside_a_long_prompt']:.3f} s",
        f"answers that are the text of generate: {same['same']} of {same['of']}",
    ]
    return "\n".join(lines)


def main() -> int:
    """Run the measures, print the table, write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few tokens each, nothing is written")
    parser.add_argument("--rounds", type=int, default=2, help="how often each is measured (default: 2)")
    options = parser.parse_args()
    tokens, counts = (4, (1, 2)) if options.quick else (48, (1, 4, 8))
    found = measure(Catalog().resolve(SMOLLM2), rounds=options.rounds, tokens=tokens, counts=counts)
    print(table(found))
    if not options.quick:
        RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
