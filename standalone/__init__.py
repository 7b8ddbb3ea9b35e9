"""One machine, one command: embedded PostgreSQL and Redis, migrations, api, worker, scheduler, inference."""
