"""Bring money into the ledger, from the system user's equity account."""

import secrets
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from bson import ObjectId
from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from accounts.models import Account
from accounts.opening import ensure_system_account
from ledger_project.commands import Answer, LedgerCommand, read_email
from ledger_project.errors import LedgerError
from ledger_project.jsonio import plain
from ledger_project.money import parse_amount, to_minor
from transactions.issuing import DEFAULT_EMAIL, EMAIL_VARIABLE, ensure_system_user, find_system_user, issue
from transactions.ledger import Result

# What is left of a key's 255 characters beside ":" and an account's id.
MAX_KEY_LENGTH = 230


class Command(LedgerCommand):
    """Running it twice with one key moves the money once."""

    help = (
        "Issue money: move AMOUNT from the system user's equity account to each of the given accounts; with --all, to "
        "every active customer account; otherwise to its treasury account. The system user and its accounts are "
        "created when they are missing; a system user made here cannot log in. With the same --key the money moves "
        "once, however often this runs; without one a new key is made up and printed, so that a run that was "
        "interrupted can be repeated."
    )
    example = "./manage.py seed_system_funds --amount 1000000 --currency INR --key opening-2026"
    exit_codes = LedgerCommand.exit_codes | {1: "something was refused; the reason is on standard error"}

    def add_arguments(self, parser: CommandParser) -> None:
        """The options."""
        parser.add_argument("--amount", required=True, help="in major units, for each account: 1000000 or 99.50")
        parser.add_argument("--currency", default=settings.DEFAULT_CURRENCY, help="default: %(default)s")
        parser.add_argument(
            "--to", nargs="+", action="extend", default=[], metavar="ACCOUNT", help="accounts to fund, by their ids"
        )
        parser.add_argument("--all", action="store_true", help="fund every active customer account of the currency")
        parser.add_argument("--key", help="the idempotency key; with --to, each account has its own below this one")
        parser.add_argument(
            "--system-user", metavar="EMAIL", help=f"default: {EMAIL_VARIABLE} from the environment, or {DEFAULT_EMAIL}"
        )

    def answer(self, **options: Any) -> Answer:
        """Check everything that was given, then post."""
        currency, key = options["currency"], _key(options["key"])
        amount = parse_amount(options["amount"])
        to_minor(amount, currency)
        email = read_email(options["system_user"], EMAIL_VARIABLE, DEFAULT_EMAIL)
        find_system_user(email)
        if options["to"] and options["all"]:
            raise CommandError("--all and --to exclude each other")
        accounts = _everybody(currency) if options["all"] else _funded(options["to"], currency)
        if options["key"] is None:
            self.tell(f"key: {key}", options)
        system, _ = ensure_system_user(email=email)
        keys = {account: f"{key}:{account}" for account in accounts} or {_treasury(system.pk, currency): key}
        results = issue(system=system.pk, currency=currency, amount=amount, keys=keys)
        return _answer(key, amount, currency, results)


def _described(result: Result) -> dict[str, Any]:
    """What became of a transfer, for --json."""
    if isinstance(result, LedgerError):
        return {"result": "refused", "code": result.code, "reason": result.message}
    return {
        "result": "already processed" if result.replayed else "posted",
        "transaction": result.transaction.pk,
        "key": result.transaction.idempotency_key,
    }


def _key(given: str | None) -> str:
    if given is None:
        return f"seed-{secrets.token_hex(8)}"
    if not 0 < len(given) <= MAX_KEY_LENGTH:
        raise CommandError(f"a key has 1 to {MAX_KEY_LENGTH} characters")
    return given


def _funded(given: Sequence[str], currency: str) -> list[ObjectId]:
    """The accounts to fund, each once. Raises CommandError: one is malformed, unknown or of another currency."""
    for text in given:
        if not ObjectId.is_valid(text):
            raise CommandError(f"{text!r} is not an account id: 24 hex digits are")
    ids = list(dict.fromkeys(map(ObjectId, given)))
    currencies = dict(Account.objects.filter(pk__in=ids).values_list("pk", "currency"))
    for account in ids:
        if account not in currencies:
            raise CommandError(f"there is no account {account}")
        if currencies[account] != currency:
            raise CommandError(f"account {account} holds {currencies[account]}, not {currency}")
    return ids


def _everybody(currency: str) -> list[ObjectId]:
    """Every active customer account of the currency. Raises CommandError: there is none."""
    customers = Account.objects.filter(
        kind=Account.Kind.CUSTOMER, status=Account.Status.ACTIVE, currency=currency
    ).values_list("pk", flat=True)
    if not customers:
        raise CommandError(f"there is no active account in {currency}")
    return list(customers)


def _treasury(system: ObjectId, currency: str) -> ObjectId:
    return ensure_system_account(user_id=system, currency=currency, kind=Account.Kind.TREASURY).pk


def _answer(key: str, amount: Decimal, currency: str, results: list[tuple[ObjectId, Result]]) -> Answer:
    rows = [{"account": account} | _described(result) for account, result in results]
    refused = [row for row in rows if row["result"] == "refused"]
    return Answer(
        {"key": key, "amount": amount, "currency": currency, "results": rows},
        [f"{plain(amount)} {currency} to account {row['account']}: {_outcome(row)}" for row in rows],
        failure=f"{len(refused)} of {len(rows)} refused: {refused[0]['reason']}" if refused else None,
    )


def _outcome(row: dict[str, Any]) -> str:
    detail = row["reason"] if row["result"] == "refused" else row["transaction"]
    return f"{row['result']} ({detail})"
