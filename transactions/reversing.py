"""Reversing a transaction: what staff may do about money that went wrong (ADR 0009)."""

from transactions import ledger
from transactions.ledger import Outcome
from transactions.posting import Reversal
from transactions.refusals import NotStaff
from users.models import User


def may_reverse(user: User) -> bool:
    """Whether `user` is an active member of staff with the permission for it."""
    return user.is_staff and user.has_perm("transactions.reverse_transaction")


def reverse(*, staff: User, reversal: Reversal) -> Outcome:
    """Reverse a transaction in the name of `staff`, once, however often it is asked for.

    Raises NotStaff, and what `ledger.post` raises: TransactionNotFound, AlreadyReversed, ReversalIsFinal,
    AccountNotActive, InsufficientFunds when the receiver no longer has the money, OutcomeUnknown, NotPosted.
    """
    if not may_reverse(staff):
        raise NotStaff
    return ledger.post(reversal)
