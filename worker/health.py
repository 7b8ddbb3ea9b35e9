"""`python -m worker.health`: exit code 0 when PostgreSQL and Redis answer, for container health checks."""

import sys

import redis

from store import bus
from store.database import DATABASE_AWAY, Database
from store.settings import get_settings


def main() -> int:
    """Ask both; say on stderr which one is away."""
    settings = get_settings()
    database = Database(settings.database_url)
    try:
        database.ping()
        with bus.connect(settings.redis_url) as client:
            client.ping()
    except DATABASE_AWAY:
        print("PostgreSQL does not answer", file=sys.stderr)
        return 1
    except redis.RedisError:
        print("Redis does not answer", file=sys.stderr)
        return 1
    finally:
        database.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
