"""The Celery app: tasks that claim jobs and exports, and supervise the processes that do them.

Messages are wake-ups that hold an id; PostgreSQL holds the truth. So a message that is lost is sent again
by the scheduler, and one that is delivered twice finds nothing to claim.
"""

from __future__ import annotations

import threading
from contextlib import ExitStack

from celery import Celery
from celery.signals import setup_logging, worker_ready, worker_shutting_down

from store import bus
from store.database import Database
from store.log import configure_logging
from store.object_storage import open_objects
from store.settings import EXPORT_TASK, TRAIN_TASK, Settings, get_settings
from worker.export_queue import ExportQueue
from worker.presence import Presence
from worker.supervisor import Supervisor
from worker.warm_trainers import WarmTrainers

shutting_down = threading.Event()
"""Set when Celery begins a warm shutdown; supervisors then stop their trainers and give the jobs back."""


def create_app(settings: Settings) -> Celery:
    """The app for a broker, without its task: enough to send wake-ups."""
    app = Celery("isthmus", broker=settings.redis_url)
    app.conf.update(
        task_default_queue=settings.queue,
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        # A message is acknowledged when the job's run is over, so a busy worker takes no second one: the
        # next job stays in the queue for a worker that is free.
        task_acks_late=True,
        worker_prefetch_multiplier=1,
        # The task only watches a child process. Threads run in the main process, where signals arrive and
        # where one shutdown flag reaches every supervisor; prefork's children would be daemonic copies.
        worker_pool="threads",
        worker_concurrency=1,
        worker_enable_remote_control=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={"socket_connect_timeout": 5, "socket_timeout": 30},
    )
    return app


def send(app: Celery, job_id: str) -> None:
    """Send the wake-up of a job; raises `kombu.exceptions.OperationalError` while the broker is away."""
    app.send_task(TRAIN_TASK, args=[job_id], retry=False)


def send_export(app: Celery, export_id: str) -> None:
    """The same for an export."""
    app.send_task(EXPORT_TASK, args=[export_id], retry=False)


def create_worker(
    settings: Settings, database: Database, *, worker: str, warm: WarmTrainers | None = None
) -> Celery:
    """The app with its tasks; `worker` is what its jobs name it by."""
    app = create_app(settings)
    client = bus.connect(settings.redis_url)
    exports = ExportQueue(
        settings,
        database,
        client,
        open_objects(settings),
        worker=worker,
        shutting_down=shutting_down,
        warm=warm,
    )
    supervisor = Supervisor(
        settings,
        database,
        client,
        exports,
        worker=worker,
        shutting_down=shutting_down,
        warm=warm,
    )

    def train(job_id: str) -> None:
        supervisor.run(job_id)

    def export(export_id: str) -> None:
        supervisor.run_export(export_id)

    app.task(name=TRAIN_TASK)(train)
    app.task(name=EXPORT_TASK)(export)
    return app


def _leave_logging_alone(**_: object) -> None:
    """Celery sets up no logging where this signal has a receiver."""


def _begin_shutdown(**_: object) -> None:
    shutting_down.set()


worker_shutting_down.connect(_begin_shutdown)
setup_logging.connect(_leave_logging_alone)


def main() -> None:
    """Run a worker until SIGTERM or Ctrl-C."""
    settings = get_settings()
    configure_logging("worker", settings.log_format, settings.log_level)
    database = Database(settings.database_url)
    presence = Presence(database, shutting_down)
    with ExitStack() as shown:
        warm = None
        if settings.warm_trainers:
            warm = WarmTrainers(settings.data_dir / "logs" / "nursery.log")
            warm.prepare()
            shown.callback(warm.close)
        app = create_worker(settings, database, worker=presence.id, warm=warm)

        def show(**_: object) -> None:
            shown.enter_context(presence.shown())

        worker_ready.connect(show, weak=False)
        app.worker_main(
            [
                "--quiet",
                "worker",
                "--loglevel=INFO",
                "--without-mingle",
                "--without-gossip",
                "--without-heartbeat",
            ]
        )
