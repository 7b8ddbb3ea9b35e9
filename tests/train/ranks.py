"""One rank of a distributed run on the CPU: `python -m tests.train.ranks RANK WORLD FOLDER LOOP SEED`.

Writes `RANK.pt`: the adapter's weights, the selections and the scores. LOOP is one of SPECS, for
DistributedDataParallel in a loop of one's own, or `trainer`: transformers.Trainer on FOLDER/model.
"""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from ist_core import IST, IstSpec
from ist_core.errors import IstError
from ist_core.ist import layer_groups
from tests.tiny_lora import tiny_lora_model

SPECS = {
    "probes": IstSpec(
        policy="importance", scorer="suppression", update_fraction=0.5, probe_interval=2, warmup_steps=1
    ),
    "gradients": IstSpec(probe_interval=2, warmup_steps=3),
}
STEPS = 7


def batches(rank: int, world: int) -> list[Tensor]:
    """Return this rank's share of each step's batch of four rows; with one rank it is the whole."""
    generator = torch.Generator().manual_seed(0)
    whole = [torch.randint(0, 64, (4, 12), generator=generator) for _ in range(STEPS + 1)]
    return [batch.chunk(world)[rank] for batch in whole]


def own_loop(rank: int, world: int, seed: int, spec: IstSpec) -> dict[str, Any]:
    """Train with DDP; the last batch is the probe."""
    model = tiny_lora_model()
    model.train()
    *training, probe = batches(rank, world)
    ist = IST(model, spec, probe=[probe], loss=_loss, total_steps=STEPS, seed=seed)
    wrapped = DistributedDataParallel(model, find_unused_parameters=True) if world > 1 else model
    optimizer = torch.optim.AdamW(layer_groups(ist.layers), lr=1e-2)
    ist.begin(optimizer=optimizer)
    selections = []
    for batch in training:
        with ist.step() as record:
            torch.autograd.backward(_loss(wrapped, batch))
            optimizer.step()
            optimizer.zero_grad()
        selections.append(record.active)
    return _result(model, ist, selections)


def trainer_loop(folder: Path) -> dict[str, Any]:
    """Train with transformers.Trainer."""
    from tests.train import trainers

    model = trainers.adapted(folder / "model")
    ist = IST(model, SPECS["probes"])
    trainer = trainers.plain(model, folder / "model", folder / "out", max_steps=STEPS, save_strategy="no")
    ist.attach(trainer)
    trainer.train()
    return _result(model, ist, [])


def _loss(model: nn.Module, batch: Tensor) -> Tensor:
    loss: Tensor = model(input_ids=batch, labels=batch).loss
    return loss


def _result(model: nn.Module, ist: IST, selections: list[tuple[int, ...]]) -> dict[str, Any]:
    weights = {name: value.detach() for name, value in model.named_parameters() if "lora_" in name}
    return {"weights": weights, "scores": ist.importance, "active": ist.active, "selections": selections}


def main() -> None:
    """Join the other ranks over gloo, train, write."""
    rank, world, folder, loop, seed = sys.argv[1:]
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    if int(world) > 1:
        os.environ |= {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world}
        # The ranks meet in a file; accelerate, under the trainer, asks for an address all the same.
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}
        store = f"file://{folder}/store"
        distributed.init_process_group("gloo", init_method=store, rank=int(rank), world_size=int(world))
    try:
        if loop == "trainer":
            result = trainer_loop(Path(folder))
        else:
            result = own_loop(int(rank), int(world), int(seed), SPECS[loop])
    except IstError as error:
        result = {"error": str(error)}
    torch.save(result, Path(folder) / f"{rank}.pt")
    if int(world) > 1:
        distributed.barrier()  # a rank that leaves while the other still needs it ends that one with an abort
        distributed.destroy_process_group()


if __name__ == "__main__":
    main()
