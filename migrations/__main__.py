"""`python -m migrations`: bring the database of ISTHMUS_DATABASE_URL to the newest schema."""

import logging
import os
import sys

from migrations.upgrade import upgrade

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    url = os.environ.get("ISTHMUS_DATABASE_URL")
    if not url:
        sys.exit("set ISTHMUS_DATABASE_URL to the database's URL: postgresql://user:password@host/name")
    upgrade(url)
