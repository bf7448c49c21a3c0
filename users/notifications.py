"""The outbox: rows that say which e-mail is owed to whom, and how a row becomes a message."""

import re
from collections.abc import Collection
from datetime import UTC, datetime
from email.utils import parseaddr
from typing import Any

from bson import ObjectId
from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string
from django.utils import timezone

from ledger_project.mongo import Document, Unit, collection
from users.links import RESET_PASSWORD, VERIFY_EMAIL
from users.models import Notification, User
from users.signals import notice_queued

TEMPLATES = {
    Notification.Kind.WELCOME: "welcome",
    Notification.Kind.TRANSFER_SENT: "transfer_sent",
    Notification.Kind.TRANSFER_RECEIVED: "transfer_received",
    Notification.Kind.TRANSFER_FAILED: "transfer_failed",
    Notification.Kind.MONEY_RETURNED: "money_returned",
    Notification.Kind.MONEY_TAKEN_BACK: "money_taken_back",
    Notification.Kind.PASSWORD_CHANGED: "password_changed",
    Notification.Kind.PASSWORD_RESET: "password_reset",
    Notification.Kind.VERIFY_EMAIL: "verify_email",
    Notification.Kind.LEDGER_FINDING: "ledger_finding",
    Notification.Kind.LEDGER_ANCHOR: "ledger_anchor",
}
LINKS = {Notification.Kind.PASSWORD_RESET: RESET_PASSWORD, Notification.Kind.VERIFY_EMAIL: VERIFY_EMAIL}
# What a mail program might turn into a link: a dot, slash, colon or @ inside a word.
LIKE_A_LINK = re.compile(r"[^\s.]\.[^\s.]|[/:@]")


def row(user_id: ObjectId, kind: Notification.Kind, payload: dict[str, Any], now: datetime | None = None) -> Document:
    """An outbox row for `user_id`, due at once. `payload` holds strings only, ready to be shown."""
    now = now or timezone.now()
    return {
        "_id": ObjectId(),
        "user": user_id,
        "kind": kind.value,
        "payload": payload,
        "status": Notification.Status.PENDING.value,
        "attempts": 0,
        "due_at": now,
        "last_error": "",
        "created_at": now,
        "sent_at": None,
    }


def queue(unit: Unit, rows: list[Document]) -> None:
    """Store outbox rows in the transaction that writes what they tell of."""
    if rows:
        unit.insert(Notification._meta.db_table, rows)


def queue_on_request(user: User | None, kind: Notification.Kind) -> None:
    """Store the row that `user` is owed because somebody asked for it; without a user, one that is for nobody.

    So the answer takes the same time whether anybody has that address. The sender throws the row for nobody away.
    """
    collection(Notification).insert_one(row(user.pk if user else ObjectId(), kind, {}))
    notice_queued.send(Notification)


def message(notification: Notification, *, preview: bool = False) -> EmailMultiAlternatives:
    """The e-mail that `notification` owes its user, as text and HTML. Raises User.DoesNotExist when it is gone.

    A link that it holds is signed here and now; in a `preview` it is not, for whoever has it can act for the user.
    """
    kind = Notification.Kind(notification.kind)
    template, user, link = TEMPLATES[kind], notification.user, LINKS.get(kind)
    context = {
        "site_name": settings.SITE_NAME,
        "link": link and link.address("…" if preview else link.secret_of(user)),
        "name": _greetable(user.name),
        **notification.payload,
        "time": _readable(notification.payload.get("time", "")),
    }
    first_line, _, body = render_to_string(f"email/{template}.txt", context).lstrip().partition("\n")
    subject = " ".join(first_line.split())  # a header is one line, whatever the values hold
    mail = EmailMultiAlternatives(subject, body.strip() + "\n", to=[user.email], headers=_headers(notification))
    mail.attach_alternative(render_to_string(f"email/{template}.html", {**context, "subject": subject}), "text/html")
    return mail


def send_again(unit: Unit, ids: Collection[ObjectId]) -> int:
    """Put these rows back into the queue, as new; how many there were."""
    return _requeue(unit, {"_id": {"$in": list(ids)}})


def retry_failed(unit: Unit) -> int:
    """Put every row that was given up back into the queue, as new; how many there were."""
    return _requeue(unit, {"status": Notification.Status.FAILED.value})


def _requeue(unit: Unit, chosen: Document) -> int:
    fresh = {
        "status": Notification.Status.PENDING.value,
        "attempts": 0,
        "due_at": timezone.now(),
        "sent_at": None,  # MongoDB deletes rows some time after their sent_at
        "last_error": "",
    }
    return collection(Notification).update_many(chosen, {"$set": fresh}, session=unit.session).matched_count


def _greetable(name: str) -> str:
    """`name` on one line; nothing when it reads like a link: anyone can register anyone's address under any name."""
    name = " ".join(name.split())
    return "" if LIKE_A_LINK.search(name) else name


def _readable(time: str) -> str:
    """`2026-11-22T09:30:00.123Z` as `22 November 2026, 09:30:00 UTC`; what is not a time stays as it is."""
    try:
        return f"{datetime.fromisoformat(time).astimezone(UTC):%d %B %Y, %H:%M:%S} UTC"
    except ValueError:
        return time


def _headers(notification: Notification) -> dict[str, str]:
    """An id that stays the same when a message is sent twice, and a word to auto-responders not to answer."""
    if settings.EMAIL_BACKEND.startswith("anymail."):
        return {}  # not every provider's API takes headers, and some refuse a message that has any
    domain = parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition("@")[2]
    return {"Message-ID": f"<{notification.pk}@{domain}>", "Auto-Submitted": "auto-generated"}
