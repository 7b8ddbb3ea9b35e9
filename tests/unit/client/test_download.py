"""Downloads: whole or not there, right or refused, and going on where they broke off."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from isthmus.core.download import Wanted, download, download_all, inside
from isthmus.core.effects import Answer
from isthmus.core.request import get
from isthmus.errors import ConnectionFailed, DownloadCorrupted, NotFound, UnexpectedAnswer

from tests.unit.client.script import Connection, Script, refusal, retries

CONTENT = b"0123456789"
HASH = hashlib.sha256(CONTENT).hexdigest()
WHOLE = Answer(200, {})
BROKEN = ConnectionFailed("reset by peer")


def _rest(offset: int) -> Answer:
    return Answer(206, {"content-range": f"bytes {offset}-9/10"})


@pytest.fixture
def wanted(tmp_path: Path) -> Wanted:
    return Wanted(get("/v1/files/file-1/content"), tmp_path / "deep" / "model.bin", HASH)


def test_a_file_appears_when_it_is_whole(wanted: Wanted) -> None:
    script = Script([Connection(WHOLE, [b"01234", b"56789"])])
    script.run(download(wanted, retries()))
    assert wanted.target.read_bytes() == CONTENT
    assert [path.name for path in wanted.target.parent.iterdir()] == ["model.bin"]
    assert "Range" not in script.requests[0].headers


def test_a_break_is_resumed_where_it_was(wanted: Wanted) -> None:
    script = Script([Connection(WHOLE, [b"0123", BROKEN]), Connection(_rest(4), [b"456789"])])
    script.run(download(wanted, retries()))
    assert wanted.target.read_bytes() == CONTENT
    assert script.requests[1].headers["Range"] == "bytes=4-"


def test_a_service_without_ranges_sends_all_again(wanted: Wanted) -> None:
    script = Script([Connection(WHOLE, [b"0123", BROKEN]), Connection(WHOLE, [CONTENT])])
    script.run(download(wanted, retries()))
    assert wanted.target.read_bytes() == CONTENT


def test_what_a_broken_call_left_is_gone_on_from(wanted: Wanted) -> None:
    with pytest.raises(ConnectionFailed):
        Script([Connection(WHOLE, [b"0123", BROKEN])]).run(download(wanted, retries(0)))
    assert not wanted.target.exists()
    assert wanted.part.read_bytes() == b"0123"
    Script([Connection(_rest(4), [b"456789"])]).run(download(wanted, retries()))
    assert wanted.target.read_bytes() == CONTENT


def test_progress_renews_the_tries(wanted: Wanted) -> None:
    pieces = [CONTENT[n : n + 1] for n in range(10)]
    first = Connection(WHOLE, [pieces[0], BROKEN])
    others = [Connection(_rest(n), [pieces[n], BROKEN]) for n in range(1, 9)]
    script = Script([first, *others, Connection(_rest(9), [pieces[9]])])
    script.run(download(wanted, retries(1)))
    assert wanted.target.read_bytes() == CONTENT


def test_a_rest_of_another_file_is_thrown_away(wanted: Wanted) -> None:
    wanted.part.parent.mkdir(parents=True)
    wanted.part.write_bytes(b"XXXX")
    Script([Connection(_rest(4), [b"456789"]), Connection(WHOLE, [CONTENT])]).run(download(wanted, retries()))
    assert wanted.target.read_bytes() == CONTENT


def test_a_part_that_is_whole_needs_no_more_bytes(wanted: Wanted) -> None:
    wanted.part.parent.mkdir(parents=True)
    wanted.part.write_bytes(CONTENT)
    Script([refusal(416)]).run(download(wanted, retries()))
    assert wanted.target.read_bytes() == CONTENT


def test_wrong_bytes_never_get_the_name(wanted: Wanted) -> None:
    with pytest.raises(DownloadCorrupted, match="another hash"):
        Script([Connection(WHOLE, [b"0123456780"])]).run(download(wanted, retries()))
    assert list(wanted.target.parent.iterdir()) == []


def test_wrong_bytes_leave_the_older_file(wanted: Wanted) -> None:
    wanted.target.parent.mkdir(parents=True)
    wanted.target.write_bytes(b"old")
    with pytest.raises(DownloadCorrupted):
        Script([Connection(WHOLE, [b"new"])]).run(download(wanted, retries()))
    assert wanted.target.read_bytes() == b"old"


def test_what_is_there_already_is_not_asked_for(wanted: Wanted) -> None:
    wanted.target.parent.mkdir(parents=True)
    wanted.target.write_bytes(CONTENT)
    Script([]).run(download_all([wanted], retries()))


def test_a_refusal_leaves_nothing(wanted: Wanted) -> None:
    with pytest.raises(NotFound):
        Script([refusal(404)]).run(download(wanted, retries()))
    assert list(wanted.target.parent.iterdir()) == []


@pytest.mark.parametrize("path", ["/etc/passwd", "../up", "a/../../up", "", "a\\..\\b", "C:/x"])
def test_no_path_leads_out_of_the_folder(tmp_path: Path, path: str) -> None:
    with pytest.raises(UnexpectedAnswer, match="leads out"):
        inside(tmp_path, path)


def test_paths_within_stay_as_they_are(tmp_path: Path) -> None:
    assert inside(tmp_path, "adapter/config.json") == tmp_path / "adapter" / "config.json"
