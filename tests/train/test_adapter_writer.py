"""The writer of checkpoints' adapters writes what PEFT writes."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from peft import (
    AdaLoraConfig,
    IA3Config,
    LoraConfig,
    PeftConfig,
    PeftModel,
    PrefixTuningConfig,
    VeraConfig,
    get_peft_model,
    set_peft_model_state_dict,
)
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerBase

from ist_core.adapter_writer import AdapterWriter, copy_rest
from ist_core.artifacts import save_adapter
from ist_core.tensor_file import write_tensors
from tests.train.bottleneck_models import make_config

# PEFT 0.21 still reads an attribute that transformers 5.23 has renamed; the code under test does not.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")

TARGETS = ["q_proj", "down_proj"]
CONFIGS = {
    "lora": LoraConfig(r=2, target_modules=TARGETS, task_type="CAUSAL_LM"),
    "lora with biases": LoraConfig(r=2, target_modules=TARGETS, bias="lora_only"),
    "dora": LoraConfig(r=2, target_modules=TARGETS, use_dora=True),
    "a module in full": LoraConfig(r=2, target_modules=["q_proj"], modules_to_save=["norm"]),
    "ia3": IA3Config(target_modules=TARGETS, feedforward_modules=["down_proj"]),
    "vera": VeraConfig(r=2, target_modules=["q_proj"]),
    "adalora": AdaLoraConfig(init_r=4, target_r=2, target_modules=TARGETS, total_step=10, tfinal=1),
    "series": make_config(variant="series"),
    "parallel": make_config(variant="parallel"),
    "prefix": PrefixTuningConfig(num_virtual_tokens=3, task_type="CAUSAL_LM"),
}
BY_PEFT = {"prefix"}
"""What it saves is no parameter, so it is asked each time."""


@pytest.fixture(scope="module")
def tokenizer(tiny_folder: Path) -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(tiny_folder)


def adapted(folder: Path, config: PeftConfig) -> PeftModel:
    # A copy: PEFT and the tests write into it.
    return get_peft_model(AutoModelForCausalLM.from_pretrained(folder), copy.deepcopy(config))


def learn(model: PeftModel) -> None:
    """Change all that is trained, where it lies, as an optimizer does."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.rand_like(parameter))


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def check(
    writer: AdapterWriter, model: PeftModel, tokenizer: PreTrainedTokenizerBase, folder: Path, earlier: Path
) -> bool:
    """Whether the writer wrote all of it; in any case what it wrote is what there has to be."""
    mine, theirs = folder / "mine", folder / "theirs"
    complete = writer.write(mine, earlier=earlier)
    if not complete:
        assert list(contents(mine)) == ["adapter/adapter_model.safetensors"]
        copy_rest(earlier, mine)
    save_adapter(model, tokenizer, theirs)
    assert contents(mine) == contents(theirs)
    return complete


@pytest.mark.parametrize("name", CONFIGS)
def test_it_writes_what_peft_writes(
    tiny_folder: Path, tokenizer: PreTrainedTokenizerBase, tmp_path: Path, name: str
) -> None:
    model = adapted(tiny_folder, CONFIGS[name])
    writer = AdapterWriter(model, tokenizer)
    assert writer.write(tmp_path / "first")
    before = contents(tmp_path / "first")
    learn(model)
    assert check(writer, model, tokenizer, tmp_path, tmp_path / "first") == (name in BY_PEFT)
    assert contents(tmp_path / "first") == before != contents(tmp_path / "mine")


@pytest.mark.parametrize("name", ["lora", "dora", "ia3", "series"])
def test_it_writes_what_a_run_that_goes_on_has_learnt(
    tiny_folder: Path, tokenizer: PreTrainedTokenizerBase, tmp_path: Path, name: str
) -> None:
    """Also when weights are taken up after it has asked for the names."""
    model = adapted(tiny_folder, CONFIGS[name])
    writer = AdapterWriter(model, tokenizer)
    learn(model)
    writer.write(tmp_path / "first")
    saved = load_file(tmp_path / "first" / "adapter" / "adapter_model.safetensors")
    learn(model)
    set_peft_model_state_dict(model, saved)
    assert not check(writer, model, tokenizer, tmp_path, tmp_path / "first")
    assert contents(tmp_path / "mine") == contents(tmp_path / "first")


def test_settings_that_change_are_written(
    tiny_folder: Path, tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    """As AdaLoRA's do once it has found its ranks, which its matrices are then cut down to."""
    model = adapted(tiny_folder, CONFIGS["adalora"])
    writer = AdapterWriter(model, tokenizer)
    writer.write(tmp_path / "first")
    names = [name for name, _ in model.named_parameters() if "lora_E" in name]
    kept = {name.removeprefix("base_model.model."): [True, False, True, False] for name in names}
    model.active_peft_config.rank_pattern = kept
    assert check(writer, model, tokenizer, tmp_path / "second", tmp_path / "first")
    learn(model)
    assert check(writer, model, tokenizer, tmp_path / "third", tmp_path / "second" / "mine")


def test_another_adapter_beside_has_its_files(
    tiny_folder: Path, tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    model = adapted(tiny_folder, CONFIGS["lora"])
    model.add_adapter("reference", CONFIGS["lora"])
    writer = AdapterWriter(model, tokenizer)
    writer.write(tmp_path / "first")
    learn(model)
    assert check(writer, model, tokenizer, tmp_path, tmp_path / "first")
    assert "adapter/reference/adapter_model.safetensors" in contents(tmp_path / "mine")


def test_a_file_of_tensors_is_safetensors_own(tmp_path: Path) -> None:
    numbers = torch.arange(12.0).reshape(3, 4)
    tensors = {
        "b": numbers,
        "a": numbers.t().to(torch.bfloat16),
        "step": torch.tensor(3.0),
        "random": torch.get_rng_state(),
        "none": torch.empty(0, 4),
        "half": torch.nn.Parameter(numbers.half()),
    }
    write_tensors(tensors, tmp_path / "mine", metadata={"format": "pt"})
    save_file(
        {name: value.contiguous() for name, value in tensors.items()}, tmp_path / "theirs", {"format": "pt"}
    )
    assert (tmp_path / "mine").read_bytes() == (tmp_path / "theirs").read_bytes()
    assert torch.equal(load_file(tmp_path / "mine")["a"], tensors["a"])
    write_tensors({"one": numbers, "two": numbers}, tmp_path / "twice")
    assert torch.equal(load_file(tmp_path / "twice")["two"], numbers)
