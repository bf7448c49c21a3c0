"""Reversing a transaction: what staff may do about money that went wrong (ADR 0009)."""

from bson import ObjectId

from ledger_project.mongo import Document, collection, from_document
from transactions import approvals, ledger
from transactions.ledger import Outcome
from transactions.models import ApprovalRequest, Transaction
from transactions.posting import Reversal
from transactions.refusals import NotStaff, TransactionNotFound
from users import audit
from users.models import User
from users.staff import may

MAY_REVERSE = "transactions.reverse_transaction"


def reverse(*, staff: User, reversal: Reversal) -> Outcome | ApprovalRequest:
    """Reverse a transaction in the name of `staff`, once; above REVERSAL_APPROVAL_ABOVE only ask for it (ADR 0010).

    Asked again with the same key: the request as it stands, or the reversal that came of it, as a replay. Raises
    NotStaff, ApprovalPending, and what `ledger.post` raises: TransactionNotFound, IdempotencyKeyReused,
    AlreadyReversed, ReversalIsFinal, AccountNotActive, InsufficientFunds when the receiver no longer has the money,
    OutcomeUnknown, NotPosted.
    """
    if not may(staff, MAY_REVERSE):
        raise NotStaff
    if asked := _asked_before(staff, reversal):
        return asked
    # Its amount never changes, so it may be read outside the transaction that reverses it.
    original = _find(reversal.original)
    if original is None:
        raise TransactionNotFound
    if approvals.needs_approval(original):
        return approvals.request_reversal(
            staff=staff, original=original, reason=reversal.reason, key=reversal.given_key
        )
    outcome = ledger.post(reversal)
    _log_once(from_document(Transaction, original), outcome, reversal.reason)
    return outcome


def _asked_before(staff: User, reversal: Reversal) -> Outcome | ApprovalRequest | None:
    """What became of the request that was made with the same key, if one was. Raises IdempotencyKeyReused."""
    if reversal.given_key is None:
        return None
    request = approvals.reversal_asked_for(
        staff=staff, original=reversal.original, reason=reversal.reason, key=reversal.given_key
    )
    posted = _find(request.transaction_id) if request and request.transaction_id else None
    return Outcome(posted, replayed=True) if posted else request


def _find(transaction: ObjectId) -> Document | None:
    return collection(Transaction).find_one({"_id": transaction})


def _log_once(original: Transaction, outcome: Outcome, reason: str) -> None:
    """Log what happened to `original`, on a replay as well: who posted it may have died before.

    The ledger posts in groups, in whose transaction no entry of the log belongs. The entry has the id of the reversal,
    so of however many that log it, at once or later, one does. If all die first the log lacks the address that it came
    from, and nothing else: who, when and why stand on the reversal (docs/reliability.md).
    """
    change = {"status": (Transaction.Status.COMPLETED.value, Transaction.Status.REVERSED.value)}
    audit.record_once(outcome.transaction.pk, original, change, reason=reason)
