"""Looking back: pages of transactions and entries, each one range of one index, newest first."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from bson import ObjectId

from accounts.models import Account
from ledger_project.money import currencies_by_decimals, minor_range
from ledger_project.mongo import Document, collection, first_id, from_document
from transactions.models import Entry, Transaction
from transactions.statement import StatementBroken
from users.models import Notification

# A transaction's id is made within this time after its created_at (a posting's deadline is far shorter).
ID_SLACK_SECONDS = 60


def transactions(
    *,
    party: ObjectId,
    limit: int,
    before: ObjectId | None = None,
    status: str | None = None,
    created_from: datetime | None = None,
    created_until: datetime | None = None,
    min_amount: Decimal | None = None,
    max_amount: Decimal | None = None,
) -> list[Document]:
    """Up to `limit` documents of transactions that touch `party`, a user or an account, newest first.

    `before` is the id of the last one already seen; `created_from` is included, `created_until` is not; amounts are in
    major units of whatever currency a transaction has.
    """
    ids: Document = {}
    created: Document = {}
    conditions: Document = {"parties": party}
    if created_from:
        ids["$gte"], created["$gte"] = first_id(created_from.timestamp()), created_from
    if created_until:
        ids["$lt"], created["$lt"] = first_id(created_until.timestamp() + ID_SLACK_SECONDS), created_until
    if before:
        ids["$lt"] = min(before, ids.get("$lt", before))
    if ids:
        conditions["_id"] = ids
    if created:
        conditions["created_at"] = created
    if status:
        conditions["status"] = status
    if min_amount is not None or max_amount is not None:
        conditions["$or"] = _amount_between(min_amount, max_amount)
    return list(collection(Transaction).find(conditions).sort("_id", -1).limit(limit))


def transaction(transaction_id: ObjectId, *, party: ObjectId) -> Document | None:
    """The document of a transaction that touches `party`, a user, with its two `entries`, the debit first.

    `is_own` of an entry says whether it is on an account of `party`: the other side's balance is not theirs to see.
    Raises StatementBroken when an entry was removed.
    """
    found = collection(Transaction).find_one({"_id": transaction_id, "parties": party})
    if found is None:
        return None
    sides = {found["debit_entry"]: found["from_account"], found["credit_entry"]: found["to_account"]}
    by_id = {entry["_id"]: from_document(Entry, entry) for entry in collection(Entry).find({"_id": {"$in": [*sides]}})}
    if len(by_id) < len(sides):
        raise StatementBroken
    own = {account.pk for account in Account.objects.filter(pk__in=[*sides.values()], user=party)}
    for entry_id, account_id in sides.items():
        by_id[entry_id].is_own = account_id in own
    links = {"reverses": found.get("reverses"), "reversed_by": found.get("reversed_by")}
    return found | links | {"entries": [by_id[entry_id] for entry_id in sides]}


def entries(*, account: ObjectId, limit: int, before: int | None = None) -> list[Entry]:
    """Up to `limit` entries of `account`, newest first; `before` is the sequence of the last one already seen."""
    conditions: Document = {"account": account}
    if before is not None:
        conditions["sequence"] = {"$lt": before}
    found = collection(Entry).find(conditions).sort("sequence", -1).limit(limit)
    return [from_document(Entry, document) for document in found]


def with_kinds(entries: Sequence[Entry]) -> Sequence[Entry]:
    """`entries`, each with the `kind` of its transaction: one look-up by id for all of them.

    Raises StatementBroken when a transaction was removed.
    """
    ids = {entry.transaction_id for entry in entries}
    found = collection(Transaction).find({"_id": {"$in": [*ids]}}, {"kind": 1})
    kinds = {transaction["_id"]: transaction["kind"] for transaction in found}
    if len(kinds) < len(ids):
        raise StatementBroken
    for entry in entries:
        entry.kind = kinds[entry.transaction_id]
    return entries


def notices(transaction: Transaction) -> list[Notification]:
    """The outbox rows that tell of `transaction`: each has the id of the entry that it tells of.

    There are none before a worker has written them, nor long after they were sent.
    """
    ids = (transaction.debit_entry, transaction.credit_entry)
    found = Notification.objects.in_bulk(ids)
    return [found[key] for key in ids if key in found]


def _amount_between(low: Decimal | None, high: Decimal | None) -> list[Document]:
    """One condition for each number of decimals that a currency can have: it decides what is `low` in minor units."""
    return [
        {"currency": {"$in": codes}, "amount_minor": minor_range(low, high, places)}
        for places, codes in currencies_by_decimals().items()
    ]
