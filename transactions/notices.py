"""Who is told of what became of a transfer.

A posting stores only which transactions it made: one small row for the whole group, in its own MongoDB transaction. A
worker writes the notices from that, one for each customer's entry, and deletes the row (ADR 0006).
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from hashlib import sha256

import pymongo
from bson import ObjectId
from django.utils import timezone
from pymongo.errors import BulkWriteError, PyMongoError

from accounts.models import Account
from ledger_project.jsonio import plain, timestamp
from ledger_project.money import to_major
from ledger_project.mongo import DUPLICATE_KEY, Document, database, inserting
from transactions.models import NoticesDue, Transaction
from transactions.posting import Transfer
from users import notifications
from users.models import Notification

logger = logging.getLogger(__name__)

ACCOUNTS, DUE, NOTIFICATIONS, TRANSACTIONS = (
    model._meta.db_table for model in (Account, NoticesDue, Notification, Transaction)
)
FAILURE_SECONDS = 1  # the answer waits for it, past its deadline
TOGETHER = 1000  # transactions whose notices are written at once


def word(transactions: Sequence[Document], now: datetime) -> Document:
    """The command that notes that the notices of `transactions` are to be written."""
    return inserting(DUE, [{"_id": ObjectId(), "transactions": [t["_id"] for t in transactions], "created_at": now}])


def write_due(*, limit: int) -> int:
    """Write the notices of up to `limit` groups, the oldest first; of how many groups they were.

    It may die half-way or run twice at once: a notice has the id of the entry that it tells of, so there is never a
    second one, and a group is forgotten only when all of its notices are there. One that cannot be written is logged,
    goes to the end of the queue and holds up no other. Raises PyMongoError when the database does not answer.
    """
    return sum(map(_written, _together(database()[DUE].find(sort=[("_id", 1)], limit=limit))))


def are_due() -> bool:
    """Whether a group waits for its notices."""
    return database()[DUE].find_one({}, {"_id": 1}) is not None


def _together(groups: Iterable[Document]) -> Iterator[list[Document]]:
    """The groups in their order, as many at once as have TOGETHER transactions: one write costs what each would."""
    parcel: list[Document] = []
    for group in groups:
        if parcel and sum(len(other["transactions"]) for other in (*parcel, group)) > TOGETHER:
            yield parcel
            parcel = []
        parcel.append(group)
    if parcel:
        yield parcel


def _written(groups: list[Document]) -> int:
    """Write the notices of `groups`, together or, when one of them stands in the way, each by itself; of how many."""
    try:
        _write(groups)
    except (LookupError, ArithmeticError, TypeError, ValueError):  # a document is missing, or not as it must be
        if len(groups) > 1:
            return sum(_written([group]) for group in groups)
        (group,) = groups
        logger.exception("the notices of group %s cannot be written", group["_id"])
        database()[DUE].insert_one(group | {"_id": ObjectId()})
        database()[DUE].delete_one({"_id": group["_id"]})
        return 0
    return len(groups)


def _write(groups: list[Document]) -> None:
    ids = [transaction for group in groups for transaction in group["transactions"]]
    transactions = list(database()[TRANSACTIONS].find({"_id": {"$in": ids}}))
    if len(transactions) < len(ids):
        raise LookupError("a transaction of the group is not there yet")
    _insert_new(_notices(transactions))
    database()[DUE].delete_many({"_id": {"$in": [group["_id"] for group in groups]}})


def _notices(transactions: Sequence[Document]) -> list[Document]:
    """For each transaction, one for the payer and one for the payee, where that is a customer."""
    named = {transaction[side] for transaction in transactions for side in ("from_account", "to_account")}
    accounts = {
        account["_id"]: account
        for account in database()[ACCOUNTS].find({"_id": {"$in": list(named)}}, {"user": 1, "kind": 1})
    }
    rows, now = [], timezone.now()
    for transaction in transactions:
        payload = _payload(transaction)
        debited, credited = Notification.Kind.TRANSFER_SENT, Notification.Kind.TRANSFER_RECEIVED
        if "reverses" in transaction:
            debited, credited = Notification.Kind.MONEY_TAKEN_BACK, Notification.Kind.MONEY_RETURNED
        for side, entry, kind in (
            ("from_account", "debit_entry", debited),
            ("to_account", "credit_entry", credited),
        ):
            account = accounts[transaction[side]]
            if account["kind"] == Account.Kind.CUSTOMER:
                row = notifications.row(account["user"], kind, payload, transaction["created_at"])
                # No later than now, though the clock that the transaction has its time from may be ahead of ours.
                rows.append(row | {"_id": transaction[entry], "due_at": min(transaction["created_at"], now)})
    return rows


def _payload(transaction: Document) -> dict[str, str]:
    original = {"original": str(transaction["reverses"])} if "reverses" in transaction else {}
    return original | {
        "amount": plain(to_major(transaction["amount_minor"], transaction["currency"])),
        "currency": transaction["currency"],
        "from_account": str(transaction["from_account"]),
        "to_account": str(transaction["to_account"]),
        "transaction": str(transaction["_id"]),
        "time": timestamp(transaction["created_at"]),
    }


def _insert_new(rows: list[Document]) -> None:
    """Store the rows that are not there yet. Raises ValueError when the database refuses one for what it is."""
    try:
        if rows:
            database()[NOTIFICATIONS].insert_many(rows, ordered=False)
    except BulkWriteError as error:
        if error.details["writeConcernErrors"]:  # not on a majority yet, so it may go again: its word is still needed
            raise
        refused = {write["code"] for write in error.details["writeErrors"]} - {DUPLICATE_KEY}
        if refused:  # the error itself has the notices in it, and is going to be logged
            raise ValueError(f"the database refuses a notice: {refused}") from None


def tell_of_failures(transfers: Iterable[Transfer], now: datetime, reason: str) -> None:
    """Queue a failure notice for transfers that were accepted and then failed; if it cannot be, the answer has said so.

    It says the `reason` that the answer gave. One notice for each (initiator, key), however often the client tries: its
    _id is made from them.
    """
    rows = []
    for transfer in transfers:
        said = _failure(transfer, now, reason)
        row = notifications.row(transfer.initiator, Notification.Kind.TRANSFER_FAILED, said, now)
        named = sha256(f"{transfer.initiator}|{transfer.idempotency_key}".encode()).digest()
        rows.append(row | {"_id": ObjectId(named[:12])})
    try:
        with pymongo.timeout(FAILURE_SECONDS):
            _insert_new(rows)
    except (PyMongoError, ValueError) as error:
        logger.warning("failure notices not queued: %s", type(error).__name__)


def _failure(transfer: Transfer, now: datetime, reason: str) -> dict[str, str]:
    return {
        "amount": plain(transfer.amount),
        "from_account": str(transfer.from_account or ""),
        "to_account": str(transfer.to_account),
        "idempotency_key": transfer.idempotency_key,
        "reason": reason,
        "time": timestamp(now),
    }
