"""`isthmus files`, against a scripted service."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from isthmus.cli.metered import MeteredFile, metered
from isthmus.cli.terminal import Terminal
from rich.console import Console

from tests.unit.client.cli.commands import FILE, ROW, Scripted, answer, refusal, run

ANSWER_ONLY = {"messages": [{"role": "assistant", "content": "b"}]}
EMPTY = {"messages": [{"role": "user", "content": ""}, {"role": "assistant", "content": "b"}]}


def data_file(folder: Path, *rows: object) -> str:
    path = folder / "train.jsonl"
    path.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows))
    return str(path)


def test_check_tells_rows_format_container_and_warnings(tmp_path: Path) -> None:
    result = run("files", "check", data_file(tmp_path, ROW, ANSWER_ONLY, ROW))
    assert result.exit_code == 0
    verdict = "ok: 3 rows, format chat (for method supervised), jsonl, 2 warnings, 1 repeated row"
    assert verdict in result.stdout
    assert "train.jsonl:2: warning: messages[0]: the conversation begins with the assistant" in result.stdout


def test_check_tells_every_fault_by_line_path_and_remedy(tmp_path: Path) -> None:
    path = data_file(tmp_path, ROW, EMPTY, "{", ROW, *[EMPTY] * 40)
    result = run("files", "check", path)
    assert result.exit_code == 1
    assert f"{path}:2: error: messages[0].content: " in result.stdout
    assert f"{path}:3: error: " in result.stdout
    assert f"{path}:44: error: " in result.stdout
    assert f"{path}: 42 faults\n" in result.stdout


def test_check_can_show_fewer_and_says_so(tmp_path: Path) -> None:
    result = run("files", "check", data_file(tmp_path, *[EMPTY] * 9), "--limit", "2")
    assert result.stdout.count(": error: ") == 2
    assert "9 faults; 7 of them not shown (--limit 0 shows all)" in result.stdout


def test_check_as_json_is_one_document(tmp_path: Path) -> None:
    path = data_file(tmp_path, ROW, EMPTY)
    result = run("files", "check", path, "--json")
    found = json.loads(result.stdout)
    assert result.exit_code == 1
    assert (found["ok"], found["total_faults"], found["rows"]) == (False, 1, None)
    assert (found["faults"][0]["line"], found["faults"][0]["path"]) == (2, "messages[0].content")
    found = json.loads(run("files", "check", data_file(tmp_path, ROW), "--json").stdout)
    assert (found["ok"], found["rows"], found["format"], found["container"]) == (True, 1, "chat", "jsonl")
    assert found["methods"] == ["supervised"]


def test_check_of_what_is_no_file(tmp_path: Path) -> None:
    result = run("files", "check", str(tmp_path))
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"error: {tmp_path} is no file; give the path of a data file\n"


def test_check_needs_neither_key_nor_service(tmp_path: Path) -> None:
    assert Scripted({}).run("files", "check", data_file(tmp_path, ROW), key=None).exit_code == 0


def test_upload_checks_first_and_sends_nothing_faulty(tmp_path: Path) -> None:
    service = Scripted({"POST /v1/files": answer(FILE)})
    refused = service.run("files", "upload", data_file(tmp_path, EMPTY))
    assert refused.exit_code == 1
    assert ":1: error: " in refused.stdout
    assert service.seen == []
    sent = service.run("files", "upload", data_file(tmp_path, ROW), "--name", "other.jsonl", "--json")
    assert sent.exit_code == 0
    assert json.loads(sent.stdout)["id"] == "file-1"
    assert b'filename="other.jsonl"' in service.seen[0].content
    assert json.dumps(ROW).encode() in service.seen[0].content


def test_upload_unchecked_leaves_the_check_to_the_service(tmp_path: Path) -> None:
    service = Scripted({"POST /v1/files": refusal(400, "invalid_dataset", "line 1: empty")})
    result = service.run("files", "upload", data_file(tmp_path, EMPTY), "--no-check")
    assert result.exit_code == 2
    assert result.stderr.startswith("error: line 1: empty (HTTP 400, invalid_dataset")


def test_list_is_a_table_with_whole_ids_and_the_limit_ends_it() -> None:
    files = [{**FILE, "id": f"file-{n}" + "x" * 30} for n in range(5)]
    service = Scripted({"GET /v1/files": answer({"data": files, "has_more": True})})
    result = service.run("files", "list", "-n", "3")
    assert result.stdout.splitlines()[0].split() == [
        "ID", "NAME", "SIZE", "ROWS", "FORMAT", "PURPOSE", "CREATED",
    ]  # fmt: skip
    assert [line.split()[0] for line in result.stdout.splitlines()[1:]] == [file["id"] for file in files[:3]]
    assert len(service.seen) == 1
    assert [file["id"] for file in json.loads(service.run("files", "list", "-n", "1", "--json").stdout)] == [
        files[0]["id"]
    ]


def test_show_and_delete() -> None:
    gone = {"id": "file-1", "object": "file", "deleted": True}
    service = Scripted({"GET /v1/files/file-1": answer(FILE), "DELETE /v1/files/file-1": answer(gone)})
    shown = service.run("files", "show", "file-1").stdout
    assert "train.jsonl" in shown
    assert "1.2 KB" in shown
    assert service.run("files", "delete", "file-1").stdout == "deleted file-1\n"
    assert json.loads(service.run("files", "delete", "file-1", "--json").stdout) == gone


def test_download_never_leaves_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    file = {**FILE, "filename": "../../evil.jsonl", "sha256": None}
    service = Scripted({"GET /v1/files/file-1": answer(file), "GET /v1/files/file-1/content": answer(ROW)})
    assert service.run("files", "download", "file-1").stdout == "evil.jsonl\n"
    assert json.loads((tmp_path / "here" / "evil.jsonl").read_text()) == ROW


def test_check_reads_csv_and_parquet(tmp_path: Path) -> None:
    table = pa.table({"prompt": ["a", "b"], "completion": ["c", "d"]})
    pq.write_table(table, tmp_path / "train.parquet")
    (tmp_path / "train.csv").write_text("prompt,completion\na,c\n")
    for name, rows in (("train.parquet", 2), ("train.csv", 1)):
        found = json.loads(run("files", "check", str(tmp_path / name), "--json").stdout)
        assert (found["rows"], found["format"]) == (rows, "prompt_completion")
        assert found["container"] == name.partition(".")[2]


def test_a_large_file_has_a_bar_on_a_terminal_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("isthmus.cli.metered.SHOWN_FROM_BYTES", 1)
    path = Path(data_file(tmp_path, *[{"messages": ROW["messages"] * 40}] * 2000))
    shown = {}
    for is_terminal in (True, False):
        err = Console(file=io.StringIO(), force_terminal=is_terminal, width=80)
        with metered(path, "checking", Terminal(err=err)) as stream:
            assert len(stream.read()) == path.stat().st_size
        shown[is_terminal] = err.file.getvalue()  # type: ignore[attr-defined]  # a StringIO
    assert "checking" in shown[True]
    assert shown[False] == ""


def test_a_metered_file_tells_how_far_it_is_and_can_go_back(tmp_path: Path) -> None:
    path, seen = Path(data_file(tmp_path, *[ROW] * 1000)), list[int]()
    with MeteredFile(path, seen.append) as raw, io.BufferedReader(raw, 4096) as stream:
        whole = b"".join(iter(lambda: stream.read(1000), b""))
        told = list(seen)
        stream.seek(0)
        assert stream.readline() == whole.splitlines(keepends=True)[0]
    assert told[0] == 4096
    assert told == sorted(told)
    assert told[-1] == len(whole) == path.stat().st_size
    assert seen[len(told)] == 4096
