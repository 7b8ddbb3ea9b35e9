"""The blocking and the asynchronous client offer the same, in the same words."""

from __future__ import annotations

import inspect
import re

import pytest
from isthmus import AsyncExport, AsyncIsthmus, AsyncJob, Export, Isthmus, Job

CLIENTS = Isthmus(api_key="isk-1"), AsyncIsthmus(api_key="isk-1")
OF_MODELS = type(CLIENTS[0].models.exports), type(CLIENTS[1].models.exports)
PAIRS = [(Isthmus, AsyncIsthmus), (Job, AsyncJob), (Export, AsyncExport), OF_MODELS] + [
    (type(resource), type(getattr(CLIENTS[1], name)))
    for name, resource in sorted(vars(CLIENTS[0]).items())
    if not name.startswith("_")
]


def _methods(kind: type) -> dict[str, tuple[str, str | None]]:
    """Each public method's signature and docstring, without what makes it asynchronous."""
    return {
        name: (_plain(str(inspect.signature(method))), inspect.getdoc(method))
        for name, method in inspect.getmembers(kind, inspect.isfunction)
        if not name.startswith("_") and method.__module__.startswith("isthmus")
    }


def _plain(signature: str) -> str:
    return re.sub(
        r"Generator\[(.+), None, None\]", r"Generator[\1, None]", re.sub(r"Async(?=[A-Z])", "", signature)
    )


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair[0].__name__)
def test_twins_are_alike(pair: tuple[type, type]) -> None:
    assert pair[1].__name__ == f"Async{pair[0].__name__}"
    blocking, asynchronous = map(_methods, pair)
    assert len(blocking) > 0
    assert {name: signature for name, (signature, _) in blocking.items()} == {
        name: signature.replace("httpx2.AsyncClient", "httpx2.Client")
        for name, (signature, _) in asynchronous.items()
    }
    for name, (_, described) in blocking.items():
        assert described, f"{pair[0].__name__}.{name} has no docstring"
        assert (asynchronous[name][1] or "").replace("await client", "client") == described
