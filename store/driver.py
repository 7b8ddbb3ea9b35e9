"""psycopg beneath a session: COPY, and arrays as the bytes that PostgreSQL sends, for numpy to read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql
from psycopg.types.string import ByteaBinaryLoader
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

FLOAT4, FLOAT8, INT2, INT4 = 700, 701, 21, 23
"""PostgreSQL's numbers of the types (`pg_type.oid`), as its binary arrays name them."""
_AS_BYTES = (1005, 1007, 1016, 1021, 1022, 3802, 1184)
"""Arrays of int2, int4, int8, float4 and float8; jsonb; timestamptz."""

COPY_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
COPY_END = b"\xff\xff"


@contextmanager
def driver_cursor(session: Session) -> Iterator[psycopg.Cursor[tuple[object, ...]]]:
    """A cursor in the session's transaction that answers in binary; arrays, jsonb and times stay bytes.

    Raises SQLAlchemy's OperationalError, one of DATABASE_AWAY, where the connection is lost.
    """
    connection = session.connection()
    driver = connection.connection.driver_connection
    if not isinstance(driver, psycopg.Connection):
        raise TypeError(f"the session is not on psycopg 3, but {type(driver).__name__}")
    try:
        with driver.cursor(binary=True) as cursor:
            for oid in _AS_BYTES:
                cursor.adapters.register_loader(oid, ByteaBinaryLoader)
            yield cursor
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        if driver.closed:
            connection.invalidate(error)
        raise OperationalError(None, None, error) from error


def copy_rows(session: Session, table: str, columns: tuple[str, ...], rows: bytes) -> None:
    """COPY rows in PostgreSQL's binary format (without header and end) into a table."""
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    with driver_cursor(session) as cursor, cursor.copy(statement) as copy:
        copy.write(COPY_HEADER + rows + COPY_END)
