"""A forward in place of a module's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

Forward = Callable[..., Any]


def replace(module: nn.Module, forward: Forward) -> Callable[[], None]:
    """Let the module compute by `forward`; its hooks are called as ever.

    Returns:
        What gives it the forward back that it had, be it its own or another in place of it.
    """
    before = vars(module).get("forward")
    module.__dict__["forward"] = forward

    def restore() -> None:
        if before is None:
            del module.__dict__["forward"]
        else:
            module.__dict__["forward"] = before

    return restore


@contextmanager
def replaced(module: nn.Module, forward: Forward) -> Iterator[None]:
    """Inside the block the module computes by `forward`."""
    restore = replace(module, forward)
    try:
        yield
    finally:
        restore()
