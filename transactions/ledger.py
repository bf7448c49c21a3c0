"""Posting for real: load the books, let posting.py decide, store everything in one MongoDB transaction.

The only module that writes accounts' balances, transactions and entries.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import pymongo
from bson import ObjectId
from django.utils import timezone
from pymongo import UpdateOne
from pymongo.errors import DuplicateKeyError, PyMongoError

from accounts.models import Account
from ledger_project.errors import LedgerError
from ledger_project.jsonio import plain, timestamp
from ledger_project.money import to_major
from ledger_project.mongo import Document, Unit, database, from_document, run_transaction
from transactions import posting, refusals
from transactions.models import Entry, Transaction
from transactions.posting import AccountState, Books, Posting, Replay, Transfer
from transactions.signals import transactions_completed
from users import notifications
from users.models import Notification

logger = logging.getLogger(__name__)

ACCOUNTS, TRANSACTIONS, ENTRIES = (model._meta.db_table for model in (Account, Transaction, Entry))
LOOK_UP_SECONDS = 3


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a transfer that was not refused; `replayed` when an earlier request had posted it."""

    transaction: Transaction
    replayed: bool


def post(transfer: Transfer) -> Outcome:
    """Post `transfer`, once for each (initiator, key), however often and from however many places it is asked for.

    When this returns, a majority of the servers has the transfer on its journal. Raises a Refusal or InvalidAmount (nothing
    was written, the key is free) or OutcomeUnknown (repeat it with the same key).
    """
    (outcome,) = post_group([transfer])
    if isinstance(outcome, LedgerError):
        raise outcome
    return outcome


def post_group(transfers: Sequence[Transfer]) -> list[Outcome | LedgerError]:
    """Post many transfers in one MongoDB transaction, in order; each gets its own outcome, a refusal is no obstacle to others.

    Concurrent groups that share an account or a key: MongoDB lets the first one through and makes the other start again on
    what the first left behind. Never raises for the database: an outcome that is not known is an OutcomeUnknown.
    """
    try:
        try:
            return run_transaction(lambda unit: _post_in(unit, transfers))
        except DuplicateKeyError:
            # A key was posted elsewhere after our snapshot was taken: read again, it is a replay now.
            return run_transaction(lambda unit: _post_in(unit, transfers))
    except PyMongoError as error:
        logger.error("posting failed: %s (code %s)", type(error).__name__, getattr(error, "code", None))
        return _look_up(transfers, error)


def _post_in(unit: Unit, transfers: Sequence[Transfer]) -> list[Outcome | LedgerError]:
    books = _load(unit, transfers)
    before = dict(books.accounts)
    now = _now()
    outcomes: list[Outcome | LedgerError] = []
    postings: list[Posting] = []
    for transfer in transfers:
        try:
            decided = posting.decide(transfer, books, now)
        except LedgerError as refusal:
            outcomes.append(refusal)
            continue
        if isinstance(decided, Posting):
            books.apply(decided)
            postings.append(decided)
        outcomes.append(Outcome(from_document(Transaction, decided.transaction), isinstance(decided, Replay)))
    if postings:
        _store(unit, before, books, postings)
    return outcomes


def _load(unit: Unit, transfers: Sequence[Transfer]) -> Books:
    """The accounts that `transfers` name (and the equity accounts of who issues funds), and the keys already taken: one round trip."""
    ids = {t.to_account for t in transfers} | {t.from_account for t in transfers if t.from_account}
    issuers = {t.initiator for t in transfers if t.from_account is None}
    named: Document = {"_id": {"$in": list(ids)}}
    if issuers:
        named = {"$or": [named, {"user": {"$in": list(issuers)}, "kind": Account.Kind.EQUITY.value}]}
    found = unit.database[ACCOUNTS].aggregate(
        [
            {"$match": named},
            {"$group": {"_id": None, "accounts": {"$push": "$$ROOT"}}},
            {"$lookup": {"from": TRANSACTIONS, "pipeline": [{"$match": _keys(transfers)}], "as": "known"}},
        ],
        session=unit.session,
    )
    books = Books()
    for together in found:  # one document, or none when no account is known
        books.accounts = {account["_id"]: _state(account) for account in together["accounts"]}
        books.known = {(t["initiator"], t["idempotency_key"]): t for t in together["known"]}
    return books


def _keys(transfers: Sequence[Transfer]) -> Document:
    """A filter on the unique index for the keys of `transfers` (it may find a key of another of these initiators as well)."""
    return {
        "idempotency_key": {"$in": [t.idempotency_key for t in transfers]},
        "initiator": {"$in": list({t.initiator for t in transfers})},
    }


def _state(document: Document) -> AccountState:
    return AccountState(
        id=document["_id"],
        user=document["user"],
        kind=document["kind"],
        status=document["status"],
        currency=document["currency"],
        may_overdraw=document["may_overdraw"],
        balance_minor=document["balance_minor"],
        sequence=document["sequence"],
        chain_head=document["chain_head"],
    )


def _store(unit: Unit, before: dict[ObjectId, AccountState], books: Books, postings: list[Posting]) -> None:
    """Write accounts, transactions, entries and outbox rows: one command a collection."""
    now = postings[0].transaction["created_at"]
    changed = [account for account in books.accounts.values() if account != before[account.id]]
    written = unit.database[ACCOUNTS].bulk_write(
        [
            UpdateOne(
                {"_id": account.id, "sequence": before[account.id].sequence},
                {
                    "$set": {
                        "balance_minor": account.balance_minor,
                        "sequence": account.sequence,
                        "chain_head": account.chain_head,
                        "updated_at": now,
                    }
                },
            )
            for account in changed
        ],
        session=unit.session,
    )
    assert written.matched_count == len(changed), "an account changed under a snapshot"
    unit.database[TRANSACTIONS].insert_many([p.transaction for p in postings], session=unit.session)
    unit.database[ENTRIES].insert_many([entry for p in postings for entry in p.entries], session=unit.session)
    notifications.queue(unit, [row for p in postings for row in _notices(p)])
    ids = [p.transaction["_id"] for p in postings]
    unit.after_commit(lambda: transactions_completed.send(Transaction, transaction_ids=ids))


def _notices(decided: Posting) -> list[Document]:
    """The outbox rows of a posting: one for the payer, unless it is the system issuing money, and one for the payee."""
    transaction = decided.transaction
    now = transaction["created_at"]
    payload = {
        "amount": plain(to_major(transaction["amount_minor"], transaction["currency"])),
        "currency": transaction["currency"],
        "from_account": str(transaction["from_account"]),
        "to_account": str(transaction["to_account"]),
        "transaction": str(transaction["_id"]),
        "time": timestamp(now),
    }
    received = notifications.row(decided.credited.user, Notification.Kind.TRANSFER_RECEIVED, payload, now)
    if transaction["kind"] == Transaction.Kind.INITIAL_FUNDS:
        return [received]
    return [notifications.row(decided.debited.user, Notification.Kind.TRANSFER_SENT, payload, now), received]


def _look_up(transfers: Sequence[Transfer], error: PyMongoError) -> list[Outcome | LedgerError]:
    """What became of `transfers` after the database failed: those whose key is there were posted, the rest is not known."""
    known: dict[tuple[ObjectId, str], Document] = {}
    try:
        with pymongo.timeout(LOOK_UP_SECONDS):
            for document in database()[TRANSACTIONS].find(_keys(transfers)):
                known[document["initiator"], document["idempotency_key"]] = document
    except PyMongoError:
        logger.error("the outcome could not be looked up: %s", type(error).__name__)
    return [_looked_up(transfer, known) for transfer in transfers]


def _looked_up(transfer: Transfer, known: dict[tuple[ObjectId, str], Document]) -> Outcome | LedgerError:
    document = known.get((transfer.initiator, transfer.idempotency_key))
    if document is None:
        return refusals.OutcomeUnknown()
    if document["fingerprint"] != transfer.fingerprint:
        return refusals.IdempotencyKeyReused()
    return Outcome(from_document(Transaction, document), replayed=False)


def _now() -> datetime:
    """Now, in the whole milliseconds that MongoDB keeps."""
    now = timezone.now()
    return now.replace(microsecond=now.microsecond // 1000 * 1000)
