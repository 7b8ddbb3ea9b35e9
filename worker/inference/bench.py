"""A base model in memory with what is needed to use it: the engine, the adapters' folder, the budget."""

from __future__ import annotations

from ist_core.catalog import Catalog
from ist_core.errors import EngineError
from ist_core.inference import AdapterRef, ChatEngine, ChatMessage, ChatRequest, Delta
from store.chat_orders import ChatOrder
from store.objects import ObjectStore
from store.settings import Settings
from worker.inference.adapter_cache import AdapterCache
from worker.inference.budget import cache_tokens, share_of
from worker.inference.refused import Refused


class Bench:
    """One base model, loaded here.

    Raises:
        Refused: if there is none of this name, or it does not load, or has no room.
    """

    def __init__(self, base: str, settings: Settings, objects: ObjectStore) -> None:
        memory = share_of(settings)
        catalog = Catalog(settings.base_models_dir, hub=settings.hub)
        try:
            source = catalog.resolve(base)
            self._engine = ChatEngine(
                source,
                cache_dir=settings.cache_dir,
                max_batch=settings.chat_max_batch,
                max_adapters=settings.chat_max_adapters,
                max_cache_tokens=cache_tokens(source, memory),
                default_max_tokens=settings.chat_max_tokens,
            )
        except EngineError as error:
            raise Refused.by(error) from error
        self._adapters = AdapterCache(
            settings.cache_dir / "adapters", objects, most_bytes=settings.chat_adapter_cache_bytes
        )

    def submit(self, order: ChatOrder) -> None:
        """Begin with a request, whose adapter is downloaded if need be. Raises Refused."""
        try:
            self._engine.submit(
                ChatRequest(
                    id=order.id,
                    adapter=self._adapter(order),
                    messages=[ChatMessage(turn.role, turn.content) for turn in order.messages],
                    max_tokens=order.max_tokens,
                    temperature=order.temperature,
                    top_p=order.top_p,
                    stop=order.stop,
                    seed=order.seed,
                    n=order.n,
                )
            )
        except EngineError as error:
            raise Refused.by(error) from error

    def cancel(self, request_id: str) -> None:
        """Forget a request."""
        self._engine.cancel(request_id)

    def step(self) -> list[Delta]:
        """What one more token of each answer adds to it."""
        return self._engine.step()

    def _adapter(self, order: ChatOrder) -> AdapterRef | None:
        if order.adapter is None:
            return None
        folder = self._adapters.get(order.adapter, in_use=self._engine.loaded_adapters)
        return AdapterRef(folder.name, folder)
