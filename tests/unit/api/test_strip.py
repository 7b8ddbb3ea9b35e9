"""Frames on their way out: every cut of a strip tells the same, and readers at one place share one."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from api import strip
from api.strip import Frame, Slice, Strip

SEQS = st.lists(st.integers(1, 60), unique=True, max_size=40).map(sorted)
END = 70


def frames_of(seqs: list[int]) -> list[Frame]:
    """At each number a frame of its own, and at every third one a part before it."""
    found = []
    for seq in seqs:
        if seq % 3 == 0:
            found.append(Frame(seq, "part", b'{"of":%d}' % seq))
        found.append(Frame(seq, "step", b'{"seq":%d}' % seq, str(seq)))
    return found


def follow(strip_: Strip, cursor: int) -> list[Frame]:
    taken: list[Frame] = []
    while cursor < strip_.end:
        part = strip_.slice(cursor)
        assert part.cursor > cursor
        cursor = part.cursor
        taken += part.frames
    assert cursor == strip_.end
    return taken


@given(SEQS, st.integers(0, END - 1), st.integers(1, 100))
def test_every_cursor_gets_what_follows_it(seqs: list[int], cursor: int, slice_bytes: int) -> None:
    usual, strip.SLICE_BYTES = strip.SLICE_BYTES, slice_bytes
    try:
        whole = Strip(0, END, frames_of(seqs))
        assert follow(whole, cursor) == frames_of([seq for seq in seqs if seq > cursor])
    finally:
        strip.SLICE_BYTES = usual


@given(SEQS, st.integers(0, 60), st.integers(0, 300))
def test_what_is_added_and_forgotten_leaves_no_gap(seqs: list[int], middle: int, kept: int) -> None:
    grown = Strip(0, middle, frames_of([seq for seq in seqs if seq <= middle]))
    grown.extend(frames_of([seq for seq in seqs if seq > middle]), END)
    grown.trim(kept)
    assert grown.size <= kept
    assert grown.size == sum(len(frame.json) for frame in follow(grown, grown.start))
    assert follow(grown, grown.start) == frames_of([seq for seq in seqs if seq > grown.start])


def test_readers_at_one_place_share_one_slice() -> None:
    whole = Strip(0, 3, frames_of([1, 2, 3]))
    assert whole.slice(0) is whole.slice(0)
    whole.extend(frames_of([4]), 4)
    assert whole.slice(3) is whole.slice(3)
    assert whole.slice(3).websocket is whole.slice(3).websocket


def test_a_slice_is_whole_frames_of_either_transport() -> None:
    long = Frame(2, "event", json.dumps({"text": "x" * 70_000}).encode(), "2")
    part = Slice([Frame(1, "step", b'{"seq":1}', "1"), long], 2)
    assert part.websocket == (
        b'\x81\x09{"seq":1}' + b"\x81\x7f" + len(long.json).to_bytes(8, "big") + long.json
    )
    first, second, rest = part.events.split(b"\n\n")
    assert first == b'event: step\ndata: {"seq":1}\nid: 1'
    assert second == b"event: event\ndata: " + long.json + b"\nid: 2"
    assert rest == b""
