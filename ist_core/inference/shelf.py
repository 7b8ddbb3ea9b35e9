"""The adapters that are loaded: a bounded number, the least recently used one goes first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from collections.abc import Set as AbstractSet

from ist_core.inference.mixer import Adapter
from ist_core.inference.requests import AdapterRef


class Shelf:
    """Adapters by name.

    Args:
        places: how many may be loaded.
        read: reads a folder; raises AdapterError.
    """

    def __init__(self, places: int, read: Callable[[AdapterRef], Adapter]) -> None:
        self._places = places
        self._read = read
        self._adapters: OrderedDict[str, Adapter] = OrderedDict()

    @property
    def names(self) -> list[str]:
        """Who is loaded, the least recently used first."""
        return list(self._adapters)

    def check(self, ref: AdapterRef, in_use: AbstractSet[str]) -> None:
        """Read an adapter unless it is loaded, and keep it if there is a place.

        Raises:
            AdapterError: if it cannot be used.
        """
        if ref.name not in self._adapters:
            adapter = self._read(ref)
            if self._make_place(in_use):
                self._adapters[ref.name] = adapter

    def take(self, ref: AdapterRef, in_use: AbstractSet[str]) -> Adapter | None:
        """Return the adapter, loaded if need be; None: all places are in use by others.

        Raises:
            AdapterError: if it cannot be used.
        """
        if ref.name not in self._adapters:
            if not self._make_place(in_use):
                return None
            self._adapters[ref.name] = self._read(ref)
        self._adapters.move_to_end(ref.name)
        return self._adapters[ref.name]

    def _make_place(self, in_use: AbstractSet[str]) -> bool:
        if len(self._adapters) < self._places:
            return True
        idle = next((name for name in self._adapters if name not in in_use), None)
        if idle is None:
            return False
        del self._adapters[idle]
        return True
