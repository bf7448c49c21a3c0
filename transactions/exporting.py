"""Exporting the ledger: consistent at one point in time, however long it takes (docs/backup.md).

What changes (accounts, users, approvals, …) is read in one snapshot, which MongoDB keeps for 300 seconds. What only
grows, entries and transactions, is read afterwards and may take any time: of each account the entries up to the
sequence that the snapshot has, and with each debit its transaction. A transfer commits both of its entries together, so
either both are up to those sequences or none is. A transaction that was reversed later is written as it was before.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from bson import ObjectId
from django.utils import timezone

from accounts.models import Account
from ledger_project.jsonio import timestamp
from ledger_project.mongo import Document, collection, database
from transactions.export_file import ExportBroken, Writer
from transactions.models import Entry, Transaction
from transactions.offline import verify_file
from transactions.roles import collections
from transactions.verification import Report, unfinished_import

ACCOUNTS, ENTRIES, TRANSACTIONS = (model._meta.db_table for model in (Account, Entry, Transaction))
ENTRIES_AT_ONCE = 2000
# Made anew by the service itself, or of the database that it is in. Whoever has a session logs in again.
LEFT_OUT = frozenset(
    {
        *("api_sessions", "canary", "sessions", "django_migrations", "imports"),
        *("roll_ups", "hourly_movements", "engine_hours"),
        *("account_proofs", "audit_cursor"),
    }
)


@dataclass(frozen=True, slots=True)
class Exported:
    """An export that was written and verified."""

    digest: str
    documents: dict[str, int]
    report: Report


def export_ledger(path: Path, *, progress: Callable[[int], Any] = lambda documents: None) -> Exported:
    """Write the ledger to the new file `path`, and verify what was written; it has that name only once it is whole.

    Raises ExportBroken when the ledger is not whole, or an import broke off; OSError; PyMongoError, SnapshotTooOld
    among them where all but entries and transactions takes longer than MongoDB keeps a snapshot.
    """
    if unfinished_import():
        raise ExportBroken("An import into this database broke off: it holds a part of a ledger")
    if path.exists():
        raise FileExistsError(17, "the file is there already", str(path))
    partial = path.with_name(f"{path.name}.partial")
    try:
        with Writer.to(partial, _header()) as writer:
            heads = _write_snapshot(writer)
            _write_history(writer, heads, progress)
            digest = writer.end()
        report = verify_file(partial)
        if not report.whole:
            raise ExportBroken(f"The ledger is not whole, so there is no export of it: {dict(report.counts)}")
        partial.rename(path)
    finally:
        partial.unlink(missing_ok=True)
    return Exported(digest, dict(writer.written), report)


def applied_migrations() -> list[str]:
    """The migrations that the database has, by app and name: an export fits a database with the same."""
    return sorted(f"{row['app']}.{row['name']}" for row in database()["django_migrations"].find())


def _header() -> Document:
    return {"exported_at": timestamp(timezone.now()), "migrations": applied_migrations()}


def _write_snapshot(writer: Writer) -> dict[ObjectId, int]:
    """Write all that is not history, as of one moment; each account's sequence at that moment."""
    heads: dict[ObjectId, int] = {}
    with database().client.start_session(snapshot=True) as snapshot:
        for name in sorted(set(collections()) - LEFT_OUT - {ENTRIES, TRANSACTIONS}):
            for document in database()[name].find({}, session=snapshot):
                writer.add(name, document)
                if name == ACCOUNTS:
                    heads[document["_id"]] = document["sequence"]
    return heads


def _write_history(writer: Writer, heads: dict[ObjectId, int], progress: Callable[[int], Any]) -> None:
    """Write the entries up to `heads`, and each transaction before its debit."""
    rows = iter(collection(Entry).find({}, sort=[("account", 1), ("sequence", 1)], batch_size=ENTRIES_AT_ONCE))
    while batch := list(islice(rows, ENTRIES_AT_ONCE)):
        kept = [entry for entry in batch if entry["sequence"] <= heads.get(entry["account"], 0)]
        debits = [entry["transaction"] for entry in kept if entry["direction"] == Entry.Direction.DEBIT]
        for transaction in _as_of(heads, collection(Transaction).find({"_id": {"$in": debits}})):
            writer.add(TRANSACTIONS, transaction)
        for entry in kept:
            writer.add(ENTRIES, entry)
        progress(len(batch))


def _as_of(heads: dict[ObjectId, int], transactions: Iterable[Document]) -> Iterator[Document]:
    """`transactions` without the reversals that came after `heads`."""
    found = list(transactions)
    reversals = [transaction["reversed_by"] for transaction in found if "reversed_by" in transaction]
    debits = collection(Entry).find(
        {"_id": {"$in": [made["debit_entry"] for made in collection(Transaction).find({"_id": {"$in": reversals}})]}}
    )
    later = {debit["transaction"] for debit in debits if debit["sequence"] > heads.get(debit["account"], 0)}
    for transaction in found:
        if transaction.get("reversed_by") in later:
            rest = {name: value for name, value in transaction.items() if name != "reversed_by"}
            yield rest | {"status": Transaction.Status.COMPLETED.value, "updated_at": transaction["created_at"]}
        else:
            yield transaction
