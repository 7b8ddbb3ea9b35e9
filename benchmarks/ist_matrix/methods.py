"""The matrix's rows: every method of peft that works per layer, LoRA's variants, and our bottlenecks.

Not here: LoRA's initialisations from data (EVA, CorDA, LoRA-GA) and for quantised models (LoftQ, QALoRA),
which are plain LoRA once made, and MonteCLoRA, whose drawn noise peft does not save: nothing can resume it
exactly.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any, cast

import torch
from peft import KasaConfig, PeftConfig
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING
from peft.tuners.lora.config import BdLoraConfig, VeloraConfig
from peft.utils import PeftType

from benchmarks.ist_matrix.models import MARK, Target
from ist_core.bottleneck import BottleneckType

Fields = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Method:
    """How one row's adapters are made."""

    kind: str
    """peft's name of the method."""
    fields: Callable[[Target], Fields]
    inputs: Fields = field(default_factory=dict)
    """What the model's forward pass needs beside token ids."""
    package: str | None = None
    """A package that peft needs for this method and that this project does not."""

    @property
    def missing(self) -> bool:
        """Whether that package is not here."""
        return self.package is not None and find_spec(self.package) is None

    def config(self, target: Target) -> PeftConfig:
        """Return the config for a model with this target."""
        defaults: Fields = {"task_type": "CAUSAL_LM", "target_modules": target.linears}
        return config_class(self.kind)(**(defaults | self.fields(target)))


def config_class(kind: str) -> type[PeftConfig]:
    """Return peft's config class of a method."""
    return PEFT_TYPE_TO_CONFIG_MAPPING[cast("PeftType", kind)]


def _row(kind: str, **fields: Any) -> Method:
    return Method(kind, lambda _: fields)


def _patterns(target: Target) -> Fields:
    return {"r": 4, "rank_pattern": {target.linears[0]: 2}, "alpha_pattern": {target.linears[-1]: 5}}


def _poly() -> Method:
    shape = {"r": 4, "n_tasks": 2, "n_skills": 2, "n_splits": 1}
    return Method("POLY", lambda _: shape, inputs={"task_ids": torch.tensor([0, 1])})


METHODS: dict[str, Method] = {
    "LoRA": _row("LORA", r=4),
    "LoRA, patterns": Method("LORA", _patterns),
    "LoRA, lora_bias": _row("LORA", r=4, lora_bias=True),
    "LoRA, bias lora_only": _row("LORA", r=4, bias="lora_only"),
    "LoRA, bias all": _row("LORA", r=4, bias="all"),
    "LoRA, norms in full": Method("LORA", lambda t: {"r": 4, "modules_to_save": [t.norms[0]]}),
    "LoRA, head in full": _row("LORA", r=4, modules_to_save=["lm_head"]),
    "LoRA on parameters": Method(
        "LORA", lambda t: {"r": 4, "target_modules": [], "target_parameters": t.parameters}
    ),
    "rsLoRA": _row("LORA", r=4, use_rslora=True),
    "PiSSA": _row("LORA", r=4, init_lora_weights="pissa"),
    "OLoRA": _row("LORA", r=4, init_lora_weights="olora"),
    "orthogonal LoRA": _row("LORA", r=4, init_lora_weights="orthogonal"),
    "MiCA": _row("LORA", r=4, init_lora_weights="mica"),
    "DoRA": _row("LORA", r=4, use_dora=True),
    "KaSA": _row("LORA", r=4, kasa_config=KasaConfig()),
    "VeLoRA": _row("LORA", r=4, velora_config=VeloraConfig(num_groups=4)),
    "BD-LoRA": Method(
        "LORA", lambda t: {"r": 4, "use_bdlora": BdLoraConfig(target_modules_bd_b=t.linears, nblocks=2)}
    ),
    "aLoRA": _row("LORA", r=4, alora_invocation_tokens=[MARK]),
    "AdaLoRA": _row("ADALORA", init_r=4, target_r=2, total_step=100, tinit=50, tfinal=10),
    "AdaMSS": Method("ADAMSS", lambda _: {"r": 8, "num_subspaces": 2, "subspace_rank": 2}, package="sklearn"),
    "BEFT": _row("BEFT"),
    "BOFT": _row("BOFT", boft_block_size=4, boft_n_butterfly_factor=2),
    "C3A": _row("C3A", block_size=8),
    "DEFT": _row("DEFT", r=4),
    "DeLoRA": _row("DELORA", r=4),
    "FourierFT": _row("FOURIERFT", n_frequency=16),
    "FRoD": _row("FROD", progressbar=False),
    "GLoRA": _row("GLORA", r=4),
    "GraLoRA": _row("GRALORA", r=4, gralora_k=2, hybrid_r=2),
    "HiRA": _row("HIRA", r=4),
    "HRA": _row("HRA", r=4),
    "IA3": Method("IA3", lambda t: {"feedforward_modules": [t.linears[-1]]}),
    "LN tuning": Method("LN_TUNING", lambda t: {"target_modules": t.norms}),
    "LoHa": _row("LOHA", r=4),
    "LoKr": _row("LOKR", r=4),
    "MiSS": _row("MISS", r=4),
    "MiSS, bat": _row("MISS", r=4, init_weights="bat"),
    "OFT": _row("OFT", oft_block_size=4),
    "OSF": _row("OSF"),
    "PEANuT": _row("PEANUT", r=4, depth=1),
    "Poly": _poly(),
    "PSOFT": _row("PSOFT", r=4),
    "PVeRA": _row("PVERA", r=4),
    "RandLoRA": _row("RANDLORA", r=4),
    "RoAd": _row("ROAD", group_size=8),
    "SHiRA": _row("SHIRA", r=2, random_seed=3),
    "SuperTuning": _row("SUPERTUNING", sparsity=0.9),
    "Supra": _row("SUPERTUNING", sparsity=0.9, r=2, lora_alpha=4),
    "VeRA": _row("VERA", r=4),
    "WaveFT": _row("WAVEFT", n_frequency=16),
    "bottleneck, series": _row(BottleneckType.BOTTLENECK, variant="series", bottleneck_size=4),
    "bottleneck, parallel": _row(BottleneckType.BOTTLENECK, variant="parallel", bottleneck_size=4),
}

BROKEN = {("OLoRA", "gpt2"), ("Poly", "opt"), ("aLoRA", "opt")}
"""What peft makes, and what then fails in a plain forward pass without IST: OLoRA does not transpose GPT-2's
weights, and OPT hands its feed-forward modules no batch dimension, which Poly and aLoRA need."""
