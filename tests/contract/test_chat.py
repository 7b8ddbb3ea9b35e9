"""The unmodified `openai` client chats with a tiny base model, a tuned one and a checkpoint, for real."""

from __future__ import annotations

import signal
import subprocess
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openai
import pytest
from isthmus import AsyncIsthmus, Isthmus
from isthmus.types.chat import ChatParams
from openai.types.chat import ChatCompletion
from peft import LoraConfig

from ist_core.models.quiet import no_progress_bars
from store.chat_orders import ChatKeys
from tests.contract.conftest import KEY, Service, serving
from tests.contract.inference import until
from tests.contract.inference_process import inference
from tests.contract.worker import Run
from tests.tiny_model import make_tiny_model
from tests.unit.ist_core.inference.talks import write_adapter

STEP = 3


@dataclass(frozen=True)
class Talk:
    """A service with models to talk to, and the process that answers."""

    service: Service
    client: openai.OpenAI
    process: subprocess.Popen[bytes]
    tuned: str
    checkpoint: str

    def say(self, content: str = "Hello", *, model: str = "talker", **options: Any) -> ChatCompletion:
        """The likeliest answer, of 8 tokens at most, where the options say nothing else."""
        answer = self.client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": content}], **{**LIKELIEST, **options}
        )
        assert isinstance(answer, ChatCompletion)
        return answer

    def text(self, content: str = "Hello", **options: Any) -> str:
        """What it says."""
        return str(self.say(content, **options).choices[0].message.content)


LIKELIEST: dict[str, Any] = {"temperature": 0, "max_tokens": 8}


@pytest.fixture(scope="module")
def talk(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Talk]:
    folder = tmp_path_factory.mktemp("chat")
    models = folder / "data" / "models"
    with warnings.catch_warnings(), no_progress_bars():
        # PEFT reads transformers' old name of this property.
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
        make_tiny_model(models / "talker", spread=0.2)
        make_tiny_model(models / "other", spread=0.2, seed=5)
        adapter = write_adapter(
            models / "talker", LoraConfig(r=4, target_modules="all-linear"), folder / "adapter"
        )
    settings = service.settings.model_copy(update={"data_dir": folder / "data"})
    with serving(settings) as running, running.client as client, inference(running) as process:
        run = Run(running, running.create_job(model="talker"))
        run.checkpoint(STEP, adapter=adapter)
        checkpoint = f"ft:talker:isthmus::{run.job_id[-8:].lower()}:ckpt-step-{STEP}"
        yield Talk(running, client, process, run.succeed(adapter=adapter), checkpoint)


def test_the_likeliest_answer_is_the_same_whole_and_in_pieces(talk: Talk) -> None:
    whole = talk.say(max_tokens=12)
    with talk.client.chat.completions.create(
        model="talker",
        messages=[{"role": "user", "content": "Hello"}],
        temperature=0,
        max_tokens=12,
        stream=True,
        stream_options={"include_usage": True},
    ) as stream:
        chunks = list(stream)
    pieces = [choice.delta.content or "" for chunk in chunks for choice in chunk.choices]
    assert "".join(pieces) == whole.choices[0].message.content != ""
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].usage == whole.usage
    assert whole.usage is not None
    assert whole.usage.completion_tokens <= 12
    assert [chunk.choices[0].finish_reason for chunk in chunks[:-1]][-1] == whole.choices[0].finish_reason


def test_a_tuned_model_and_its_checkpoint_answer_otherwise_than_the_base(talk: Talk) -> None:
    base, tuned, checkpoint = (talk.text(model=model) for model in ("talker", talk.tuned, talk.checkpoint))
    assert tuned == checkpoint != base


def test_every_listed_model_can_be_chatted_with(talk: Talk) -> None:
    names = [model.id for model in talk.client.models.list()]
    tiny = [name for name in names if name in {"talker", "other", talk.tuned}]
    assert len(tiny) == 3
    assert all(talk.say(model=name, max_tokens=1).model == name for name in tiny)


def test_answers_are_drawn_by_the_seed(talk: Talk) -> None:
    drawn: dict[str, Any] = {"temperature": 1.5, "n": 2, "seed": 7}
    first, again = (talk.say(**drawn) for _ in range(2))
    texts = [choice.message.content for choice in first.choices]
    assert texts == [choice.message.content for choice in again.choices]
    assert [choice.index for choice in first.choices] == [0, 1]
    assert texts[0] != texts[1]
    assert texts != [choice.message.content for choice in talk.say(**{**drawn, "seed": 8}).choices]


def test_a_stop_text_ends_the_answer(talk: Talk) -> None:
    whole = talk.text(max_tokens=16)
    stop = whole[len(whole) // 2 :][:2]
    answer = talk.say(max_tokens=16, stop=[stop]).choices[0]
    assert (answer.message.content, answer.finish_reason) == (whole[: whole.index(stop)], "stop")


def test_requests_at_the_same_time_answer_as_alone(talk: Talk) -> None:
    asked = [(model, text) for model in ("talker", talk.tuned, "other") for text in ("One", "Two")]
    alone = [talk.text(text, model=model) for model, text in asked]
    with ThreadPoolExecutor(len(asked)) as pool:
        futures = [pool.submit(talk.text, text, model=model) for model, text in asked]
    assert [future.result() for future in futures] == alone


def test_a_conversation_that_is_too_long_is_refused(talk: Talk) -> None:
    for options in ({"content": "word " * 600}, {"max_tokens": 600}):
        with pytest.raises(openai.BadRequestError) as refused:
            talk.say(**options)
        assert refused.value.code == "context_length_exceeded"


def test_a_job_is_no_model_and_is_told_apart(talk: Talk) -> None:
    training = talk.service.create_job(model="talker")
    failed = Run(talk.service, talk.service.create_job(model="talker"))
    failed.fail()
    for name, reason in ((training, "is a job that is still training"), (failed.job_id, "failed without")):
        with pytest.raises(openai.BadRequestError, match=reason) as refused:
            talk.say(model=name)
        assert (refused.value.code, refused.value.param) == ("model_not_ready", "model")


def test_a_deleted_model_is_gone_and_its_checkpoint_stays(talk: Talk, tmp_path: Path) -> None:
    run = Run(talk.service, talk.service.create_job(model="talker"))
    name = run.succeed()
    talk.client.models.delete(name)
    with pytest.raises(openai.NotFoundError, match="was deleted") as refused:
        talk.say(model=name)
    assert refused.value.code == "model_deleted"


def test_an_adapter_that_is_damaged_is_refused(talk: Talk) -> None:
    run = Run(talk.service, talk.service.create_job(model="talker"))
    with pytest.raises(openai.BadRequestError) as refused:
        talk.say(model=run.succeed())  # its adapter_config.json is empty
    assert refused.value.code == "invalid_adapter"
    assert talk.text() != ""


def test_closing_a_stream_lets_the_next_one_in(talk: Talk) -> None:
    keys = ChatKeys(talk.service.settings.queue)
    for _ in range(3):
        stream: Any = talk.client.chat.completions.create(
            model="talker", messages=[{"role": "user", "content": "Hello"}], stream=True, n=8, max_tokens=400
        )
        next(iter(stream))
        stream.close()
    assert talk.text() != ""
    until(lambda: not list(talk.service.redis.scan_iter(f"{keys.requests}*")))


async def test_the_asynchronous_clients_chat_too(talk: Talk) -> None:
    expected = talk.text()
    messages: list[Any] = [{"role": "user", "content": "Hello"}]
    async with openai.AsyncOpenAI(base_url=f"{talk.service.url}/v1", api_key=KEY, max_retries=0) as client:
        whole = await client.chat.completions.create(model="talker", messages=messages, **LIKELIEST)
        assert whole.choices[0].message.content == expected
        stream = await client.chat.completions.create(
            model="talker", messages=messages, stream=True, **LIKELIEST
        )
        pieces = [chunk.choices[0].delta.content or "" async for chunk in stream]
        assert "".join(pieces) == expected


async def test_isthmus_own_clients_chat(talk: Talk) -> None:
    expected = talk.text()
    said: ChatParams = {"model": "talker", "messages": [{"role": "user", "content": "Hello"}]}
    said |= {"temperature": 0, "max_tokens": 8}
    address: dict[str, Any] = {"base_url": talk.service.url, "api_key": KEY}
    with Isthmus(**address) as client:
        assert client.chat.create(**said).text == expected
        assert "".join(chunk.text for chunk in client.chat.stream(**said)) == expected
    async with AsyncIsthmus(**address) as other:
        assert (await other.chat.create(**said)).text == expected
        assert "".join([chunk.text async for chunk in other.chat.stream(**said)]) == expected


def test_a_killed_process_loses_no_more_than_what_it_was_writing(talk: Talk) -> None:
    asked: Any = talk.client.chat.completions.create(
        model="talker", messages=[{"role": "user", "content": "Hello"}], stream=True, n=8, max_tokens=450
    )
    with asked as stream:
        next(iter(stream))
        talk.process.send_signal(signal.SIGSTOP)  # so that it is in the middle when it is killed
        talk.process.kill()
        talk.process.wait()
        with inference(talk.service) as successor, pytest.raises(openai.APIError) as lost:
            list(stream)
    assert lost.value.code == "inference_lost"
    assert successor.returncode == 0  # it ended at SIGTERM
