"""Create the system user, who may issue initial funds, and its equity account."""

from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from accounts.models import Account
from accounts.opening import ensure_system_account
from ledger_project.commands import Answer, LedgerCommand, add_password_options, read_email, read_password
from ledger_project.money import decimals
from transactions.issuing import DEFAULT_EMAIL, DEFAULT_NAME, EMAIL_VARIABLE, ensure_system_user, find_system_user


class Command(LedgerCommand):
    """Running it twice does no harm: user and account stay as they are."""

    help = (
        "Create the system user, who may issue initial funds over the API, and its equity account, in which money "
        "enters the ledger. The password comes from the environment variable SYSTEM_USER_PASSWORD, from standard "
        "input, or from a prompt; never from the command line. What is already there stays as it is. An ordinary "
        "user never becomes a system user."
    )
    example = "SYSTEM_USER_PASSWORD=... ./manage.py create_system_user --email system@example.com --currency INR"
    exit_codes = LedgerCommand.exit_codes | {
        1: "an ordinary user has this e-mail, the currency is unknown, no password was given, or it is too weak"
    }

    def add_arguments(self, parser: CommandParser) -> None:
        """The options."""
        parser.add_argument("--email", help=f"default: the environment variable {EMAIL_VARIABLE}, or {DEFAULT_EMAIL}")
        parser.add_argument("--name", default=DEFAULT_NAME, help="default: %(default)s")
        parser.add_argument("--currency", default=settings.DEFAULT_CURRENCY, help="default: %(default)s")
        add_password_options(parser)

    def answer(self, **options: Any) -> Answer:
        """Find or create both."""
        decimals(options["currency"])
        email = read_email(options["email"], EMAIL_VARIABLE, DEFAULT_EMAIL)
        user = find_system_user(email)
        created = user is None
        if user is None:
            password = read_password("SYSTEM_USER_PASSWORD", options)
            user, created = ensure_system_user(email=email, name=options["name"], password=password)
        equity = ensure_system_account(user_id=user.pk, currency=options["currency"], kind=Account.Kind.EQUITY)
        return Answer(
            {"user": user.pk, "email": user.email, "created": created, "equity_account": equity.pk},
            [
                f"system user {user.email}: {'created' if created else 'already there'}",
                f"equity account in {equity.currency}: {equity.pk}",
            ],
        )
