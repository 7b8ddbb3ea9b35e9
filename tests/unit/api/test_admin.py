"""`python -m api.admin`: what it does, prints and refuses."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from api.admin import main
from store.database import Database
from store.keys import digest, use_key
from store.projects import DEFAULT_PROJECT, get_project
from store.quotas import Limits, limits_of

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command; returns its exit code, output and error output."""
    monkeypatch.setenv("ISTHMUS_DATABASE_URL", database_url)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["admin", *arguments])
        code = main()
        told = capsys.readouterr()
        return code, told.out, told.err

    return run


def test_a_project_gets_a_key_and_loses_it(run: Run, database: Database) -> None:
    _, out, _ = run("projects", "create", "search team")
    project_id = out.strip()
    code, out, err = run("keys", "create", "--project", project_id, "--name", "ci", "--expires-days", "30")
    value = out.strip()
    assert code == 0
    assert f"project {project_id}, scopes read,write, expires " in err
    with database.session() as session:
        holder = use_key(session, digest(value))
    assert holder is not None
    assert (holder.project_id, holder.scopes) == (project_id, frozenset({"read", "write"}))
    _, out, _ = run("keys", "list", "--project", project_id)
    assert value not in out
    assert f"{value[:10]}..." in out
    assert run("keys", "revoke", holder.key_id) == (0, "", "")
    with database.session() as session:
        assert use_key(session, digest(value)) is None
    _, out, _ = run("projects", "list")
    assert [line.split()[0] for line in out.splitlines()] == ["id", project_id, DEFAULT_PROJECT]
    assert run("projects", "archive", project_id) == (0, "", "")
    assert run("keys", "create", "--project", project_id, "--name", "late")[0] == 1


def test_quotas_are_set_one_by_one(run: Run, database: Database) -> None:
    run("quota", "set", DEFAULT_PROJECT, "--jobs", "3", "--requests-per-minute", "60")
    _, out, _ = run("quota", "set", DEFAULT_PROJECT, "--bytes", str(2**40), "--jobs", "none")
    assert out.splitlines()[2].split() == ["bytes", "stored", "0", str(2**40)]
    with database.session() as session:
        project = get_project(session, DEFAULT_PROJECT)
        assert project is not None
        assert limits_of(project) == Limits(max_bytes=2**40, max_requests_per_minute=60)
    assert run("quota", "show", DEFAULT_PROJECT)[1] == out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["quota", "show", "proj-none"], "no such project: proj-none; `projects list` shows all"),
        (["quota", "set", DEFAULT_PROJECT, "--jobs", "many"], "max_jobs: Input should be a valid integer"),
        (["quota", "set", DEFAULT_PROJECT, "--requests-per-minute", "0"], "greater than or equal to 1"),
        (["keys", "create", "--name", "x", "--scopes", "read,wrote"], "'read', 'write' or 'admin'"),
        (["keys", "create", "--name", "x", "--expires-days", "0"], "expires_in_seconds"),
        (["keys", "create", "--name", "", "--project", DEFAULT_PROJECT], "name: "),
        (["keys", "revoke", "isk-secret"], "no such key"),
        (["projects", "archive", DEFAULT_PROJECT], "cannot be archived"),
    ],
)
def test_a_mistake_is_told_and_changes_nothing(run: Run, arguments: list[str], says: str) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (1, "")
    assert err.startswith("error: ")
    assert says in err
    assert len(run("keys", "list")[1].splitlines()) == 1


def test_it_needs_a_database(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["admin", "init"])
    monkeypatch.delenv("ISTHMUS_DATABASE_URL", raising=False)
    assert main() == 1
    assert "set ISTHMUS_DATABASE_URL" in capsys.readouterr().err
    monkeypatch.setenv("ISTHMUS_DATABASE_URL", "postgresql://127.0.0.1:1/none")
    assert main() == 1
    assert "the database does not answer" in capsys.readouterr().err
