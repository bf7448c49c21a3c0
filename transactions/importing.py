"""Importing an exported ledger into an empty database, verified before and after (docs/backup.md)."""

from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import ImproperlyConfigured
from django.utils import timezone
from pymongo.errors import ConnectionFailure, DuplicateKeyError

from ledger_project.errors import LedgerError
from ledger_project.mongo import Document, database
from transactions.export_file import ExportBroken, documents, header_of
from transactions.exporting import applied_migrations
from transactions.invariants import Code
from transactions.offline import verify_file
from transactions.roles import collections
from transactions.verification import IMPORTS, THE_IMPORT, Report, unfinished_import, verify

DOCUMENTS_AT_ONCE = 1000
# What `migrate` has filled, under ids of its own: the file's take their place.
OF_MIGRATIONS = ("django_content_type", "auth_permission", "auth_group", "auth_group_permissions")


class NotEmpty(LedgerError):
    """The database holds a ledger, or a part of one that an import left when it broke off."""

    status = HTTPStatus.CONFLICT
    code = "not_empty"
    message = "The database is not empty: drop it, run `migrate`, and import into it then"


class OtherRelease(LedgerError):
    """The file was written by a release with other migrations."""

    status = HTTPStatus.CONFLICT
    code = "other_release"
    message = "The file is of a release with other migrations: import it with that release, then migrate"


def import_ledger(path: Path, *, progress: Callable[[int], Any] = lambda documents: None) -> Report:
    """Import the exported ledger in `path`, and verify what is then there; the report of that.

    Nothing is written before the file is proven whole. Killed halfway, the database stays marked as a part of a ledger:
    /readyz says so, no web process starts on it, `verify_ledger` finds it, and it is not imported into again. Two at
    once: the mark lets one begin. Raises ExportBroken, NotEmpty, OtherRelease, OSError, PyMongoError.
    """
    if header_of(path)["migrations"] != applied_migrations():
        raise OtherRelease
    if not (checked := verify_file(path)).whole:
        raise ExportBroken(f"The ledger in the file is not whole: {dict(checked.counts)}")
    _begin(timezone.now())
    for name in OF_MIGRATIONS:
        database()[name].delete_many({})
    _insert(path, progress)
    ContentType.objects.clear_cache()
    report = verify()
    if set(report.counts) == {Code.IMPORT_UNFINISHED.value} and _same_size(report, checked):
        database()[IMPORTS].update_one({"_id": THE_IMPORT}, {"$set": {"finished_at": timezone.now()}})
        return verify()
    raise ExportBroken(f"What was imported is not whole: {dict(report.counts)}. Drop the database and start again")


def refuse_unfinished_import() -> None:
    """Raise ImproperlyConfigured if an import broke off. A server that is away may come back: no reason."""
    try:
        if unfinished_import():
            raise ImproperlyConfigured("an import broke off: drop the database, run `migrate`, and import again")
    except ConnectionFailure:
        return


def _begin(now: datetime) -> None:
    filled = {name for name in collections() if name not in (*OF_MIGRATIONS, "django_migrations")}
    if any(database()[name].find_one({}, {"_id": 1}) for name in filled):
        raise NotEmpty
    try:
        database()[IMPORTS].insert_one({"_id": THE_IMPORT, "began_at": now, "finished_at": None})
    except DuplicateKeyError:
        raise NotEmpty from None


def _insert(path: Path, progress: Callable[[int], Any]) -> None:
    waiting: dict[str, list[Document]] = {}
    for name, document in documents(path):
        rows = waiting.setdefault(name, [])
        rows.append(document)
        if len(rows) == DOCUMENTS_AT_ONCE:
            database()[name].insert_many(waiting.pop(name), ordered=False)
            progress(DOCUMENTS_AT_ONCE)
    for name, rows in waiting.items():
        database()[name].insert_many(rows, ordered=False)
        progress(len(rows))


def _same_size(one: Report, other: Report) -> bool:
    return (one.accounts, one.transactions, one.entries) == (other.accounts, other.transactions, other.entries)
