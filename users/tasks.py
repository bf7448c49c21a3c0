"""Celery tasks that send what the outbox owes, and the wake-up that starts them."""

import logging
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any

from celery import Task, shared_task
from celery.exceptions import SoftTimeLimitExceeded
from django.conf import settings
from django.core.mail import get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.utils import timezone
from pymongo import ReturnDocument

from ledger_project.mongo import Document, collection, from_document
from users import notifications
from users.models import Notification, User

logger = logging.getLogger(__name__)

# A turn is short: one connection carries no more than servers like, sweeps do not queue for long behind it, and a
# worker that is told to stop stops soon.
TURN_MESSAGES = 100
TURN_SECONDS = 10
# Four times as long after each failure, up to an hour: 15 s, 1 min, 4 min, 16 min, then hourly.
FIRST_RETRY_SECONDS = 15
RETRY_FACTOR = 4
LAST_RETRY_SECONDS = 3600


@shared_task(ignore_result=True)
def send_notifications() -> int:
    """Claim outbox rows that are due and send them, for one turn; ask for another when there may be more.

    Due are those that no wake-up reached, those to be tried again, and what a dead worker left behind.
    """
    mail = get_connection()
    try:
        sent, more = _take_turn(mail)
    finally:
        _hang_up(mail)
    if more:
        wake_sender.ask()
    return sent


def claim() -> Notification | None:
    """Take one row that is due, for NOTIFICATION_LEASE_SECONDS; None when none is.

    The conditional update is the lock: two workers never hold one row. A worker that dies leaves the row PENDING, due
    again when the lease is over; `attempts` then tells the late one that the row is no longer its own.
    """
    now = timezone.now()
    document = collection(Notification).find_one_and_update(
        {"status": Notification.Status.PENDING.value, "due_at": {"$lte": now}},
        {"$set": {"due_at": now + timedelta(seconds=settings.NOTIFICATION_LEASE_SECONDS)}, "$inc": {"attempts": 1}},
        sort=[("due_at", 1)],
        return_document=ReturnDocument.AFTER,
    )
    return from_document(Notification, document) if document else None


def _take_turn(mail: BaseEmailBackend) -> tuple[int, bool]:
    """Send over `mail` what is due; how many were sent, and whether to go on in another turn.

    A server that takes no connection ends the turn, at the cost of one attempt of one row: the rest stays due.
    """
    sent = 0
    until = time.monotonic() + TURN_SECONDS
    for _ in range(TURN_MESSAGES):
        if time.monotonic() > until:
            break
        notification = claim()
        if notification is None:
            return sent, False
        if notification.attempts > settings.NOTIFICATION_MAX_ATTEMPTS:
            _note_failure(notification, "WorkerLost")  # every attempt ended with its worker: this row may be the reason
        elif not _attempt(notification, mail.open):
            return sent, False
        elif _attempt(notification, partial(_send, notification, mail)):
            _note(notification, {"status": Notification.Status.SENT.value, "sent_at": timezone.now(), "last_error": ""})
            sent += 1
        else:
            _hang_up(mail)  # the next message gets a connection in a known state
    return sent, True


def _attempt(notification: Notification, step: Callable[[], Any]) -> bool:
    """Take a step towards sending; what it raises is noted on the row, and goes no further but for the time limit.

    A row that was written only because somebody asked, for an address that nobody has, has done its work: it goes.
    """
    try:
        step()
    except Exception as error:
        if isinstance(error, User.DoesNotExist) and notification.kind in notifications.LINKS:
            collection(Notification).delete_one({"_id": notification.pk})
            return False
        _note_failure(notification, type(error).__name__, hopeless=isinstance(error, User.DoesNotExist))
        if isinstance(error, SoftTimeLimitExceeded):
            raise
        return False
    return True


def _send(notification: Notification, mail: BaseEmailBackend) -> None:
    accepted = mail.send_messages([notifications.message(notification)])
    assert accepted == 1, "nobody to send it to"


def _note_failure(notification: Notification, reason: str, *, hopeless: bool = False) -> None:
    """Put the row off, or after NOTIFICATION_MAX_ATTEMPTS give it up. `reason` names what happened, without data."""
    gives_up = hopeless or notification.attempts >= settings.NOTIFICATION_MAX_ATTEMPTS
    status = Notification.Status.FAILED if gives_up else Notification.Status.PENDING
    delay = min(FIRST_RETRY_SECONDS * RETRY_FACTOR ** (notification.attempts - 1), LAST_RETRY_SECONDS)
    logger.warning("notification %s: attempt %d: %s, %s", notification.pk, notification.attempts, reason, status)
    due_at = timezone.now() + timedelta(seconds=delay)
    _note(notification, {"status": status.value, "due_at": due_at, "last_error": reason})


def _note(notification: Notification, outcome: Document) -> None:
    """Write the outcome, unless the lease ran out and another worker has the row."""
    collection(Notification).update_one(
        {"_id": notification.pk, "status": Notification.Status.PENDING.value, "attempts": notification.attempts},
        {"$set": outcome},
    )


def _hang_up(mail: BaseEmailBackend) -> None:
    with suppress(OSError):  # SMTP's errors are OSErrors; the connection is gone either way
        mail.close()


class WakeUp:
    """Publishes a call of `task` from a thread of its own, so that a Redis that hangs never holds up a request.

    `ask` neither blocks nor fails: the sweep finds what it does not reach. Wake-ups asked for while one is on its way,
    or shortly after, are one: the task empties the outbox, however full. Publishing costs as much as several transfers,
    so a process under load does it twice a second.
    """

    PAUSE_SECONDS = 0.5
    PAUSE_AFTER_FAILURE_SECONDS = 1.0

    def __init__(self, task: Task) -> None:
        self._task = task
        self._thread: threading.Thread | None = None
        self._make_locks()
        os.register_at_fork(after_in_child=self._make_locks)

    def _make_locks(self) -> None:
        """Begin anew in a forked child, which has neither the thread nor any promise about the state of its locks."""
        self._asked = threading.Event()
        self._start = threading.Lock()

    def ask(self) -> None:
        """Have a worker run the task soon."""
        self._asked.set()
        if self._thread is None or not self._thread.is_alive():
            self._start_thread()

    def _start_thread(self) -> None:
        with self._start:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name=f"wake-{self._task.name}", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            self._asked.wait()
            self._asked.clear()
            time.sleep(self.PAUSE_SECONDS if self._publish() else self.PAUSE_AFTER_FAILURE_SECONDS)

    def _publish(self) -> bool:
        try:
            # One that waited for longer than a sweep takes to come has been overtaken by it.
            self._task.apply_async(retry=False, expires=settings.NOTIFICATION_SWEEP_SECONDS)
        except Exception as error:  # noqa: BLE001  (whatever the broker's client raises: the sweep will find the row)
            logger.warning("no wake-up for %s: %s", self._task.name, type(error).__name__)
            return False
        return True


wake_sender = WakeUp(send_notifications)
