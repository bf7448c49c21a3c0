"""Maker and checker: funds, and reversals above a limit, are asked for by one and decided by another (ADR 0010).

A decision is one conditional update, and whoever's update counts posts it. The idempotency key of the posting is made
of the request's id, so that however often it is tried, by however many, the money moves once.
"""

import logging
import time
from datetime import datetime, timedelta
from decimal import Decimal
from http import HTTPStatus

from bson import Int64, ObjectId
from django.conf import settings
from django.utils import timezone
from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from accounts.models import Account
from accounts.opening import AccountNotFound
from ledger_project.errors import LedgerError
from ledger_project.money import to_major, to_minor
from ledger_project.mongo import Document, Unit, collection, from_document, run_transaction
from transactions import ledger, refusals
from transactions.ledger import Outcome
from transactions.models import ApprovalRequest
from transactions.posting import Command, Reversal, Transfer, check_reversible
from users import audit
from users.models import User
from users.staff import may

logger = logging.getLogger(__name__)

Status, Kind = ApprovalRequest.Status, ApprovalRequest.Kind
# Far longer than a posting's deadline: while it lasts nobody else posts what was approved.
LEASE_SECONDS = 60
TURN_SECONDS = 20  # with the last posting's deadline still within what Celery gives a task


class NotAllowed(LedgerError):
    """The user is no active member of staff with the permission for it."""

    status = HTTPStatus.FORBIDDEN
    code = "approval_not_allowed"
    message = "Forbidden access, the permission for it is missing"


class RequestNotFound(LedgerError):
    """There is no approval request with this id."""

    status = HTTPStatus.NOT_FOUND
    code = "approval_request_not_found"
    message = "Approval request not found"


class OwnRequest(LedgerError):
    """Whoever asked for it wants to decide it."""

    status = HTTPStatus.FORBIDDEN
    code = "own_request"
    message = "Whoever asked for it cannot decide it: somebody else has to"


class AlreadyDecided(LedgerError):
    """Somebody else was first, or the same person decided otherwise."""

    status = HTTPStatus.CONFLICT
    code = "already_decided"
    message = "The request has already been decided"


class ApprovalPending(LedgerError):
    """Another request to reverse the same transaction waits for its decision."""

    status = HTTPStatus.CONFLICT
    code = "approval_pending"
    message = "A request to reverse this transaction is waiting for its decision already"


def needs_approval(original: Document) -> bool:
    """Whether the reversal of `original` is one that a second member of staff has to approve."""
    return to_major(original["amount_minor"], original["currency"]) > settings.REVERSAL_APPROVAL_ABOVE


def request_funds(
    *, staff: User, account_id: ObjectId, amount: Decimal, reason: str, request_id: ObjectId | None = None
) -> ApprovalRequest:
    """Ask for `amount` (major units) from the equity account to be moved to an account; nothing moves yet.

    The form makes up `request_id`, so that sending it twice asks once. Raises NotAllowed, AccountNotFound,
    AccountNotActive, SystemAccountNotFound, InvalidAmount, IdempotencyKeyReused.
    """
    _check(staff, "transactions.request_funds")
    account = collection(Account).find_one({"_id": account_id})
    if account is None or account["kind"] == Account.Kind.EQUITY:
        raise AccountNotFound
    if account["status"] != Account.Status.ACTIVE:
        raise refusals.AccountNotActive
    wanted = {
        "kind": Kind.FUNDS.value,
        "account": account_id,
        "original": None,
        "amount_minor": Int64(to_minor(amount, account["currency"])),
        "currency": account["currency"],
        "initiator": _issuer(account["currency"]),
        "reason": reason,
    }
    return _store(wanted, staff, request_id or ObjectId())


def request_reversal(*, staff: User, original: Document, reason: str, key: str | None = None) -> ApprovalRequest:
    """Ask for a transaction to be reversed; nothing moves yet. The same request again is the one that waits.

    With a `key` of the client's it is the same whatever became of it: see `reversal_asked_for`.
    Raises NotAllowed, AlreadyReversed, ReversalIsFinal, ApprovalPending, IdempotencyKeyReused.
    """
    _check(staff, "transactions.reverse_transaction")
    check_reversible(original)
    wanted = {
        "kind": Kind.REVERSAL.value,
        "account": None,
        "original": original["_id"],
        "amount_minor": Int64(original["amount_minor"]),
        "currency": original["currency"],
        "initiator": staff.pk,
        "reason": reason,
        **({"idempotency_key": key} if key else {}),
    }
    return _store(wanted, staff, ObjectId())


def reversal_asked_for(*, staff: User, original: ObjectId, reason: str, key: str) -> ApprovalRequest | None:
    """The request that `staff` made with this `key`, whatever became of it. Raises IdempotencyKeyReused."""
    found = collection(ApprovalRequest).find_one(_of_key(staff.pk, key))
    if found is None:
        return None
    if (found["original"], found["reason"]) != (original, reason):
        raise refusals.IdempotencyKeyReused
    return from_document(ApprovalRequest, found)


def open_reversal_of(transaction: ObjectId) -> ApprovalRequest | None:
    """The request to reverse `transaction` that waits for its decision, or to be posted; there is one at most."""
    found = collection(ApprovalRequest).find_one(_open_reversal(transaction))
    return from_document(ApprovalRequest, found) if found else None


def approve(*, request_id: ObjectId, staff: User, reason: str) -> ApprovalRequest:
    """Approve a request and post it; the request with what became of it.

    Two at once: one update counts, the other raises AlreadyDecided. A process that dies before the posting leaves the
    request APPROVED, and `carry_out_approved` posts it. Whoever approves it again is told how it stands. Raises
    NotAllowed, RequestNotFound, OwnRequest, AlreadyDecided.
    """
    lease = _lease(timezone.now())
    decided = _decide(request_id, staff, reason, Status.APPROVED, leased_until=lease)
    return _carry_out(decided) if decided else _decided_before(request_id, staff, Status.APPROVED)


def reject(*, request_id: ObjectId, staff: User, reason: str) -> ApprovalRequest:
    """Turn a request down; again is as good as once. Raises NotAllowed, RequestNotFound, OwnRequest, AlreadyDecided."""
    decided = _decide(request_id, staff, reason, Status.REJECTED)
    if decided is None:
        return _decided_before(request_id, staff, Status.REJECTED)
    return from_document(ApprovalRequest, decided)


def carry_out_approved() -> int:
    """Post what was approved and has no outcome, because a process died or the database failed; how many were tried.

    For one turn: what is left is for the next sweep, and what fails again and again is not held on to.
    """
    tried = 0
    until = time.monotonic() + TURN_SECONDS
    while time.monotonic() < until and (request := _claim()):
        _carry_out(request)
        tried += 1
    return tried


def _check(staff: User, permission: str) -> None:
    if not may(staff, permission):
        raise NotAllowed


def _issuer(currency: str) -> ObjectId:
    """The system user whose equity account of this currency is the oldest. Raises SystemAccountNotFound."""
    equity = {"kind": Account.Kind.EQUITY.value, "currency": currency}
    # By the index that holds the few system accounts only; the planner would read the collection.
    found = collection(Account).find(equity).hint("one_system_account")
    oldest = min(found, key=lambda account: account["_id"], default=None)
    if oldest is None:
        raise refusals.SystemAccountNotFound
    return oldest["user"]


def _store(wanted: Document, staff: User, request_id: ObjectId) -> ApprovalRequest:
    """Store a request and log it, or find the one that is there. Raises ApprovalPending, IdempotencyKeyReused."""
    asked = {"requested_by": staff.pk, **wanted}
    undecided = {
        "decision_reason": "",
        "decided_by": None,
        "decided_at": None,
        "leased_until": None,
        "transaction": None,
        "outcome": "",
        "settled_at": None,
    }
    document = {
        "_id": request_id,
        **asked,
        "status": Status.PENDING.value,
        "requested_at": timezone.now(),
        **undecided,
    }
    made = from_document(ApprovalRequest, document)

    def work(unit: Unit) -> None:
        unit.insert(ApprovalRequest._meta.db_table, [document])
        audit.record(made, {"status": (None, made.status)}, reason=made.reason)

    try:
        run_transaction(work)
    except DuplicateKeyError:
        return from_document(ApprovalRequest, _stored_before(asked, request_id))
    return made


def _stored_before(asked: Document, request_id: ObjectId) -> Document:
    same = collection(ApprovalRequest).find_one({"_id": request_id})
    if same is None and "idempotency_key" in asked:
        same = collection(ApprovalRequest).find_one(_of_key(asked["requested_by"], asked["idempotency_key"]))
    found = same or collection(ApprovalRequest).find_one(_open_reversal(asked["original"]))
    if found is not None and asked.items() <= found.items():
        return found
    raise refusals.IdempotencyKeyReused if same else ApprovalPending


def _open_reversal(original: ObjectId | None) -> Document:
    undecided = [Status.PENDING.value, Status.APPROVED.value]
    return {"kind": Kind.REVERSAL.value, "original": original, "status": {"$in": undecided}}


def _of_key(requested_by: ObjectId, key: str) -> Document:
    return {"requested_by": requested_by, "idempotency_key": key}


def _decide(
    request_id: ObjectId, staff: User, reason: str, status: ApprovalRequest.Status, **also: datetime
) -> Document | None:
    """Take the decision and log it, both or neither: by one update that says whether it may be taken, else None."""
    _check(staff, "transactions.decide_approvalrequest")
    decision = {
        "status": status.value,
        "decided_by": staff.pk,
        "decided_at": timezone.now(),
        "decision_reason": reason,
        **also,
    }

    def work(unit: Unit) -> Document | None:
        decided = collection(ApprovalRequest).find_one_and_update(
            {"_id": request_id, "status": Status.PENDING.value, "requested_by": {"$ne": staff.pk}},
            {"$set": decision},
            return_document=ReturnDocument.AFTER,
            session=unit.session,
        )
        if decided is not None:
            subject = from_document(ApprovalRequest, decided)
            audit.record(subject, {"status": (Status.PENDING.value, status.value)}, reason=reason)
        return decided

    return run_transaction(work)


def _decided_before(request_id: ObjectId, staff: User, status: ApprovalRequest.Status) -> ApprovalRequest:
    """The request as it stands, if `staff` took this decision before and comes again, its answer lost.

    Raises RequestNotFound, OwnRequest, AlreadyDecided.
    """
    present = collection(ApprovalRequest).find_one({"_id": request_id})
    if present is None:
        raise RequestNotFound
    if present["requested_by"] == staff.pk:
        raise OwnRequest
    was_rejected = present["status"] == Status.REJECTED
    if present["decided_by"] != staff.pk or was_rejected != (status == Status.REJECTED):
        raise AlreadyDecided
    return from_document(ApprovalRequest, present)


def _claim() -> Document | None:
    """An approved request that nobody is posting, held from now on; None when there is none."""
    now = timezone.now()
    return collection(ApprovalRequest).find_one_and_update(
        {"status": Status.APPROVED.value, "leased_until": {"$lte": now}},
        {"$set": {"leased_until": _lease(now)}},
        return_document=ReturnDocument.AFTER,
    )


def _lease(now: datetime) -> datetime:
    return now + timedelta(seconds=LEASE_SECONDS)


def _carry_out(request: Document) -> ApprovalRequest:
    """Post what was approved, and note what became of it. A passing failure is left for `carry_out_approved`."""
    (result,) = ledger.post_together([_command(request)])
    settled: Document = {"settled_at": timezone.now()}
    if isinstance(result, Outcome):
        settled |= {"status": Status.POSTED.value, "transaction": result.document["_id"], "outcome": ""}
    elif result.retryable:
        logger.warning("approval request %s is not posted yet: %s", request["_id"], result.code)
        return from_document(ApprovalRequest, request)
    else:
        settled |= {"status": Status.REFUSED.value, "outcome": result.message}
    # What the ledger has posted outweighs a refusal that somebody else was given at the same time.
    before = [Status.APPROVED.value, *([Status.REFUSED.value] if isinstance(result, Outcome) else [])]
    collection(ApprovalRequest).update_one({"_id": request["_id"], "status": {"$in": before}}, {"$set": settled})
    return ApprovalRequest.objects.get(pk=request["_id"])


def _command(request: Document) -> Command:
    key = f"approval:{request['_id']}"
    if request["kind"] == Kind.REVERSAL:
        return Reversal(request["initiator"], request["original"], request["reason"], key)
    amount = to_major(request["amount_minor"], request["currency"])
    return Transfer(request["initiator"], None, request["account"], amount, key)
