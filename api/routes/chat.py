"""`POST /v1/chat/completions`: talk to a base model, a tuned one or a checkpoint, in OpenAI's shape."""

from __future__ import annotations

from functools import partial
from typing import Annotated, cast

from anyio.to_thread import current_default_thread_limiter
from fastapi import APIRouter, Depends, Response
from starlette.requests import HTTPConnection

from api.auth import Caller, require_key
from api.chat_answer import ChatCall, StreamedAnswer, WholeAnswer
from api.chat_meters import ChatMeters
from api.chat_model import ChatModel, find_chat_model
from api.chat_request import ChatCompletionRequest
from api.routes.dependencies import ERRORS, OpenServices
from api.threads import in_thread
from api.wire.chat import ChatCompletionObject
from store.chat_orders import ChatOrder, Turn
from store.ids import new_id
from store.log import current_ids

LEAST_TOP_P = 1e-6
"""0 means the likeliest token alone, as this does."""

router = APIRouter(prefix="/chat", tags=["chat"], responses=ERRORS)


@router.post(
    "/completions",
    response_model=ChatCompletionObject,
    responses={
        200: {
            "description": "The answers; with `stream` as events: a ChatCompletionChunk each, then `[DONE]`",
            "content": {"text/event-stream": {}},
        }
    },
)
async def create_completion(
    body: ChatCompletionRequest,
    connection: HTTPConnection,
    services: OpenServices,
    caller: Annotated[Caller, Depends(require_key)],
) -> Response:
    """Go on with a conversation. It takes computing time, so the key needs the scope `write`.

    Too many requests that wait are refused with 429 and `Retry-After`. Closing the connection cancels.
    """
    look_up = partial(find_chat_model, services, caller.holder.project_id, body.model)
    found = await in_thread(look_up, current_default_thread_limiter())
    call = ChatCall(
        desk=services.chat,
        meters=cast("ChatMeters", connection.app.state.chat_meters),
        order=_order(body, found, project=caller.holder.project_id, reply_to=services.chat.process),
        model=body.model,
        wants_usage=body.wants_usage,
    )
    return StreamedAnswer(call) if body.stream else WholeAnswer(call)


def _order(body: ChatCompletionRequest, found: ChatModel, *, project: str, reply_to: str) -> ChatOrder:
    turns = (
        Turn(role="system" if message.role == "developer" else message.role, content=message.content)
        for message in body.messages
    )
    return ChatOrder(
        id=new_id("chatcmpl"),
        project=project,
        base=found.base,
        adapter=found.adapter,
        messages=tuple(turns),
        max_tokens=body.limit(),
        temperature=1.0 if body.temperature is None else body.temperature,
        top_p=1.0 if body.top_p is None else max(body.top_p, LEAST_TOP_P),
        stop=tuple(body.stop),
        seed=body.seed,
        n=body.n or 1,
        reply_to=reply_to,
        request_id=current_ids().get("request_id"),
    )
