"""Keys: found by their hash while they live."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from store.database import Database
from store.keys import (
    SCOPES,
    alive,
    create_key,
    digest,
    find_key,
    first_admin_key,
    get_key,
    list_keys,
    revoke_key,
    use_key,
    use_key_by_id,
)
from store.paging import UnknownCursor
from store.projects import DEFAULT_PROJECT, archive_project, create_project


def test_a_key_is_found_by_its_hash_with_what_it_may_do(database: Database) -> None:
    with database.session() as session:
        project = create_project(session, name="team")
        project.max_requests_per_minute = 7
        key, value = create_key(
            session, project_id=project.id, name="ci", scopes=frozenset({"write", "read"})
        )
        assert (key.scopes, key.prefix, key.sha256) == (["read", "write"], value[:10], digest(value))
    with database.session() as session:
        holder = use_key(session, digest(value))
        assert holder is not None
        assert (holder.key_id, holder.project_id) == (key.id, project.id)
        assert (holder.scopes, holder.max_requests_per_minute) == (frozenset({"read", "write"}), 7)
        assert use_key_by_id(session, key.id) == holder
        assert use_key(session, digest(value + "x")) is None
        assert use_key(session, value) is None


@pytest.mark.parametrize("end", ["revoked", "expired", "archived"])
def test_a_dead_key_is_nobodys(database: Database, end: str) -> None:
    with database.session() as session:
        project = create_project(session, name="team")
        lifetime = timedelta(seconds=-1) if end == "expired" else timedelta(hours=1)
        key, value = create_key(
            session, project_id=project.id, name="ci", scopes=frozenset(SCOPES), lifetime=lifetime
        )
        if end == "revoked":
            revoke_key(session, key)
        if end == "archived":
            archive_project(session, project)
    with database.session() as session:
        assert use_key(session, digest(value)) is None
        assert use_key_by_id(session, key.id) is None
        assert alive(session, [key.id]) == frozenset()
        assert find_key(session, key.id) is not None


def test_revoking_twice_keeps_the_first_time(database: Database) -> None:
    with database.session() as session:
        key, _ = create_key(session, project_id=DEFAULT_PROJECT, name="a", scopes=frozenset({"read"}))
        revoke_key(session, key)
        first = key.revoked_at
        revoke_key(session, key)
        assert key.revoked_at == first is not None


def test_keys_are_listed_by_project_in_pages(database: Database) -> None:
    ids = []
    for name in ("a", "b", "c"):
        with database.session() as session:
            key, _ = create_key(session, project_id=DEFAULT_PROJECT, name=name, scopes=frozenset({"read"}))
            ids.append(key.id)
    with database.session() as session:
        other = create_project(session, name="other").id
        page = list_keys(session, DEFAULT_PROJECT, limit=2)
        assert ([key.id for key in page.rows], page.has_more) == (ids[:0:-1], True)
        rest = list_keys(session, DEFAULT_PROJECT, after=ids[1])
        assert ([key.id for key in rest.rows], rest.has_more) == ([ids[0]], False)
        assert list_keys(session, other).rows == []
        assert get_key(session, other, ids[0]) is None
        with pytest.raises(UnknownCursor):
            list_keys(session, other, after=ids[0])
        revoke_key(session, page.rows[0])
        assert [key.id for key in list_keys(session, DEFAULT_PROJECT).rows] == ids[1::-1]
        assert len(list_keys(session, DEFAULT_PROJECT, include_revoked=True).rows) == 3


def test_the_first_admin_key_is_made_once_however_many_ask(database: Database) -> None:
    with database.session() as session:
        create_key(session, project_id=DEFAULT_PROJECT, name="ci", scopes=frozenset({"read", "write"}))

    def ask(_: int) -> str | None:
        with database.session() as session:
            made = first_admin_key(session, project_id=DEFAULT_PROJECT)
        return None if made is None else made[1]

    with ThreadPoolExecutor(4) as pool:
        values = [value for value in pool.map(ask, range(8)) if value is not None]
    assert len(values) == 1
    with database.session() as session:
        holder = use_key(session, digest(values[0]))
        assert holder is not None
        assert holder.scopes == frozenset(SCOPES)
