"""The outbox: rows that say which e-mail is owed to whom, and how a row becomes a message."""

from datetime import datetime
from typing import Any

from bson import ObjectId
from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string
from django.utils import timezone

from ledger_project.mongo import Document, Unit
from users.models import Notification

TEMPLATES = {
    Notification.Kind.WELCOME: "welcome",
    Notification.Kind.TRANSFER_SENT: "transfer_sent",
    Notification.Kind.TRANSFER_RECEIVED: "transfer_received",
    Notification.Kind.TRANSFER_FAILED: "transfer_failed",
}


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
        unit.database[Notification._meta.db_table].insert_many(rows, session=unit.session)


def message(notification: Notification) -> EmailMultiAlternatives:
    """The e-mail that `notification` owes its user, as text and HTML."""
    template = TEMPLATES[Notification.Kind(notification.kind)]
    context = {"user": notification.user, "site_name": settings.SITE_NAME, **notification.payload}
    text = render_to_string(f"email/{template}.txt", context)
    subject, _, body = text.partition("\n")
    mail = EmailMultiAlternatives(subject.strip(), body.strip() + "\n", to=[notification.user.email])
    mail.attach_alternative(render_to_string(f"email/{template}.html", context), "text/html")
    return mail
