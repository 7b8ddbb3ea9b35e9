"""Tokens counted from a model's files alone are those that training sees."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from isthmus.dataset.chat import ChatMessage, ChatRow
from isthmus.dataset.preferences import PreferenceRow

from ist_core import token_counts
from ist_core.catalog import ModelSource
from ist_core.encoding import encode_row, ensure_template
from ist_core.errors import DatasetError, TokenizerUnavailable
from ist_core.gguf_cache import converted_folder
from ist_core.models import BaseModel
from ist_core.token_counts import TokenCounts, count, summarise
from ist_core.tokenizer_files import ModelTokenizer, find_tokenizer, load_tokenizer

TEMPLATES = {
    "its own": None,
    "strict": (
        "{{ bos_token }}{% for message in messages %}"
        "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
        "{{ raise_exception('roles must alternate') }}{% endif %}"
        "[{{ message['role'] | upper }}] {{ message['content'] | trim | tojson }}{{ eos_token }}\n"
        "{% endfor %}"
    ),
    "marked": (
        "{%- for message in messages %}\n  {{- message.role }}: \n"
        "{% if message.role == 'assistant' %}"
        "{% generation %}{{ message.content }}{{ eos_token }}{% endgeneration %}"
        "{% else %}{{ message.content }}{% endif %}\n"
        "{% if message.content == 'no' %}{% break %}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}assistant:{% endif %}"
    ),
}


def _row(line: int, *texts: str) -> ChatRow:
    roles = ("user", "assistant") * len(texts)
    return ChatRow(line, tuple(ChatMessage(role, text) for role, text in zip(roles, texts, strict=False)))


ROWS = [
    _row(1, "What is the capital of France?", "Paris."),
    _row(2, "hi", "hello", "more?", "größer 😀 <tag> 'quoted' \"text\""),
    _row(3, "The quick brown fox " * 30, "jumps"),
    _row(4, "stop", "no"),
]


def _load(folder: Path) -> ModelTokenizer:
    return load_tokenizer(find_tokenizer(ModelSource("folder", "tiny", str(folder)), folder))


@pytest.fixture
def folder(tiny_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_folder, tmp_path / "model"))


@pytest.mark.parametrize("name", TEMPLATES)
@pytest.mark.parametrize("in_config", [True, False])
def test_counts_are_those_of_training(folder: Path, tiny_base: BaseModel, name: str, in_config: bool) -> None:
    template = TEMPLATES[name] or tiny_base.tokenizer.chat_template
    assert isinstance(template, str)
    tiny_base.tokenizer.chat_template = template
    (folder / "chat_template.jinja").unlink()
    if in_config:
        path = folder / "tokenizer_config.json"
        config = json.loads(path.read_text())
        listed = [{"name": "tool_use", "template": "x"}, {"name": "default", "template": template}]
        path.write_text(json.dumps({**config, "chat_template": listed}))
    else:
        (folder / "chat_template.jinja").write_text(template)
    for row in ROWS:
        counts = count([row], _load(folder), total=1)
        example = encode_row(row, tiny_base.tokenizer, max_length=4096)
        ((length, before),) = counts.lengths
        assert length == len(example.tokens)
        if name != "strict":
            assert before == example.supervised.index(True)


def test_a_model_without_a_template_is_counted_as_it_is_trained(folder: Path, tiny_base: BaseModel) -> None:
    (folder / "chat_template.jinja").unlink()
    tiny_base.tokenizer.chat_template = None
    assert ensure_template(tiny_base.tokenizer)
    counts = count(ROWS[:1], _load(folder), total=1)
    assert [key[0] for key in counts.lengths] == [
        len(encode_row(ROWS[0], tiny_base.tokenizer, max_length=4096).tokens)
    ]


def test_what_a_template_refuses_is_told(folder: Path) -> None:
    (folder / "chat_template.jinja").write_text(TEMPLATES["strict"] or "")
    late = ChatRow(7, (ChatMessage("assistant", "a"), ChatMessage("user", "b")))
    counts = count([*ROWS, late, *[late] * 30], _load(folder), total=35)
    assert (counts.counted, counts.refused, counts.lengths.total(), len(counts.problems)) == (35, 31, 4, 20)
    assert counts.problems[0].line == 7
    assert "roles must alternate" in counts.problems[0].reason


def test_of_a_pair_the_longer_text_counts(folder: Path) -> None:
    user = (ChatMessage("user", "hi"),)
    short, long = ChatMessage("assistant", "a"), ChatMessage("assistant", "The quick brown fox jumps.")
    model = _load(folder)
    pairs = [PreferenceRow(1, user, short, long), PreferenceRow(2, user, long, short)]
    whole = count([ChatRow(1, (*user, long))], model, total=1)
    assert list(count(pairs, model, total=2).lengths.items()) == [(next(iter(whole.lengths)), 2)]


def test_a_limit_says_what_it_cuts(folder: Path, tiny_base: BaseModel) -> None:
    counts = count(ROWS, _load(folder), total=4)
    lengths = sorted(length for length, _ in counts.lengths)
    limit = lengths[-1] - 1
    summary = summarise(counts, limit)
    assert (summary.min, summary.median, summary.p95, summary.max) == (*lengths[:2], lengths[-1], lengths[-1])
    assert (summary.total, summary.truncated, summary.without_answer) == (sum(lengths), 1, 0)
    assert sum(rows for _, _, rows in summary.histogram) == 4
    assert summary.histogram[0][0] == lengths[0]
    assert summary.histogram[-1][0] <= lengths[-1] < summary.histogram[-1][1]
    cut = summarise(counts, 64)
    assert cut.without_answer == 1
    with pytest.raises(DatasetError, match="hold no assistant token to learn"):
        encode_row(ROWS[2], tiny_base.tokenizer, max_length=64)


def test_nothing_that_could_be_counted_has_no_numbers() -> None:
    summary = summarise(TokenCounts(rows=1, counted=1, refused=1), 10)
    assert (summary.total, summary.min, summary.median, summary.max, summary.histogram) == (
        0,
        None,
        None,
        None,
        [],
    )


def test_of_a_very_large_file_a_part_is_counted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_counts, "MOST_ROWS", 10)
    counts = count([_row(n, "hi", "yo") for n in range(25)], _load(folder), total=25)
    assert (counts.rows, counts.counted) == (25, 9)


def test_the_window_is_the_smaller_of_what_is_said(folder: Path) -> None:
    assert _load(folder).window == 512
    (folder / "config.json").write_text(json.dumps({"text_config": {"max_position_embeddings": 256}}))
    assert _load(folder).window == 256


def test_a_tokenizer_that_is_not_at_hand_is_said_to_be_so(folder: Path, tmp_path: Path) -> None:
    gguf = tmp_path / "small.gguf"
    gguf.write_bytes(b"GGUF")
    source = ModelSource("gguf", "small", str(gguf))
    with pytest.raises(TokenizerUnavailable, match="can be read once a job has used the model"):
        find_tokenizer(source, tmp_path)
    shutil.copytree(folder, converted_folder(gguf, tmp_path))
    assert find_tokenizer(source, tmp_path).folder == converted_folder(gguf, tmp_path)
    with pytest.raises(TokenizerUnavailable, match="not in the local Hub cache"):
        find_tokenizer(ModelSource("hub", "org/none", "org/none"), tmp_path)
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(TokenizerUnavailable, match="cannot be read"):
        _load(folder)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(TokenizerUnavailable, match=r"has no tokenizer\.json"):
        _load(folder)
