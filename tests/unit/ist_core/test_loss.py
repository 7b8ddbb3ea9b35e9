"""The loss at supervised positions equals the plain one."""

from pathlib import Path

import pytest
import torch
from peft import PeftModel
from torch.nn.functional import cross_entropy

from ist_core.adapters import add_adapters
from ist_core.batches import collate
from ist_core.catalog import ModelSource
from ist_core.encoding import Example
from ist_core.loss import summed_loss
from ist_core.models import load_base_model
from ist_core.spec import LoraSpec
from tests.tiny_model import make_tiny_model

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

    logits = model(input_ids=BATCH.tokens, attention_mask=BATCH.mask).logits
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
