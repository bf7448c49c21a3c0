"""Posting for real: load the books, let posting.py decide, store everything in one MongoDB transaction.

The only module that writes accounts' balances, transactions and entries.
"""

import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import pymongo
from bson import ObjectId
from bson.errors import BSONError
from django.conf import settings
from django.utils import timezone
from pymongo.errors import PyMongoError

from accounts.models import Account
from ledger_project.errors import LedgerError
from ledger_project.mongo import Document, Unit, database, from_document, is_duplicate_key, is_passing, run_transaction
from transactions import notices, posting
from transactions.group_commit import GroupCommit
from transactions.meters import meters
from transactions.models import Entry, Transaction
from transactions.posting import AccountState, Books, Command, Decision, Order, Posting, Replay, Reversal, Transfer
from transactions.refusals import Forbidden, IdempotencyKeyReused, NotPosted, OutcomeUnknown, Overdue, TooBusy
from transactions.signals import transactions_completed
from transactions.turn import HostTurn
from users.tokens import Token, TokenRefused, counting, lookups

logger = logging.getLogger(__name__)

ACCOUNTS, TRANSACTIONS, ENTRIES = (model._meta.db_table for model in (Account, Transaction, Entry))
# An account's document as an AccountState.
STATE = {"_id": 0, **{field: f"${field}" for field in AccountState._fields}, "id": "$_id"}
LOOK_UP_SHARE = 0.15  # of a request's time is kept for looking up what became of it when the rest was not enough
LEAST_SECONDS = 0.5  # what a commit, or a look-up, gets even when its deadline is near
GROUP_LIMIT = 1000  # transfers in one MongoDB transaction; past it, a longer commit costs more than a second one
QUEUE_LIMIT = 5000  # transfers that may wait in a process; what comes then is told at once to come again


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a transfer that was not refused; `replayed` when an earlier request had posted it."""

    document: Document
    replayed: bool

    @property
    def transaction(self) -> Transaction:
        """The transaction."""
        return from_document(Transaction, self.document)


Result = Outcome | LedgerError


def post(transfer: Command, *, token: Token | None = None) -> Outcome:
    """Post `transfer`, once for each (initiator, key), however often and from however many places it is asked for.

    When this returns, a majority of the servers has the transfer on its journal. The `token` it was asked for with is
    looked up in the snapshot in which the money moves (ADR 0008). Raises a Refusal or InvalidAmount (a
    business no), TokenRefused (the token does not count any more), NotPosted (the database did not take it): nothing
    was written and the key is free. Or OutcomeUnknown: repeat it with the same key.
    """
    (result,) = _submit(Order((transfer,), token=token))
    if isinstance(result, LedgerError):
        raise result
    return result


def post_together(transfers: Sequence[Command], *, atomic: bool = False) -> list[Result]:
    """Post many transfers in their order, and return what became of each; `atomic`: all or none.

    Each is posted once for each (initiator, key), as by `post`. Requests that run at the same time share a commit
    (group_commit.py) and never each other's fate.
    """
    return _submit(Order(tuple(transfers), atomic)) if transfers else []


def _submit(order: Order) -> list[Result]:
    """What becomes of `order`; how long it took and what was refused is counted."""
    began = time.perf_counter()
    results = _committed(order)
    meters.answered(results, time.perf_counter() - began)
    return results


def _committed(order: Order) -> list[Result]:
    """Have `order` committed with what else waits. Never raises for the database."""
    try:
        return _group_commit.submit(order, timeout_seconds=settings.POSTING_DEADLINE_SECONDS * (1 - LOOK_UP_SHARE))
    except TooBusy as busy:
        return [busy] * len(order)
    except Overdue:
        return _look_up([order], OutcomeUnknown())[0]


def _commit(orders: Sequence[Order], deadline: float) -> list[list[Result]]:
    """Commit a group; one list of results for each order. Never raises for the database."""
    meters.committed(sum(map(len, orders)))
    return _commit_until(deadline, orders)


def _commit_until(deadline: float, orders: Sequence[Order], *, again: bool = True) -> list[list[Result]]:
    """Commit `orders` in one MongoDB transaction, before `deadline` on the monotonic clock.

    Groups of other processes that share an account or a key with this one: MongoDB lets the first one through and makes
    the other start again on what the first left behind. A lasting error is narrowed down to the order that causes it.
    """
    remaining = max(deadline - time.monotonic(), LEAST_SECONDS)
    try:
        return run_transaction(lambda unit: _post_in(unit, orders), timeout_seconds=remaining)
    except PyMongoError as error:
        if again and is_duplicate_key(error):  # posted elsewhere after our snapshot was taken: now it is a replay
            return _commit_until(deadline, orders, again=False)
        if not is_passing(error):
            return _narrow_down(deadline, orders, error)
        logger.error("posting failed at its deadline: %s", type(error).__name__)
        return _look_up(orders, _told_of(error))
    except (BSONError, OverflowError, UnicodeError, AssertionError) as error:
        return _narrow_down(deadline, orders, error)


def _narrow_down(deadline: float, orders: Sequence[Order], error: Exception) -> list[list[Result]]:
    """Commit both halves of the group by themselves, down to the one order that the database refuses."""
    if len(orders) > 1:
        half = len(orders) // 2
        return _commit_until(deadline, orders[:half]) + _commit_until(deadline, orders[half:])
    code = getattr(error, "code", None)
    logger.error("the database refuses an order of %d: %s (%s)", len(orders[0]), type(error).__name__, code)
    return _look_up(orders, Forbidden())


def _post_in(unit: Unit, orders: Sequence[Order]) -> list[list[Result]]:
    books, counted = _load(unit, orders)
    before = dict(books.accounts)
    now = _now()
    decided: list[list[Decision]] = []
    for order in orders:
        if order.token and order.token not in counted:
            decided.append([TokenRefused()] * len(order))
            continue
        decisions, books = posting.carry_out(order, books, now)
        decided.append(decisions)
        order.attempts.update(decision.transaction["_id"] for decision in decisions if isinstance(decision, Posting))
    postings = [decision for decisions in decided for decision in decisions if isinstance(decision, Posting)]
    if postings:
        _store(unit, before, books, postings)
    return [[_result(decision) for decision in decisions] for decisions in decided]


def _result(decision: Decision) -> Result:
    if isinstance(decision, LedgerError):
        return decision
    return Outcome(decision.transaction, isinstance(decision, Replay))


def _load(unit: Unit, orders: Sequence[Order]) -> tuple[Books, set[Token]]:
    """All that is to be known before anything is decided, in one round trip: the books, and which tokens count.

    The books: the accounts that are named, the equity of who issues funds, the keys that are taken. Reversals name
    transactions; where there are any, these are read in a round trip before, for they name the accounts.
    """
    commands = [command for order in orders for command in order.transfers]
    transfers = [command for command in commands if isinstance(command, Transfer)]
    originals = _originals(unit, commands) if len(transfers) < len(commands) else {}
    ids = {t.to_account for t in transfers} | {t.from_account for t in transfers if t.from_account}
    ids |= {original[side] for original in originals.values() for side in ("from_account", "to_account")}
    issuers = {t.initiator for t in transfers if t.from_account is None}
    named: Document = {"_id": {"$in": list(ids)}}
    if issuers:
        named = {"$or": [named, {"user": {"$in": list(issuers)}, "kind": Account.Kind.EQUITY.value}]}
    tokens = {order.token for order in orders if order.token}
    joined = unit.join(
        {"$lookup": {"from": ACCOUNTS, "pipeline": [{"$match": named}, {"$project": STATE}], "as": "accounts"}},
        {"$lookup": {"from": TRANSACTIONS, "pipeline": [{"$match": _keys(commands)}], "as": "known"}},
        *(lookups(tokens) if tokens else ()),
    )
    accounts = (AccountState(**account) for account in joined["accounts"])
    books = Books({account.id: account for account in accounts}, _by_key(joined["known"]), originals)
    return books, counting(tokens, joined) if tokens else set()


def _originals(unit: Unit, commands: Sequence[Command]) -> dict[ObjectId, Document]:
    """The transactions that are to be reversed, by their ids."""
    ids = [command.original for command in commands if isinstance(command, Reversal)]
    found = unit.database[TRANSACTIONS].find({"_id": {"$in": ids}}, session=unit.session)
    return {original["_id"]: original for original in found}


def _by_key(documents: Iterable[Document]) -> dict[tuple[ObjectId, str], Document]:
    return {(document["initiator"], document["idempotency_key"]): document for document in documents}


def _keys(transfers: Sequence[Command]) -> Document:
    """A filter on the unique index for the keys of `transfers`; it may find one of another of their initiators, too."""
    return {
        "idempotency_key": {"$in": [t.idempotency_key for t in transfers]},
        "initiator": {"$in": list({t.initiator for t in transfers})},
    }


def _store(unit: Unit, before: dict[ObjectId, AccountState], books: Books, postings: list[Posting]) -> None:
    """Write accounts, transactions, entries and the word for the outbox: one command a collection.

    What guards them is the server: whoever writes an account that changed since this snapshot has a conflict, and no
    account has two entries of one number (a unique index).
    """
    transactions = [made.transaction for made in postings]
    now = transactions[0]["created_at"]
    changed = [account for account in books.accounts.values() if account is not before[account.id]]
    unit.update(ACCOUNTS, [(account.id, _fields(account, now)) for account in changed])
    unit.insert(TRANSACTIONS, transactions)
    unit.insert(ENTRIES, [entry for made in postings for entry in made.entries])
    if reversals := [transaction for transaction in transactions if "reverses" in transaction]:
        # The originals were read in this snapshot: whoever else reverses one has a conflict, and finds it reversed.
        unit.update(TRANSACTIONS, [(made["reverses"], posting.reversed_by(made)) for made in reversals])
    notices.leave_word(unit, transactions, now)
    ids = [transaction["_id"] for transaction in transactions]
    unit.after_commit(lambda: transactions_completed.send(Transaction, transaction_ids=ids))


def _fields(account: AccountState, now: datetime) -> Document:
    return {
        "balance_minor": account.balance_minor,
        "sequence": account.sequence,
        "chain_head": account.chain_head,
        "updated_at": now,
    }


def _told_of(error: PyMongoError) -> LedgerError:
    """What to tell of a transfer that is not there after `error`: whether it may still come."""
    return OutcomeUnknown() if error.has_error_label("UnknownTransactionCommitResult") else NotPosted()


def _look_up(orders: Sequence[Order], otherwise: LedgerError) -> list[list[Result]]:
    """What became of `orders` after the database failed: a transfer whose key is there was posted; else `otherwise`.

    One look for the whole group, for everybody behind it waits.
    """
    transfers = [transfer for order in orders for transfer in order.transfers]
    try:
        with pymongo.timeout(max(settings.POSTING_DEADLINE_SECONDS * LOOK_UP_SHARE, LEAST_SECONDS)):
            known = _by_key(database()[TRANSACTIONS].find(_keys(transfers)))
    except PyMongoError as error:
        logger.error("the outcome could not be looked up: %s", type(error).__name__)
        return [[OutcomeUnknown()] * len(order) for order in orders]
    results = [[_looked_up(transfer, order, known, otherwise) for transfer in order.transfers] for order in orders]
    flat = (result for found in results for result in found)
    # Staff who reverse read the answer; a customer whose transfer failed is also written to.
    failed = [t for t, result in zip(transfers, flat, strict=True) if result is otherwise and isinstance(t, Transfer)]
    if failed and isinstance(otherwise, NotPosted):
        notices.tell_of_failures(failed, _now())
    return results


def _looked_up(
    transfer: Command, order: Order, known: dict[tuple[ObjectId, str], Document], otherwise: LedgerError
) -> Result:
    document = known.get((transfer.initiator, transfer.idempotency_key))
    if document is None:
        return otherwise
    if document["fingerprint"] != transfer.fingerprint:
        return IdempotencyKeyReused()
    return Outcome(document, replayed=document["_id"] not in order.attempts)


def _now() -> datetime:
    """Now, in the whole milliseconds that MongoDB keeps."""
    now = timezone.now()
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


_group_commit: GroupCommit[Order, list[Result]] = GroupCommit(
    _commit, group_limit=GROUP_LIMIT, queue_limit=QUEUE_LIMIT, turn=HostTurn(settings.COMMIT_TURN_FILE)
)
