"""Posting for real: load the books, let posting.py decide, store everything in one MongoDB transaction.

The only module that writes accounts' balances, transactions and entries.
"""

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from math import ceil

import pymongo
from bson import ObjectId
from django.conf import settings
from django.utils import timezone
from pymongo.errors import PyMongoError

from accounts.models import Account
from ledger_project.errors import LedgerError
from ledger_project.mongo import (
    MAYBE_COMMITTED,
    Document,
    Unit,
    database,
    from_document,
    in_milliseconds,
    inserting,
    is_duplicate_key,
    is_refused_document,
    run_transaction,
    setting,
)
from transactions import notices, posting
from transactions.group_commit import GroupCommit
from transactions.meters import meters
from transactions.models import Entry, Transaction
from transactions.posting import (
    AccountState,
    Books,
    Command,
    Decision,
    Order,
    Posting,
    Replay,
    Reversal,
    Transfer,
    reversed_by,
)
from transactions.refusals import Forbidden, IdempotencyKeyReused, NotPosted, OutcomeUnknown, Overdue, TooBusy
from transactions.signals import transactions_completed
from transactions.turn import HostTurn
from users.tokens import Token, TokenRefused, counting, lookups

logger = logging.getLogger(__name__)

ACCOUNTS, TRANSACTIONS, ENTRIES = (model._meta.db_table for model in (Account, Transaction, Entry))
# An account's document as an AccountState.
STATE = {"_id": 0, **{field: f"${field}" for field in AccountState._fields}, "id": "$_id"}
LOOK_UP_SHARE = 0.15  # of a request's time may go on looking up what became of it when the rest was not enough
LEAST_SECONDS = 0.5  # what a commit, or a look-up, gets even when its deadline is near
GROUP_LIMIT = 1000  # transfers in one MongoDB transaction; past it, a longer commit costs more than a second one
PART = 250  # transfers that are decided before the server is given something to store
MANY_KEYS = 8  # of one initiator in a group, on average
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
    """Have `order` committed with what else waits; what became of each of its transfers.

    How long it took and what was refused is counted. A customer whose transfer was accepted and then failed is written
    to, by the thread that has the time: the group's leader has others to serve. Never raises for the database.
    """
    began = time.perf_counter()
    results: list[Result]
    try:
        results = _group_commit.submit(order, timeout_seconds=settings.POSTING_DEADLINE_SECONDS)
    except (TooBusy, Overdue) as error:
        results = [error] * len(order)
    meters.answered(results, time.perf_counter() - began)
    if order.attempts:
        for reason, failed in _failed(order, results).items():
            notices.tell_of_failures(failed, in_milliseconds(timezone.now()), reason)
    return results


def _failed(order: Order, results: list[Result]) -> dict[str, list[Transfer]]:
    """The transfers of `order` that the database did not take, by what was said of them.

    Not the reversals: staff read it in the answer.
    """
    found: dict[str, list[Transfer]] = {}
    for command, result in zip(order.transfers, results, strict=True):
        if isinstance(result, NotPosted) and isinstance(command, Transfer):
            found.setdefault(result.message, []).append(command)
    return found


def _commit(orders: Sequence[Order], deadline: float, *, again: bool = True) -> list[list[Result]]:
    """Commit `orders` in one MongoDB transaction, before `deadline` on the monotonic clock; the results of each.

    Groups of other processes that share an account or a key with this one: MongoDB lets the first one through and makes
    the other start again on what the first left behind. What is refused for a document of its own, or trips over one,
    is narrowed down to what causes it. Never raises for the database.
    """
    remaining = max(deadline - time.monotonic(), LEAST_SECONDS)
    try:
        return run_transaction(lambda unit: _post_in(unit, orders), timeout_seconds=remaining)
    except PyMongoError as error:
        if again and is_duplicate_key(error):  # posted elsewhere after our snapshot was taken: now it is a replay
            return _commit(orders, deadline, again=False)
        if is_refused_document(error):
            return _narrow_down(orders, deadline, error)
        logger.error("a group was not posted: %s (%s)", type(error).__name__, getattr(error, "code", None))
        return _look_up(orders, OutcomeUnknown() if error.has_error_label(MAYBE_COMMITTED) else NotPosted())
    except Exception as error:  # noqa: BLE001  (one odd document: its neighbours are not to pay for it)
        return _narrow_down(orders, deadline, error)


def _narrow_down(orders: Sequence[Order], deadline: float, error: Exception) -> list[list[Result]]:
    """Commit both halves of the group by themselves, down to the order, or the transfer, that is at fault."""
    if time.monotonic() > deadline:
        return _look_up(orders, NotPosted())
    if len(orders) > 1:
        half = len(orders) // 2
        return _commit(orders[:half], deadline) + _commit(orders[half:], deadline)
    if len(orders[0]) > 1 and not orders[0].atomic:
        halves = orders[0].parts(ceil(len(orders[0]) / 2))
        return [[result for half in halves for result in _commit([half], deadline)[0]]]
    logger.error("an order of %d cannot be posted", len(orders[0]), exc_info=error)
    return _look_up(orders, Forbidden())


def _post_in(unit: Unit, orders: Sequence[Order]) -> list[list[Result]]:
    books, counted = _load(unit, orders)
    decided: list[list[Decision]] = [[] for _ in orders]
    transactions: list[Document] = []
    unit.write(_writes(_postings(orders, books, counted, decided), transactions))
    if transactions:
        ids = [transaction["_id"] for transaction in transactions]
        unit.after_commit(lambda: meters.committed(len(ids)))
        unit.after_commit(lambda: transactions_completed.send(Transaction, transaction_ids=ids))
    return [[_result(decision) for decision in decisions] for decisions in decided]


def _postings(
    orders: Sequence[Order], books: Books, counted: set[Token], decided: list[list[Decision]]
) -> Iterator[Posting]:
    """Decide `orders`, each into its list in `decided`; the postings among it come as soon as they are decided."""
    now = in_milliseconds(timezone.now())
    for order, its_decisions in zip(orders, decided, strict=True):
        if order.token and order.token not in counted:
            its_decisions.extend([TokenRefused()] * len(order))
            continue
        for part in order.parts(PART):
            decisions, books = posting.carry_out(part, books, now)
            its_decisions.extend(decisions)
            postings = [decision for decision in decisions if isinstance(decision, Posting)]
            order.attempts.update(made.transaction["_id"] for made in postings)
            yield from postings


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
    """A filter on the unique index for the keys of `transfers`.

    One condition for all of them costs least, and finds whatever key any of their initiators has in common with
    another. With many keys each (batches, numbered from 1 by everybody) that may be thousands: then one for each.
    """
    by_initiator: dict[ObjectId, list[str]] = {}
    for transfer in transfers:
        by_initiator.setdefault(transfer.initiator, []).append(transfer.idempotency_key)
    if len(transfers) > MANY_KEYS * len(by_initiator):
        return {"$or": [{"idempotency_key": {"$in": k}, "initiator": i} for i, k in by_initiator.items()]}
    return {
        "idempotency_key": {"$in": [transfer.idempotency_key for transfer in transfers]},
        "initiator": {"$in": list(by_initiator)},
    }


def _writes(postings: Iterator[Posting], transactions: list[Document]) -> Iterator[Document]:
    """The commands that write `postings`, part by part: while the server stores one, the next is decided.

    What guards them is the server: whoever writes an account that changed since this snapshot has a conflict, and no
    account has two entries of one number (a unique index). Accounts are written once, as soon as they are known: of a
    group smaller than a part that is first of all, so that who has a conflict has inserted nothing.
    Notes in `transactions` what is written there; the word for the outbox comes last, when all of it is known.
    """
    changed: dict[ObjectId, AccountState] = {}
    are_all_known = False
    while not are_all_known:
        part = list(islice(postings, PART))
        are_all_known = len(part) < PART
        changed.update((account.id, account) for each in part for account in (each.debited, each.credited))
        made = [each.transaction for each in part]
        transactions += made
        if are_all_known and transactions:
            now = transactions[0]["created_at"]
            yield setting(ACCOUNTS, ((account.id, _fields(account, now)) for account in changed.values()))
        if made:
            yield inserting(TRANSACTIONS, made)
            yield inserting(ENTRIES, [entry for each in part for entry in each.entries])
    if reversals := [transaction for transaction in transactions if "reverses" in transaction]:
        # The originals were read in this snapshot: whoever else reverses one has a conflict, and finds it reversed.
        yield setting(TRANSACTIONS, ((made["reverses"], reversed_by(made)) for made in reversals))
    if transactions:
        yield notices.word(transactions, now)


def _fields(account: AccountState, now: datetime) -> Document:
    return {
        "balance_minor": account.balance_minor,
        "sequence": account.sequence,
        "chain_head": account.chain_head,
        "updated_at": now,
    }


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
    return [[_looked_up(transfer, order, known, otherwise) for transfer in order.transfers] for order in orders]


def _looked_up(
    transfer: Command, order: Order, known: dict[tuple[ObjectId, str], Document], otherwise: LedgerError
) -> Result:
    document = known.get((transfer.initiator, transfer.idempotency_key))
    if document is None:
        return otherwise
    if document["fingerprint"] != transfer.fingerprint:
        return IdempotencyKeyReused()
    return Outcome(document, replayed=document["_id"] not in order.attempts)


_group_commit: GroupCommit[Order, list[Result]] = GroupCommit(
    _commit, group_limit=GROUP_LIMIT, queue_limit=QUEUE_LIMIT, turn=HostTurn(settings.COMMIT_TURN_FILE)
)
