"""What the engine refuses: with a code, the field it is about, and how to mend it; nothing is left behind."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import MambaConfig, MambaForCausalLM

from ist_core.errors import ChatError, ModelError, RequestTooLarge, WindowExceeded
from ist_core.inference import ChatEngine, ChatMessage, ChatRequest
from tests.tiny_model import make_tiny_model, make_tiny_tokenizer
from tests.unit.ist_core.inference.talks import ask, new_engine, talk

ALTERNATING = (
    "{% for message in messages %}"
    "{% if message['role'] != ['user', 'assistant'][loop.index0 % 2] %}"
    "{{ raise_exception('Roles must alternate') }}{% endif %}"
    "{{ message['content'] }}{% endfor %}"
)


@pytest.fixture(scope="module")
def engine(talker: Path) -> ChatEngine:
    """With room for four choices of 150 tokens."""
    return new_engine(talker, max_batch=4, max_cache_tokens=600)


@pytest.mark.parametrize(
    ("request_", "kind", "code", "param", "reason"),
    [
        (ChatRequest("a", None, []), ChatError, "invalid_messages", "messages", "at least one message"),
        (
            ask("a", "you " * 200),
            WindowExceeded,
            "context_length_exceeded",
            "messages",
            "the model's window has 512 for them and the answer",
        ),
        (
            ask("a", "hello", max_tokens=500),
            WindowExceeded,
            "context_length_exceeded",
            "max_tokens",
            "the messages have 31 tokens and max_tokens is 500",
        ),
        (ask("a", "hello", n=5), RequestTooLarge, "request_too_large", "n", "at most 4 choices"),
        (
            ask("a", "hello", n=4, max_tokens=120),
            RequestTooLarge,
            "request_too_large",
            "max_tokens",
            "4 x (31 tokens of messages + 120 of an answer) are more than the 600 tokens",
        ),
    ],
)
def test_a_request_that_can_never_be_answered_is_refused(
    engine: ChatEngine, request_: ChatRequest, kind: type[ChatError], code: str, param: str, reason: str
) -> None:
    with pytest.raises(ChatError) as caught:
        engine.submit(request_)
    assert type(caught.value) is kind
    assert (caught.value.code, caught.value.param) == (code, param)
    assert reason in caught.value.message
    assert engine.idle


def test_what_just_fits_is_answered(engine: ChatEngine) -> None:
    answers = talk(engine, [ask("a", "hello", n=4, max_tokens=119)])
    assert [answer.last.completion_tokens for answer in answers.values()] == [119] * 4


def test_the_chat_templates_own_refusal_is_told(tmp_path: Path) -> None:
    engine = new_engine(make_tiny_model(tmp_path / "model", chat_template=ALTERNATING))
    with pytest.raises(ChatError, match="Roles must alternate") as caught:
        engine.submit(ChatRequest("a", None, [ChatMessage("system", "Be brief.")]))
    assert (caught.value.code, caught.value.param) == ("invalid_messages", "messages")
    with pytest.raises(ChatError, match="makes no text of these messages"):
        engine.submit(ask("a", ""))


def test_a_model_without_a_chat_template_gets_the_one_that_it_is_trained_with(tmp_path: Path) -> None:
    engine = new_engine(make_tiny_model(tmp_path / "model", chat_template=None))
    assert talk(engine, [ask("a", "hello", max_tokens=3)])["a", 0].last.prompt_tokens > 5


def test_a_model_that_keeps_no_keys_and_values_is_refused(tmp_path: Path) -> None:
    tokenizer = make_tiny_tokenizer()
    model = MambaForCausalLM(
        MambaConfig(vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=1, state_size=4)
    )
    model.save_pretrained(tmp_path / "mamba")
    tokenizer.save_pretrained(tmp_path / "mamba")
    with pytest.raises(ModelError, match="'mamba' has layers that keep a state of another kind"):
        new_engine(tmp_path / "mamba")
