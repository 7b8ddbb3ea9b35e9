"""`python -m worker`: a Celery worker for the queue of ISTHMUS_QUEUE."""

from worker.app import main

main()
