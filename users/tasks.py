"""Celery tasks that send what the outbox owes, and the wake-up that starts them."""

import logging
import threading
from datetime import timedelta

from celery import shared_task
from django.conf import settings
from django.core.cache import cache
from django.core.mail import get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.utils import timezone
from pymongo import ReturnDocument

from ledger_project.mongo import database, from_document
from users import notifications
from users.models import Notification

logger = logging.getLogger(__name__)

BATCH = 100  # messages a task sends over one connection, before it lets others have a turn
FIRST_RETRY_SECONDS = 15
LAST_RETRY_SECONDS = 3600
WORKERS_SEEN = "workers_seen"


@shared_task(ignore_result=True)
def send_notifications() -> int:
    """Claim outbox rows that are due and send them, at most BATCH; ask for another turn when there may be more."""
    sent = 0
    with get_connection() as mail:
        for _ in range(BATCH):
            notification = claim()
            if notification is None:
                return sent
            sent += _deliver(notification, mail)
    wake_sender()
    return sent


@shared_task(ignore_result=True)
def sweep() -> None:
    """Beat's call: send what no wake-up reached, and leave word that beat, broker and worker are alive."""
    cache.set(WORKERS_SEEN, timezone.now().timestamp(), timeout=None)
    send_notifications()


def claim() -> Notification | None:
    """Take one row that is due, for NOTIFICATION_LEASE_SECONDS; None when none is.

    The conditional update is the lock: two workers never hold one row. A worker that dies leaves the row PENDING, due
    again when the lease is over; `attempts` then tells the late one that the row is no longer its own.
    """
    now = timezone.now()
    document = _rows().find_one_and_update(
        {"status": Notification.Status.PENDING, "due_at": {"$lte": now}},
        {"$set": {"due_at": now + timedelta(seconds=settings.NOTIFICATION_LEASE_SECONDS)}, "$inc": {"attempts": 1}},
        sort=[("due_at", 1)],
        return_document=ReturnDocument.AFTER,
    )
    return from_document(Notification, document) if document else None


def _deliver(notification: Notification, mail: BaseEmailBackend) -> bool:
    """Send one claimed row and note what became of it."""
    try:
        message = notifications.message(notification)
        message.connection = mail
        message.send()
    except Exception as error:  # whatever a provider raises: the row is tried again, later
        logger.warning("notification %s: attempt %d: %s", notification.pk, notification.attempts, type(error).__name__)
        _note_failure(notification, error)
        mail.close()  # a broken connection is not carried to the next message
        return False
    _note(notification, {"status": Notification.Status.SENT, "sent_at": timezone.now(), "last_error": ""})
    return True


def _note_failure(notification: Notification, error: Exception) -> None:
    delay = min(FIRST_RETRY_SECONDS * 2 ** (notification.attempts - 1), LAST_RETRY_SECONDS)
    gives_up = notification.attempts >= settings.NOTIFICATION_MAX_ATTEMPTS
    _note(
        notification,
        {
            "status": Notification.Status.FAILED if gives_up else Notification.Status.PENDING,
            "due_at": timezone.now() + timedelta(seconds=delay),
            "last_error": type(error).__name__,
        },
    )


def _note(notification: Notification, outcome: dict) -> None:
    """Write the outcome, unless the lease ran out and another worker has the row."""
    _rows().update_one(
        {"_id": notification.pk, "status": Notification.Status.PENDING, "attempts": notification.attempts},
        {"$set": outcome},
    )


def _rows():
    return database()[Notification._meta.db_table]


class _WakeUp:
    """Publishes wake-ups from a thread of its own, so that a Redis that hangs never holds up a request.

    Wake-ups asked for while one is on its way are one wake-up: the task empties the outbox, however full.
    """

    def __init__(self) -> None:
        self._asked = threading.Event()
        self._start = threading.Lock()
        self._thread: threading.Thread | None = None

    def ask(self) -> None:
        self._asked.set()
        with self._start:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._publish, name="wake-sender", daemon=True)
                self._thread.start()

    def _publish(self) -> None:
        while True:
            self._asked.wait()
            self._asked.clear()
            try:
                send_notifications.apply_async(retry=False)
            except Exception as error:  # kombu raises the transport's own; the sweep will find the row
                logger.warning("no wake-up for the sender: %s", type(error).__name__)


_wake_up = _WakeUp()


def wake_sender() -> None:
    """Ask a worker to look at the outbox soon. Never blocks and never fails: the sweep finds what this does not reach."""
    _wake_up.ask()
