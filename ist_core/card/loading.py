"""How to load a model: the lines of code for each format."""

from __future__ import annotations

from ist_core.base_facts import BaseFacts
from ist_core.card.facts import CardFormat, Names, Run

_ANSWER = """
chat = [{"role": "user", "content": "Hello!"}]
prompt = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
inputs = tokenizer(prompt, add_special_tokens=False, return_tensors="pt")
output = model.generate(**inputs, max_new_tokens=100)
print(tokenizer.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))"""


def how_to_load(form: CardFormat, run: Run, base: BaseFacts, names: Names) -> str:
    """Return the section; `folder` stands for where the model's files lie."""
    if form == "adapter":
        parts = [_with_peft(run, base), _with_isthmus(run, names)]
    elif form == "merged":
        parts = [_with_transformers(), "With vLLM: `vllm serve folder`."]
    else:
        parts = _with_llama_cpp(names.file or "model.gguf")
    return "\n\n".join(parts)


def _with_peft(run: Run, base: BaseFacts) -> str:
    lines = ["from peft import PeftModel", "from transformers import AutoModelForCausalLM, AutoTokenizer"]
    if run.spec["adapter"]["type"] == "bottleneck":
        lines += ["import ist_core.bottleneck  # tells peft of these adapters"]
    if base.file:
        arguments = f'"base", gguf_file="{base.file}"'
        where = f"where `base` is the folder of the base model's file `{base.file}`"
    else:
        arguments, where = f'"{base.name}"', "where `folder` is this one"
    lines += [
        "",
        f'base = AutoModelForCausalLM.from_pretrained({arguments}, dtype="float32")',
        'model = PeftModel.from_pretrained(base, "folder")',
        'tokenizer = AutoTokenizer.from_pretrained("folder")',
    ]
    return f"With peft and transformers, {where}:\n\n{_python(lines)}"


def _with_isthmus(run: Run, names: Names) -> str:
    if names.model is None:
        return (
            "With Isthmus, on rows that have an answer:\n\n```sh\n"
            f"python -m ist_core.evaluate --model {run.report['model']} --adapter folder --data rows.jsonl "
            "--output scores.json\n```"
        )
    lines = [
        "from openai import OpenAI",
        "",
        'client = OpenAI(base_url="http://127.0.0.1:8000/v1", api_key="...")',
        "answer = client.chat.completions.create(",
        f'    model="{names.model}", messages=[{{"role": "user", "content": "Hello!"}}]',
        ")",
        "print(answer.choices[0].message.content)",
    ]
    return f"With the Isthmus service that trained it:\n\n```python\n{chr(10).join(lines)}\n```"


def _with_transformers() -> str:
    lines = [
        "from transformers import AutoModelForCausalLM, AutoTokenizer",
        "",
        'model = AutoModelForCausalLM.from_pretrained("folder")',
        'tokenizer = AutoTokenizer.from_pretrained("folder")',
    ]
    return f"With transformers:\n\n{_python(lines)}"


def _with_llama_cpp(file: str) -> list[str]:
    lines = [
        "from llama_cpp import Llama",
        "",
        f'model = Llama("folder/{file}")',
        'answer = model.create_chat_completion([{"role": "user", "content": "Hello!"}])',
        'print(answer["choices"][0]["message"]["content"])',
    ]
    return [
        f"With llama.cpp: `llama-server -m folder/{file}`, or from Python with llama-cpp-python:",
        f"```python\n{chr(10).join(lines)}\n```",
        f"With Ollama: a `Modelfile` of the line `FROM ./{file}`, then `ollama create NAME` in the folder.",
    ]


def _python(lines: list[str]) -> str:
    return "```python\n" + "\n".join(lines) + "\n" + _ANSWER + "\n```"
