"""An account as it was: at a moment, over a period, and in a few points for a chart.

Every question is answered through the one index on (account, sequence): a moment is looked for by halves, so the cost
grows with the logarithm of the number of entries. Where an entry that is looked for is missing: StatementBroken.
"""

from datetime import datetime
from http import HTTPStatus

from bson import ObjectId

from accounts.models import Account
from ledger_project.errors import LedgerError
from ledger_project.jsonio import timestamp
from ledger_project.mongo import Document, collection
from transactions.invariants import START, Link
from transactions.models import Entry
from transactions.statement import MAX_ENTRIES, Statement, StatementBroken, statement

MAX_POINTS = 400


class StatementTooLong(LedgerError):
    """The period holds more entries than a statement does."""

    status = HTTPStatus.BAD_REQUEST
    code = "statement_too_long"
    message = f"A statement has up to {MAX_ENTRIES:,} entries: choose a shorter period"

    @classmethod
    def beyond(cls, entries: int, until: datetime) -> "StatementTooLong":
        """The refusal of a period with so many `entries`, whose first part that is no longer ends at `until`."""
        return cls(
            f"This period has {entries:,} entries, and a statement has up to {MAX_ENTRIES:,}. Ask for one that ends at "
            f"{timestamp(until)} or before, and for the rest in another."
        )


def statement_of(account: Account, *, since: datetime, until: datetime) -> Statement:
    """The statement of `account` from `since`, included, until `until`, excluded.

    Raises StatementTooLong, StatementBroken. Entries never change, so those up to the sequence with which the account
    was read are one consistent whole, whatever is posted meanwhile.
    """
    first = last_before(account, since)
    last = last_before(account, until)
    if last - first > MAX_ENTRIES:
        raise StatementTooLong.beyond(last - first, _created_at(account.pk, first + MAX_ENTRIES + 1))
    rows = collection(Entry).find({"account": account.pk, "sequence": {"$gt": first, "$lte": last}}).sort("sequence", 1)
    return statement(
        account=account.pk,
        currency=account.currency,
        since=since,
        until=until,
        before=link_at(account.pk, first),
        entries=list(rows),
    )


def last_before(account: Account, moment: datetime) -> int:
    """The sequence of the last entry of `account` before `moment`; 0 when there is none.

    By halves that are the same however many entries come later: the answer for a moment that has passed is final, also
    where the clocks of two hosts had entries written a little out of the order of their times.
    """
    found = 0
    for step in reversed(range(account.sequence.bit_length())):
        candidate = found + (1 << step)
        if candidate <= account.sequence and _created_at(account.pk, candidate) < moment:
            found = candidate
    return found


def link_at(account_id: ObjectId, sequence: int) -> Link:
    """Where the account stood after its entry number `sequence`."""
    return Link.after(_entry(account_id, sequence)) if sequence else START


def points(account: Account, *, since: datetime, until: datetime, count: int) -> list[Document]:
    """Up to `count` entries of the period, evenly by number, the last one among them, and the one before the period.

    One command that looks at these entries only, whether the period holds a hundred or a million.
    """
    first = last_before(account, since)
    last = last_before(account, until)
    wanted = sampled(first, last, count)
    rows = list(collection(Entry).find({"account": account.pk, "sequence": {"$in": wanted}}).sort("sequence", 1))
    if len(rows) != len(wanted):
        raise StatementBroken
    return rows


def sampled(first: int, last: int, count: int) -> list[int]:
    """`first`, then up to `count` numbers behind it, evenly spread and `last` the last of them; 0 is no entry."""
    span = last - first
    taken = min(span, count)
    numbers = [first, *(first + span * number // taken for number in range(1, taken + 1))]
    return [number for number in numbers if number]


def _created_at(account_id: ObjectId, sequence: int) -> datetime:
    return _entry(account_id, sequence)["created_at"]


def _entry(account_id: ObjectId, sequence: int) -> Document:
    found = collection(Entry).find_one({"account": account_id, "sequence": sequence})
    if found is None:
        raise StatementBroken
    return found
