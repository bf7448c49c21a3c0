"""What a statement is, pure: the entries of an account in a period, between two balances that they explain.

A period is cut out of an account by sequence numbers, not by the times of its entries: so no entry is in two statements
that follow one another, and none in neither. A statement that does not add up, or whose chain of hashes is broken, is
not made at all.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from http import HTTPStatus

from bson import ObjectId

from ledger_project.errors import InternalError
from ledger_project.money import to_major
from ledger_project.mongo import Document
from transactions.invariants import Link, link_findings
from transactions.models import Entry

MAX_ENTRIES = 10_000


class StatementBroken(InternalError):
    """Entries are missing, or do not explain the balances: the ledger was tampered with, and nothing is claimed of it.

    No defect of the code's, so no 500; but logged as one, for somebody has to look.
    """

    status = HTTPStatus.CONFLICT
    code = "statement_broken"
    message = "The entries of this account do not add up, so nothing is claimed of them."
    retryable = False


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
        if entry["currency"] != currency or any(link_findings(entry, link)):
            raise StatementBroken
        is_credit = entry["direction"] == Entry.Direction.CREDIT
        amount_minor = entry["amount_minor"]
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
