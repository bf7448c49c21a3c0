"""System checks of our own: what must hold before money is moved."""

from collections.abc import Sequence
from typing import Any

from django.core.checks import CheckMessage, Error, Tags, register
from pymongo.errors import PyMongoError

from ledger_project.mongo import is_replica_set


@register(Tags.database)
def mongodb_has_transactions(*, databases: Sequence[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """A standalone mongod has no transactions: a transfer would be written by halves."""
    if not databases:
        return []
    try:
        if is_replica_set():
            return []
    except PyMongoError as error:
        return [Error(f"MongoDB cannot be reached: {type(error).__name__}", id="ledger.E001")]
    return [
        Error(
            "MongoDB is not a replica set, so it has no transactions.",
            hint="Start mongod with --replSet and run rs.initiate(), or use Atlas.",
            id="ledger.E002",
        )
    ]
