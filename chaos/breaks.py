"""The engine broken on purpose: each break takes away one thing that keeps the promises, and a check must notice.

No production code knows of this. chaos/settings.py installs `Broken` where CHAOS_BREAK names a break, in the servers of
the harness alone; it replaces a function there.
"""

import os
from collections.abc import Callable
from typing import Any

from bson import ObjectId
from django.apps import AppConfig
from django.core.mail import get_connection
from pymongo import WriteConcern


def write_concern_1() -> None:
    """Acknowledged as soon as the primary alone has it."""
    from ledger_project import mongo

    mongo.DURABLE = WriteConcern(w=1, j=False)


def no_idempotency_check() -> None:
    """Known keys are not looked up, and no unique index stands behind that."""
    from transactions import ledger

    ledger._by_key = lambda documents: {}
    _drop_index(ledger.TRANSACTIONS, "one_per_key")


def no_version_guard() -> None:
    """The books are read outside the transaction that writes them, and no number of an entry is unique."""
    from ledger_project.mongo import Unit
    from transactions import ledger

    guarded = Unit.join

    def join(self: Unit, *stages: dict[str, Any]) -> dict[str, Any]:
        session, self.session = self.session, None  # type: ignore[assignment]
        try:
            return guarded(self, *stages)
        finally:
            self.session = session

    Unit.join = join  # type: ignore[method-assign]
    _drop_index(ledger.ENTRIES, "one_per_sequence")


def mail_inside_the_request() -> None:
    """No outbox: who posts sends the notices, after the commit."""
    from ledger_project.mongo import database, from_document
    from transactions import ledger, notices
    from transactions.signals import transactions_completed
    from users import notifications
    from users.models import Notification

    def send(transaction_ids: list[ObjectId], **kwargs: Any) -> None:
        rows = notices._notices(list(database()[notices.TRANSACTIONS].find({"_id": {"$in": transaction_ids}})))
        get_connection().send_messages([notifications.message(from_document(Notification, row)) for row in rows])
        notices._insert_new([row | {"status": "SENT"} for row in rows])

    writes = ledger._writes
    ledger._writes = lambda *given: (write for write in writes(*given) if write.get("insert") != notices.DUE)
    transactions_completed.connect(send, weak=False)


def _drop_index(collection: str, name: str) -> None:
    from ledger_project.mongo import database

    if name in database()[collection].index_information():
        database()[collection].drop_index(name)


BREAKS: dict[str, Callable[[], None]] = {
    take_away.__name__.replace("_", " "): take_away
    for take_away in (write_concern_1, no_idempotency_check, no_version_guard, mail_inside_the_request)
}


class Broken(AppConfig):
    """Installed in the servers of the harness when something is to be broken."""

    name = "chaos"

    def ready(self) -> None:
        """Break it, in the web servers: the commands that prepare and verify the ledger are left whole."""
        if "CHAOS_WEB" in os.environ:
            BREAKS[os.environ["CHAOS_BREAK"]]()
