"""The Celery application: at least once, never twice at a time, and nothing that matters kept in Redis."""

import os
import signal
import time
from datetime import UTC, datetime
from logging.config import dictConfig

from celery import Celery
from celery.beat import BeatLazyFunc
from celery.signals import setup_logging, worker_process_init, worker_ready
from django.conf import settings
from kombu.transport import redis, virtual

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ledger_project.settings.local")

# A message unacknowledged for so long comes again; far longer than any task may run, or any worker take to stop.
VISIBILITY_TIMEOUT_SECONDS = 600
TRANSPORT = {
    "socket_connect_timeout": 1,
    "socket_timeout": 5,  # a Redis that hangs is an error; workers wait for messages in steps of a second
    "visibility_timeout": VISIBILITY_TIMEOUT_SECONDS,
    # A wake-up that cannot be published at once is dropped, for the sweep finds its row. Without these, kombu
    # retries for seconds on its own, whatever retry=False says.
    "max_retries": 1,
    "interval_start": 0,
    "interval_step": 0,
}


class QoS(redis.QoS):
    """The messages that a worker has in hand, as many as it has children.

    One whose end Redis did not hear of gives its place back all the same, and comes again when its visibility ends.
    kombu would count it for good: after a Redis that hung, a child would have nothing to do until the next restart.
    """

    def ack(self, delivery_tag: str) -> None:
        """The message is done with. Raises what Redis does."""
        try:
            super().ack(delivery_tag)
        finally:
            virtual.QoS.ack(self, delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """The message is for somebody else, or for nobody. Raises what Redis does."""
        try:
            super().reject(delivery_tag, requeue)
        finally:
            virtual.QoS.ack(self, delivery_tag)


redis.Channel.QoS = QoS  # with redis:// and rediss:// alike

app = Celery("ledger_project")
app.conf.update(
    broker_url=settings.REDIS_URL,
    broker_transport_options=TRANSPORT,
    # Celery wants it in all three places, lest the shortest win; of results there are none so far.
    result_backend_transport_options={"visibility_timeout": VISIBILITY_TIMEOUT_SECONDS},
    visibility_timeout=VISIBILITY_TIMEOUT_SECONDS,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,  # a worker outlasts a Redis that is away for a night
    broker_channel_error_retry=True,  # and one that is full, which says so in answers, not by hanging up
    accept_content=["json"],
    task_serializer="json",
    task_ignore_result=True,
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    # Below NOTIFICATION_LEASE_SECONDS: a worker stops working on a row before another may take it.
    task_soft_time_limit=50,
    task_time_limit=58,
    worker_prefetch_multiplier=1,
    worker_redirect_stdouts=False,
    worker_max_tasks_per_child=10_000,
    # SIGTERM waits for the running task, which ends its turn soon. SIGQUIT is for who cannot wait: so long, and then
    # tasks are cut off and given back. Why SIGTERM is not turned into it (REMAP_SIGTERM): docs/adr/0006.
    worker_soft_shutdown_timeout=25,
    worker_enable_soft_shutdown_on_idle=True,
    timezone="UTC",
    beat_scheduler="celery.beat:Scheduler",  # no entry needs a file that remembers when it ran last
    beat_schedule={
        "canary": {
            "task": "ledger_project.tasks.canary",
            "args": [BeatLazyFunc(time.time)],
            "schedule": settings.CANARY_SECONDS,
            "last_run_at": datetime.fromtimestamp(0, tz=UTC),  # due as soon as beat is up
            "options": {"expires": 60},  # in a night without workers they do not pile up
        },
        "sweep": {
            "task": "transactions.tasks.tell_parties",
            "schedule": settings.NOTIFICATION_SWEEP_SECONDS,
            "options": {"expires": settings.NOTIFICATION_SWEEP_SECONDS},
        },
        "carry_out_approved": {
            "task": "transactions.tasks.carry_out_approved",
            "schedule": settings.APPROVAL_SWEEP_SECONDS,
            "options": {"expires": settings.APPROVAL_SWEEP_SECONDS},
        },
        "audit": {
            "task": "transactions.tasks.audit_ledger",
            "schedule": settings.AUDIT_SWEEP_SECONDS,
            "options": {"expires": settings.AUDIT_SWEEP_SECONDS},
        },
        "anchor": {
            "task": "transactions.tasks.take_daily_anchor",
            "schedule": settings.ANCHOR_SWEEP_SECONDS,
            "options": {"expires": settings.ANCHOR_SWEEP_SECONDS},
        },
        "roll_up": {
            "task": "office.tasks.roll_up",
            "schedule": settings.ROLL_UP_SECONDS,
            "options": {"expires": settings.ROLL_UP_SECONDS},
        },
    },
)
app.set_default()  # for the threads that did not import this module, too
app.autodiscover_tasks()


@setup_logging.connect
def log_as_django_does(**kwargs) -> None:
    """Settings say how to log, LOG_LEVEL how much. Celery leaves logging alone when somebody listens here."""
    dictConfig(settings.LOGGING)


@worker_process_init.connect
def forget_inherited_connection(**kwargs) -> None:
    """A MongoClient does not survive a fork: the child opens its own."""
    from django.db import connection

    connection.close_pool()  # type: ignore[attr-defined]


@worker_process_init.connect
def leave_sigterm_to_the_parent(**kwargs) -> None:
    """systemd and honcho send SIGTERM to the whole group. The parent waits for the child, which must live to end."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


@worker_ready.connect
def sweep_at_once(sender, **kwargs) -> None:
    """What waited while no worker ran goes out."""
    sender.app.send_task("transactions.tasks.tell_parties", expires=settings.NOTIFICATION_SWEEP_SECONDS)
