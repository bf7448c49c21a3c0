"""Opening accounts, finding one's own, changing their status: the business actions of this app."""

from collections.abc import Callable
from http import HTTPStatus

from bson import Int64, ObjectId
from django.conf import settings
from django.utils import timezone
from pymongo import ReturnDocument
from pymongo.client_session import ClientSession

from accounts.models import GENESIS, Account
from ledger_project.errors import LedgerError
from ledger_project.money import decimals
from ledger_project.mongo import Document, Unit, collection, from_document
from users import audit


class AccountNotFound(LedgerError):
    """There is no such account, or it is not the caller's: the answer does not tell which."""

    status = HTTPStatus.NOT_FOUND
    code = "account_not_found"
    message = "Account not found"


class StatusRefused(LedgerError):
    """The account cannot go to that status: it is closed for good, or it still holds money."""

    status = HTTPStatus.CONFLICT
    code = "status_refused"


class SystemAccountStays(StatusRefused):
    """An account of the system was to be closed."""

    code = "system_account_stays"
    message = "The ledger needs its own accounts: only a customer's can be closed"


def open_account(*, user_id: ObjectId, currency: str | None = None, name: str = "") -> Account:
    """Open a customer's account at zero. Raises UnknownCurrency."""
    currency = currency or settings.DEFAULT_CURRENCY
    decimals(currency)
    document = _new(user_id, currency, name, Account.Kind.CUSTOMER)
    collection(Account).insert_one(document)
    return from_document(Account, document)


def ensure_system_account(*, user_id: ObjectId, currency: str, kind: Account.Kind) -> Account:
    """The system user's account of this kind and currency, opened when it is missing. Raises UnknownCurrency.

    Two at once: the unique index on (user, kind, currency) of system accounts lets one insert win; both get that one.
    """
    decimals(currency)
    document = _new(user_id, currency, kind.title(), kind)
    found = collection(Account).find_one_and_update(
        {"user": user_id, "kind": kind.value, "currency": currency},
        {"$setOnInsert": {k: v for k, v in document.items() if k not in ("user", "kind", "currency")}},
        upsert=True,
        return_document=ReturnDocument.AFTER,
    )
    assert found is not None, "an upsert gives back what it found or made"
    return from_document(Account, found)


def account_of(user_id: ObjectId, account_id: ObjectId) -> Account:
    """The user's account with this id. Raises AccountNotFound."""
    document = collection(Account).find_one({"_id": account_id, "user": user_id})
    if document is None:
        raise AccountNotFound
    return from_document(Account, document)


def accounts_of(user_id: ObjectId, *, limit: int, after: ObjectId | None = None) -> list[Account]:
    """Up to `limit` accounts of the user, oldest first, behind the one with the id `after`.

    A plain find: the ORM's order_by sorts in memory what the index has in order.
    """
    conditions: Document = {"user": user_id} | ({"_id": {"$gt": after}} if after else {})
    return [from_document(Account, found) for found in collection(Account).find(conditions).sort("_id", 1).limit(limit)]


def set_status(*, account_id: ObjectId, status: Account.Status, session: ClientSession | None = None) -> Account:
    """Freeze, unfreeze or close an account, in the transaction of `session` if there is one; for staff.

    Raises AccountNotFound, StatusRefused, SystemAccountStays.

    CLOSED is final, and for customers' accounts with a zero balance. The condition is part of the update, and a
    transfer writes the account document too, so neither can slip past the other. Nor is `updated_at` before that of a
    transfer which it waited for.
    """
    condition: Document = {"_id": account_id, "status": {"$ne": Account.Status.CLOSED.value}}
    if status == Account.Status.CLOSED:
        condition |= {"balance_minor": 0, "kind": Account.Kind.CUSTOMER.value}
    found = collection(Account).find_one_and_update(
        condition,
        {"$set": {"status": status.value}, "$max": {"updated_at": timezone.now()}},
        return_document=ReturnDocument.AFTER,
        session=session,
    )
    if found is not None:
        return from_document(Account, found)
    present = collection(Account).find_one({"_id": account_id}, session=session)
    if present is None:
        raise AccountNotFound
    if present["status"] == Account.Status.CLOSED:
        raise StatusRefused("The account is closed, and that is final")
    if present["kind"] != Account.Kind.CUSTOMER:
        raise SystemAccountStays
    raise StatusRefused("The account still holds money: only an empty one can be closed")


def change_status(
    unit: Unit, *, account_id: ObjectId, status: Account.Status, reason: str, record: Callable[..., None] = audit.record
) -> Account:
    """`set_status` in the transaction of `unit`, with its entry in the audit log, by `record`: both or neither.

    Raises AccountNotFound, SystemAccountStays, StatusRefused; the last also where nothing would change.
    """
    before = Account.objects.filter(pk=account_id).first()
    if before and before.status == status != Account.Status.CLOSED:
        raise StatusRefused(f"The account is {status} already")
    account = set_status(account_id=account_id, status=status, session=unit.session)
    record(account, {"status": (before and before.status, account.status)}, reason=reason)
    return account


def _new(user_id: ObjectId, currency: str, name: str, kind: Account.Kind) -> Document:
    now = timezone.now()
    return {
        "_id": ObjectId(),
        "user": user_id,
        "name": name,
        "kind": kind.value,
        "status": Account.Status.ACTIVE.value,
        "currency": currency,
        "may_overdraw": kind == Account.Kind.EQUITY,
        "balance_minor": Int64(0),
        "sequence": Int64(0),
        "chain_head": GENESIS,
        "created_at": now,
        "updated_at": now,
    }
