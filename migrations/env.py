"""Alembic's environment: one connection, one lock, one transaction."""

from alembic import context
from sqlalchemy import create_engine, text

from store.tables import Base

# Any number, the same in every process: two upgrades at once run one after the other.
LOCK = 5_140_021


def run() -> None:
    """Run the migrations that alembic's command asks for."""
    engine = create_engine(context.config.attributes["url"])
    with engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        context.configure(
            connection=connection, target_metadata=Base.metadata, transaction_per_migration=False
        )
        context.run_migrations()
    engine.dispose()


run()
