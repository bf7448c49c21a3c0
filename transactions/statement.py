"""What a statement is, pure: the entries of an account in a period, between two balances that they explain.

A period is cut out of an account by sequence numbers, not by the times of its entries: so no entry is in two statements
that follow one another, and none in neither. A statement that does not add up, or whose chain of hashes is broken, is
not made at all.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from bson import ObjectId

from accounts.models import GENESIS
from ledger_project.errors import InternalError
from ledger_project.money import to_major
from ledger_project.mongo import Document
from transactions.models import Entry
from transactions.posting import entry_hash

MAX_ENTRIES = 10_000


class StatementBroken(InternalError):
    """The entries do not explain the balances: the ledger was tampered with, and nothing is claimed of it."""

    code = "statement_broken"
    message = "The entries of this account do not add up, so there is no statement of them."
    retryable = False


@dataclass(frozen=True, slots=True)
class Link:
    """Where an account stands after an entry: before its first one at zero."""

    sequence: int = 0
    balance_minor: int = 0
    hash: str = GENESIS

    @classmethod
    def after(cls, entry: Document) -> "Link":
        """Where `entry` leaves its account."""
        return cls(entry["sequence"], entry["balance_after_minor"], entry["hash"])


@dataclass(frozen=True, slots=True)
class Statement:
    """An account from `since`, included, until `until`, excluded. `entries` are documents in their order."""

    account: ObjectId
    currency: str
    since: datetime
    until: datetime
    opening_minor: int
    closing_minor: int
    credited_minor: int
    debited_minor: int
    chain_head: str
    entries: Sequence[Document]

    def major(self, amount_minor: int) -> Decimal:
        """An amount of this statement in major units."""
        return to_major(amount_minor, self.currency)


def statement(
    *, account: ObjectId, currency: str, since: datetime, until: datetime, before: Link, entries: Sequence[Document]
) -> Statement:
    """The statement over `entries`, all that follow `before` in the period. Raises StatementBroken."""
    link = before
    credited = debited = 0
    for entry in entries:
        is_credit = entry["direction"] == Entry.Direction.CREDIT
        amount_minor = entry["amount_minor"]
        follows = entry["sequence"] == link.sequence + 1 and entry["currency"] == currency
        change = amount_minor if is_credit else -amount_minor
        adds_up = entry["balance_after_minor"] == link.balance_minor + change
        if not (follows and adds_up and entry["hash"] == entry_hash(link.hash, entry)):
            raise StatementBroken
        credited, debited = (credited + amount_minor, debited) if is_credit else (credited, debited + amount_minor)
        link = Link.after(entry)
    assert before.balance_minor + credited - debited == link.balance_minor
    return Statement(
        account=account,
        currency=currency,
        since=since,
        until=until,
        opening_minor=before.balance_minor,
        closing_minor=link.balance_minor,
        credited_minor=credited,
        debited_minor=debited,
        chain_head=link.hash,
        entries=entries,
    )
