"""What the API and an inference process tell each other of a chat request, and the names of it in Redis."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

LIVE_SECONDS = 15
"""A request whose API process does not renew it for so long is wanted by nobody."""
BEAT_SECONDS = 2.0
GONE_SECONDS = 10
"""An inference process that has not told for so long that it is there is taken to be gone."""


class _Told(BaseModel):
    model_config = ConfigDict(frozen=True)


class StoredFile(_Told):
    """A file in object storage; `path` is relative to the prefix of its set."""

    path: str
    bytes: int
    sha256: str


class StoredAdapter(_Told):
    """An adapter in PEFT's format, in object storage."""

    model: str
    """The name that it was asked for by."""
    prefix: str
    files: tuple[StoredFile, ...]


class Turn(_Told):
    """A message of the conversation."""

    role: str
    content: str


class ChatOrder(_Told):
    """A chat request, complete: an inference process needs no database for it."""

    id: str
    project: str
    base: str
    """The base model, by its name in the catalog."""
    adapter: StoredAdapter | None
    messages: tuple[Turn, ...]
    max_tokens: int | None
    temperature: float
    top_p: float
    stop: tuple[str, ...]
    seed: int | None
    n: int
    reply_to: str
    """The API process that waits for the answer."""
    request_id: str | None
    """Of the HTTP request, for the log."""


class Waiting(NamedTuple):
    """A request as the queue has it."""

    id: str
    project: str
    base: str

    @classmethod
    def of(cls, order: ChatOrder) -> Waiting:
        """The place of an order."""
        return cls(order.id, order.project, order.base)

    @classmethod
    def read(cls, member: bytes) -> Waiting:
        """What a member of the sorted set stands for; a base model's name may have blanks."""
        return cls(*member.decode().split(" ", 2))

    @property
    def member(self) -> str:
        """How the sorted set has it."""
        return " ".join(self)


class Piece(_Told):
    """What was written of one of the answers since the last piece; the counts are those so far."""

    kind: Literal["piece"] = "piece"
    id: str
    seq: int
    """Counts a request's replies from 0, so that none is lost without notice."""
    index: int
    text: str
    finish_reason: Literal["stop", "length"] | None
    prompt_tokens: int
    completion_tokens: int


class Refusal(_Told):
    """Why a request is not answered, or no further."""

    kind: Literal["refusal"] = "refusal"
    id: str
    seq: int
    status: int
    code: str
    message: str
    param: str | None


Reply = Annotated[Piece | Refusal, Field(discriminator="kind")]
REPLIES: TypeAdapter[list[Reply]] = TypeAdapter(list[Reply])


class ChatKeys:
    """The names in Redis; `queue` is the one of the service's settings."""

    def __init__(self, queue: str) -> None:
        self._prefix = f"{queue}:chat"
        self.waiting = f"{self._prefix}:waiting"
        """A sorted set of `ID PROJECT BASE` by the time of asking, in microseconds."""
        self.wake = f"{self._prefix}:wake"
        """A list that an idle inference process waits on."""
        self.processes = f"{self._prefix}:processes"
        """A sorted set of inference processes by the second at which they are taken to be gone."""
        self.requests = f"{self._prefix}:request:"

    def request(self, request_id: str) -> str:
        """A hash: the order, and the process that has taken it. It is gone when nobody wants it."""
        return self.requests + request_id

    def replies(self, api_process: str) -> str:
        """A stream of lists of replies to all requests of one API process."""
        return f"{self._prefix}:replies:{api_process}"
