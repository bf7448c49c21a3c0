"""Issuing money: from the equity account of a system user, each amount once for its idempotency key."""

from decimal import Decimal

from bson import ObjectId
from django.db import IntegrityError

from accounts.models import Account
from accounts.opening import ensure_system_account
from ledger_project.errors import LedgerError
from transactions import ledger
from transactions.ledger import Result
from transactions.posting import Transfer
from users.models import User

EMAIL_VARIABLE = "SYSTEM_USER_EMAIL"
DEFAULT_EMAIL = "system@ledger.local"
DEFAULT_NAME = "System"


class OrdinaryUser(LedgerError):
    """Somebody who is no system user has the e-mail that is meant for one: `is_system` never changes."""

    code = "ordinary_user"
    message = "An ordinary user has this e-mail, who can never become a system user"


def find_system_user(email: str) -> User | None:
    """The system user with this e-mail, if there is one. Raises OrdinaryUser."""
    user = User.objects.filter(email=email).first()
    if user is not None and not user.is_system:
        raise OrdinaryUser(f"{email} belongs to an ordinary user, who can never become a system user")
    return user


def ensure_system_user(*, email: str, name: str = DEFAULT_NAME, password: str | None = None) -> tuple[User, bool]:
    """The system user with this e-mail, and whether it was created now; without a password, one that cannot log in.

    Two at once: the unique index lets one create it, and both get that one. Raises OrdinaryUser.
    """
    user = find_system_user(email)
    if user is not None:
        return user, False
    try:
        return User.objects.create_user(email=email, name=name, password=password, is_system=True), True
    except IntegrityError:
        user = find_system_user(email)
        assert user is not None
        return user, False


def issue(
    *, system: ObjectId, currency: str, amount: Decimal, keys: dict[ObjectId, str]
) -> list[tuple[ObjectId, Result]]:
    """Move `amount` (major units) from the equity account of `system` to each account of `keys`, once for its key.

    In groups as large as the engine takes: a refusal is the result of its account and stops no other.
    """
    ensure_system_account(user_id=system, currency=currency, kind=Account.Kind.EQUITY)
    transfers = [Transfer(system, None, account, amount, key) for account, key in keys.items()]
    results: list[Result] = []
    for start in range(0, len(transfers), ledger.GROUP_LIMIT):
        results += ledger.post_together(transfers[start : start + ledger.GROUP_LIMIT])
    return list(zip(keys, results, strict=True))
