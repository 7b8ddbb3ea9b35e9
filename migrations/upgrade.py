"""Bring a database to the newest schema; safe to run from several processes at once."""

from pathlib import Path

from alembic import command
from alembic.config import Config

from store.database import psycopg_url

FOLDER = Path(__file__).parent


def upgrade(database_url: str, revision: str = "head") -> None:
    """Run the missing migrations on the database."""
    command.upgrade(alembic_config(database_url), revision)


def alembic_config(database_url: str) -> Config:
    """Alembic's configuration, without a file: the folder is this one, the URL is the caller's."""
    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.attributes["url"] = psycopg_url(database_url)
    return config
