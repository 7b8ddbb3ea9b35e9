"""The loss at supervised positions equals the plain one."""

from pathlib import Path

import pytest
import torch
from peft import PeftModel
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ist_core.adapters import add_adapters
from ist_core.batches import collate
from ist_core.catalog import ModelSource
from ist_core.encoding import Example
from ist_core.kernels import FastPaths
from ist_core.loss import summed_loss, supervised_logits, token_loss
from ist_core.models import load_base_model
from ist_core.spec import LoraSpec
from tests.tiny_model import make_tiny_model
from tests.unit.ist_core.planner.models import adapted, make_model

CPU = torch.device("cpu")
BATCH = collate(
    [
        Example(tuple(range(10, 22)), (False,) * 5 + (True,) * 7, truncated=False),
        Example(tuple(range(40, 47)), (False, True, False, False, True, True, False), truncated=False),
    ],
    pad=0,
    device=CPU,
)


def _gradients(model: PeftModel) -> dict[str, torch.Tensor]:
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad(set_to_none=True)
    return found


@pytest.mark.parametrize("tied", [True, False])
def test_loss_and_gradients_equal_those_of_full_logits(tied: bool, tmp_path: Path) -> None:
    source = ModelSource("folder", "tiny", str(make_tiny_model(tmp_path / "model", tied=tied)))
    base = load_base_model(source, cache_dir=tmp_path, dtype=torch.float32, device=CPU)
    model = add_adapters(base.model, LoraSpec(rank=4), seed=0)
    loss = summed_loss(model, BATCH)
    loss.backward()  # type: ignore[no-untyped-call]  # torch has no types here
    ours = _gradients(model)

    mask = torch.zeros_like(BATCH.tokens)
    for place, row in enumerate(BATCH.rows):
        mask[place, : len(row)] = 1
    logits = model(input_ids=BATCH.tokens, attention_mask=mask).logits
    assert logits.shape[:2] == BATCH.tokens.shape  # the hook is gone
    plain = cross_entropy(logits.flatten(0, 1)[BATCH.positions], BATCH.targets, reduction="sum")
    plain.backward()  # type: ignore[no-untyped-call]  # torch has no types here
    theirs = _gradients(model)

    torch.testing.assert_close(loss, plain)
    assert ours.keys() == theirs.keys()
    assert len(ours) == 4 * 7 * 2
    for name, gradient in ours.items():
        torch.testing.assert_close(gradient, theirs[name])


def test_padding_changes_nothing(tiny_lora: PeftModel) -> None:
    alone = [
        Example(tuple(range(10, 22)), (False,) * 5 + (True,) * 7, truncated=False),
        Example(tuple(range(40, 47)), (False, True, False, False, True, True, False), truncated=False),
    ]
    parts = [summed_loss(tiny_lora, collate([example], pad=0, device=CPU)) for example in alone]
    torch.testing.assert_close(summed_loss(tiny_lora, BATCH), parts[0] + parts[1])


@pytest.mark.parametrize("fast", [False, True], ids=["plain", "fast"])
@pytest.mark.parametrize(("dtype", "close"), [(torch.float32, 1e-5), (torch.bfloat16, 0.02)], ids=str)
@pytest.mark.parametrize("family", ["llama", "mistral", "qwen2", "gemma"])
def test_each_family_has_the_loss_of_its_logits(
    family: str, dtype: torch.dtype, close: float, fast: bool
) -> None:
    model = adapted(make_model(family, dtype)[0], LoraSpec(rank=4))
    if fast:
        FastPaths(model)
    found = token_loss(model, BATCH)
    found.loss.backward()  # type: ignore[no-untyped-call]  # torch has no types here
    ours = _gradients(model)
    logits = supervised_logits(model, BATCH)
    plain = cross_entropy(logits.float(), BATCH.targets, reduction="sum")
    plain.backward()  # type: ignore[no-untyped-call]  # as above
    torch.testing.assert_close(found.loss, plain, rtol=close, atol=0)
    assert int(found.right) == int((logits.argmax(-1) == BATCH.targets).sum())
    for name, gradient in _gradients(model).items():
        assert (ours[name] - gradient).norm() <= close * gradient.norm(), name


@pytest.mark.parametrize(("family", "known"), [("llama", True), ("gemma", False)])
def test_logits_are_not_kept_where_the_family_is_known(family: str, known: bool) -> None:
    words = 4096
    model = adapted(make_model(family, vocab_size=words)[0], LoraSpec(rank=4))
    assert (max(_kept(model)) >= BATCH.weight * words) is not known


def _kept(model: PeftModel) -> list[int]:
    """Return the sizes of what autograd keeps of a batch, beside the model's own weights."""
    own = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    sizes: list[int] = []

    def pack(tensor: Tensor) -> Tensor:
        if tensor.untyped_storage().data_ptr() not in own:
            sizes.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        summed_loss(model, BATCH)
    return sizes


def test_an_output_layer_that_is_looked_at_or_trained_is_left_alone() -> None:
    model = adapted(make_model("llama")[0], LoraSpec(rank=4))
    head = model.get_output_embeddings()
    assert isinstance(head, nn.Linear)
    seen: list[torch.Size] = []
    hook = head.register_forward_hook(lambda _, __, logits: seen.append(logits.shape))
    looked_at = token_loss(model, BATCH)
    hook.remove()
    assert seen == [(1, BATCH.weight, model.config.vocab_size)]
    torch.testing.assert_close(looked_at.loss, summed_loss(model, BATCH))
    head.weight.requires_grad_(True)
    summed_loss(model, BATCH).backward()  # type: ignore[no-untyped-call]  # torch has no types here
    assert head.weight.grad is not None
