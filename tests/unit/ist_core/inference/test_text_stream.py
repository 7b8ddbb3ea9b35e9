"""Text token by token: whole characters only, and no stop string nor a beginning of one."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerBase

from ist_core.inference.text_stream import TextStream
from tests.tiny_model import make_tiny_tokenizer

TOKENIZER: PreTrainedTokenizerBase = make_tiny_tokenizer()
"""Byte-level: of a character that is not in its few texts each byte is a token."""
TEXTS = st.text(st.sampled_from("ab The?é€😀\n"), max_size=20)


def tokens(text: str) -> list[int]:
    return list(TOKENIZER(text, add_special_tokens=False)["input_ids"])


def stream(text: str, *stop: str) -> tuple[list[str], TextStream]:
    """Return what is shown at each token up to the end or a stop string, and at the end."""
    stream = TextStream(TOKENIZER, stop)
    shown = []
    for token in tokens(text):
        shown.append(stream.push(token))
        if stream.stopped:
            return shown, stream
    return [*shown, stream.close()], stream


def test_a_character_is_shown_when_its_last_byte_has_come() -> None:
    shown, _ = stream("é😀€")
    assert [text for text in shown if text] == ["é", "😀", "€"]
    assert len(shown) == 2 + 4 + 3 + 1


def test_bytes_of_a_character_that_is_never_finished_are_dropped() -> None:
    unfinished = TextStream(TOKENIZER, ())
    for token in tokens("ok 😀")[:-1]:
        unfinished.push(token)
    assert unfinished.close() == ""


def test_bytes_that_are_no_character_at_all_are_shown_as_such() -> None:
    broken = TextStream(TOKENIZER, ())
    assert [broken.push(token) for token in (tokens("😀")[0], *tokens("a"))] == ["", "\ufffda"]


def test_special_tokens_are_no_text() -> None:
    stream = TextStream(TOKENIZER, ())
    assert [stream.push(token) for token in tokens("a<|im_start|>b")] == ["a", "", "b"]


@given(text=TEXTS)
@settings(deadline=None)
def test_all_that_is_shown_is_the_text(text: str) -> None:
    shown, end = stream(text)
    assert "".join(shown) == text
    assert "\ufffd" not in "".join(shown)
    assert not end.stopped


@given(
    text=st.text(st.sampled_from("The é😀"), max_size=12),
    stop=st.lists(st.text(st.sampled_from("The é😀"), min_size=1, max_size=4), max_size=3),
)
@settings(deadline=None)
@example(text="aTT", stop=["aTT", "T"])
def test_stop_strings_cut_the_text_wherever_tokens_end(text: str, stop: list[str]) -> None:
    """The first that is complete counts, and of several the longest."""
    shown, end = stream(text, *stop)
    _, at = min(
        ((text.find(one) + len(one), text.find(one)) for one in stop if one in text), default=(0, None)
    )
    assert "".join(shown) == (text if at is None else text[:at])
    assert end.stopped == (at is not None)


def test_text_that_could_begin_a_stop_string_is_held_back() -> None:
    held = TextStream(TOKENIZER, ["ab!"])
    (a,), (b,), (other,) = tokens("a"), tokens("b"), tokens("?")
    assert [held.push(token) for token in (a, b, a, b, other)] == ["", "", "ab", "", "ab?"]
    assert [held.push(token) for token in (b, a)] == ["b", ""]
    assert held.close() == "a"


@pytest.mark.parametrize(
    ("stop", "text"), [(("b", "abc"), "a"), (("abc", "b"), "a"), (("bc", "ab"), ""), (("c", "bc"), "a")]
)
def test_of_several_stop_strings_the_first_that_is_complete_counts(stop: tuple[str, ...], text: str) -> None:
    shown, _ = stream("abc", *stop)
    assert "".join(shown) == text
