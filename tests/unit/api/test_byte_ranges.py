"""Which part of a download is asked for."""

from __future__ import annotations

import pytest

from api.byte_ranges import NotSatisfiable, Part, wanted_part

SIZE, ETAG = 100, '"abc"'


@pytest.mark.parametrize(
    ("asked", "part"),
    [
        ("bytes=0-9", Part(0, 10)),
        ("bytes=90-", Part(90, 100)),
        ("bytes=-7", Part(93, 100)),
        ("bytes=-700", Part(0, 100)),
        ("bytes=50-700", Part(50, 100)),
        ("Bytes=0-0", Part(0, 1)),
    ],
)
def test_one_part(asked: str, part: Part) -> None:
    assert wanted_part(asked, None, etag=ETAG, size=SIZE) == part


@pytest.mark.parametrize(
    "asked",
    [None, "", "bytes", "bytes=-", "bytes=9-3", "bytes=0-1,5-6", "bytes=a-b", "rows=0-9", "bytes=-1-"],
)
def test_what_is_no_range_or_more_than_one_is_the_whole(asked: str | None) -> None:
    assert wanted_part(asked, None, etag=ETAG, size=SIZE) is None


@pytest.mark.parametrize(
    ("condition", "part"),
    [(ETAG, Part(5, 100)), ('"other"', None), (f"W/{ETAG}", None), ("Tue, 24 Nov 2026 21:00:00 GMT", None)],
)
def test_a_part_of_another_version_is_the_whole(condition: str, part: Part | None) -> None:
    assert wanted_part("bytes=5-", condition, etag=ETAG, size=SIZE) == part


@pytest.mark.parametrize(("asked", "size"), [("bytes=100-", 100), ("bytes=-0", 100), ("bytes=0-", 0)])
def test_a_part_after_the_end_is_none(asked: str, size: int) -> None:
    with pytest.raises(NotSatisfiable):
        wanted_part(asked, None, etag=ETAG, size=size)
