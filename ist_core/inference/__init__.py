"""Chat with a base model and its adapters, token by token: the engine, without queues or HTTP."""

from isthmus.dataset.chat_rows import ChatMessage

from ist_core.inference.engine import ChatEngine
from ist_core.inference.requests import AdapterRef, ChatRequest, Delta

__all__ = ["AdapterRef", "ChatEngine", "ChatMessage", "ChatRequest", "Delta"]
