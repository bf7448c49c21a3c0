"""Fill a ledger with users, accounts and transfers to look at."""

import os
import secrets
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from bson import ObjectId
from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from accounts.models import Account
from accounts.opening import open_account
from ledger_project.commands import Answer, LedgerCommand, read_email, strong
from ledger_project.errors import LedgerError
from transactions import ledger
from transactions.issuing import DEFAULT_EMAIL, EMAIL_VARIABLE, ensure_system_user, issue
from transactions.ledger import Outcome, Result
from transactions.posting import Transfer
from users.models import User
from users.registration import EmailTaken, register_user

ACCOUNT_NAME = "Demo account"
FUNDS = Decimal(1000)
PAYMENTS = (Decimal(25), Decimal(10), Decimal(5))
MAX_USERS = 1000


class Command(LedgerCommand):
    """Running it twice changes nothing: e-mails and keys are always the same."""

    help = (
        "Create demo users demo1@ledger.local, demo2@ledger.local, ..., each with an account of 1000 and some payments "
        "to the next one. Their password is DEMO_PASSWORD from the environment, or a random one that is printed; a "
        "user who exists already keeps the old one. Refuses to run in production."
    )
    example = "DEMO_PASSWORD=... ./manage.py create_demo_data --users 3"
    exit_codes = LedgerCommand.exit_codes | {1: "this is production, or something was refused"}

    def add_arguments(self, parser: CommandParser) -> None:
        """The options."""
        parser.add_argument("--users", type=int, default=2, metavar="N", help="2 or more (default: %(default)s)")

    def answer(self, **options: Any) -> Answer:
        """Users, accounts, funds, payments."""
        if settings.ENVIRONMENT == "production":
            raise CommandError("demo data has no place in production")
        if not 2 <= options["users"] <= MAX_USERS:
            raise CommandError(f"--users is 2 to {MAX_USERS}")
        password = strong(os.environ.get("DEMO_PASSWORD") or secrets.token_urlsafe(12))
        people = [_user(number, password) for number in range(1, options["users"] + 1)]
        accounts = [_account(user) for user, _ in people]
        owned = [(user.pk, account.pk) for (user, _), account in zip(people, accounts, strict=True)]
        results = _fund(accounts) + ledger.post_together(_payments(owned))
        return _answer(people, accounts, password, results)


def _user(number: int, password: str) -> tuple[User, bool]:
    """A demo user, and whether it was created now."""
    email = f"demo{number}@ledger.local"
    try:
        return register_user(email=email, name=f"Demo {number}", password=password), True
    except EmailTaken:
        return User.objects.get(email=email), False


def _account(user: User) -> Account:
    """The user's first demo account, opened when there is none."""
    mine = Account.objects.filter(user=user, name=ACCOUNT_NAME, currency=settings.DEFAULT_CURRENCY).order_by("pk")
    return mine.first() or open_account(user_id=user.pk, name=ACCOUNT_NAME)


def _fund(accounts: Sequence[Account]) -> list[Result]:
    system, _ = ensure_system_user(email=read_email(None, EMAIL_VARIABLE, DEFAULT_EMAIL))
    keys = {account.pk: f"demo:{account.pk}" for account in accounts}
    funded = issue(system=system.pk, currency=settings.DEFAULT_CURRENCY, amount=FUNDS, keys=keys)
    return [result for _, result in funded]


def _payments(owned: Sequence[tuple[ObjectId, ObjectId]]) -> list[Transfer]:
    """Each (user, account) pays the next one, the last one the first."""
    return [
        Transfer(user, payer, payee, amount, f"demo:{payer}:{payee}:{number}")
        for (user, payer), (_, payee) in zip(owned, [*owned[1:], owned[0]], strict=True)
        for number, amount in enumerate(PAYMENTS, start=1)
    ]


def _answer(
    people: Sequence[tuple[User, bool]], accounts: Sequence[Account], password: str, results: Sequence[Result]
) -> Answer:
    rows = [
        {"email": user.email, "password": password if created else None, "account": account.pk}
        for (user, created), account in zip(people, accounts, strict=True)
    ]
    refused = [result.message for result in results if isinstance(result, LedgerError)]
    posted = sum(1 for result in results if isinstance(result, Outcome) and not result.replayed)
    return Answer(
        {"users": rows, "posted": posted, "refused": len(refused)},
        [
            *(f"{r['email']}  password {r['password'] or '(as before)'}  account {r['account']}" for r in rows),
            f"{posted} of {len(results)} transfers posted now",
        ],
        failure=f"{len(refused)} of {len(results)} refused: {refused[0]}" if refused else None,
    )
