"""Runs jobs: a Celery worker that supervises a trainer process, and the scheduler that loses none."""
