"""A month of a small bank's life, for the pictures of the admin. Imported once Django is set up."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.core.management import call_command

from accounts.models import Account
from accounts.opening import ensure_system_account, open_account, set_status
from ledger_project.mongo import database
from office import rollups
from transactions import ledger, notices
from transactions.issuing import DEFAULT_EMAIL, ensure_system_user
from transactions.meters import meters
from transactions.posting import AccountState, Books, Order, Posting, Transfer, carry_out
from transactions.verification import verify
from users.models import User

DAYS = 30
PEOPLE = ("Asha Rao", "Ben Okafor", "Carla Mendes", "Devi Nair", "Emre Kaya", "Fatima Zahra", "Goran Ilic", "Hana Sato")


@dataclass(frozen=True, slots=True)
class Demo:
    """What the pages are taken of."""

    staff: User
    customers: list[User]
    accounts: list[Account]


def filled() -> Demo:
    """A ledger with a month behind it, rolled up and verified; today's part posted by the engine itself."""
    call_command("migrate", verbosity=0)
    demo = _people(User.objects.create_superuser(email="staff@ledger.local", name="Staff", password=None))
    _month(demo)
    _today(demo)
    notices.write_due(limit=20)
    meters.flush()
    verify()
    rollups.count_heads()
    lag = timedelta(seconds=settings.ROLL_UP_LAG_SECONDS + 2)
    rollups.roll_up_movements(seconds=60, now=datetime.now(UTC) + lag)
    return demo


def _people(staff: User) -> Demo:
    customers = [
        User.objects.create_user(email=f"{name.split()[0].lower()}@example.com", name=name, password=None)
        for name in PEOPLE
    ]
    accounts = [open_account(user_id=user.pk, name="Savings") for user in customers]
    opened_at = datetime.now(UTC) - timedelta(days=DAYS)
    database()["accounts"].update_many({}, {"$set": {"created_at": opened_at}})
    set_status(account_id=open_account(user_id=customers[-1].pk, name="Old").pk, status=Account.Status.CLOSED)
    set_status(account_id=open_account(user_id=customers[-2].pk, name="Travel").pk, status=Account.Status.FROZEN)
    return Demo(staff, customers, accounts)


def _month(demo: Demo) -> None:
    """Funds on the first day, then payments to and fro, more from week to week; decided by the ledger's rules."""
    chance = random.Random(7)  # the same month every time
    system, _ = ensure_system_user(email=DEFAULT_EMAIL)
    ensure_system_account(user_id=system.pk, currency="INR", kind=Account.Kind.EQUITY)
    rows = ((row, row["_id"]) for row in database()["accounts"].find())
    states = {key: AccountState(key, *(row[name] for name in AccountState._fields[1:])) for row, key in rows}
    books = Books(states)
    start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(days=DAYS - 1)
    for day in range(DAYS):
        moment = start + timedelta(days=day)
        transfers = [
            Transfer(system.pk, None, account.pk, Decimal(chance.randint(20, 90) * 1000), f"funds-{day}-{account.pk}")
            for account in (demo.accounts if day == 0 else chance.sample(demo.accounts, 1))
        ]
        for number in range(chance.randint(20, 40) + 2 * day):
            payer, payee = chance.sample(demo.accounts, 2)
            amount = Decimal(chance.randint(50, 60_000)) / 10
            transfers.append(Transfer(payer.user.pk, payer.pk, payee.pk, amount, f"{day}-{number}"))
        decisions, books = carry_out(Order(tuple(transfers)), books, moment)
        postings = [decision for decision in decisions if isinstance(decision, Posting)]
        database()["transactions"].insert_many([posting.transaction for posting in postings])
        database()["entries"].insert_many([entry for posting in postings for entry in posting.entries])
    for account in books.accounts.values():
        told = {"balance_minor": account.balance_minor, "sequence": account.sequence, "chain_head": account.chain_head}
        database()["accounts"].update_one({"_id": account.id}, {"$set": told})


def _today(demo: Demo) -> None:
    """What the engine itself posts and refuses: its figures are measured."""
    chance = random.Random(8)
    closed = Account.objects.get(status=Account.Status.CLOSED)

    def transfers(count: int, amount: Callable[[], Decimal], payee: Any = None) -> None:
        for number in range(count):
            one, other = chance.sample(demo.accounts, 2)
            key = f"today-{amount}-{number}-{chance.random()}"
            ledger.post_together([Transfer(one.user.pk, one.pk, (payee or other).pk, amount(), key)])

    transfers(40, lambda: Decimal(chance.randint(50, 900)))
    transfers(9, lambda: Decimal(10**9))
    transfers(3, lambda: Decimal(5), payee=closed)
    one, two = demo.accounts[:2]
    ledger.post_together([Transfer(one.user.pk, one.pk, two.pk, Decimal(1), f"batch-{n}") for n in range(25)])
