"""The Celery application: at least once, never twice at a time, and nothing that matters kept in Redis."""

import os

from celery import Celery
from celery.signals import worker_process_init, worker_ready
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ledger_project.settings.local")

# A wake-up that cannot be published at once is dropped: the sweep finds its row.
QUICK = {"socket_connect_timeout": 1, "socket_timeout": 5, "visibility_timeout": 600}

app = Celery("ledger_project")
app.conf.update(
    broker_url=settings.REDIS_URL,
    broker_connection_retry_on_startup=True,
    broker_transport_options=QUICK,
    accept_content=["json"],
    task_serializer="json",
    task_ignore_result=True,
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_soft_time_limit=120,
    task_time_limit=150,
    worker_prefetch_multiplier=1,
    worker_hijack_root_logger=False,
    worker_max_tasks_per_child=10_000,
    timezone="UTC",
    beat_schedule={
        "sweep": {
            "task": "users.tasks.sweep",
            "schedule": settings.NOTIFICATION_SWEEP_SECONDS,
            "options": {"expires": settings.NOTIFICATION_SWEEP_SECONDS},
        }
    },
)
app.set_default()  # for the threads that did not import this module, too
app.autodiscover_tasks()


@worker_process_init.connect
def forget_inherited_connection(**kwargs) -> None:
    """A MongoClient does not survive a fork: the child opens its own."""
    from django.db import connection

    connection.close_pool()


@worker_ready.connect
def announce(sender, **kwargs) -> None:
    """Sweep once at the start: what waited while no worker ran goes out, and /readyz hears of the worker."""
    sender.app.send_task("users.tasks.sweep")
