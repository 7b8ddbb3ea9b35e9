"""`python -m worker`: a Celery worker for the queue of ISTHMUS_QUEUE."""

import os

# Celery, once it finds setproctitle, would hide this command line and the environment from whoever looks.
os.environ["NOSETPS"] = "1"

from worker.app import main

main()
