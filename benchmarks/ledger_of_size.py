"""A ledger to measure on: 100 users with 10 accounts each, and as many entries as are asked for.

    MONGODB_DATABASE=large python -m benchmarks.ledger_of_size PEOPLE --transfers 1000000

The rules of posting.py decide every transfer, so `verify_ledger` finds the ledger whole; only the way into the database
is a shorter one, in bulk. Each transfer is between one of the accounts and the hub, which so has an entry in every one.
Writes a line "account token" for each account to the file PEOPLE, and prints as JSON what else is needed.
"""

import argparse
import gc
import json
import random
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import django
from bson import ObjectId
from pymongo import UpdateOne, WriteConcern

django.setup()

from django.conf import settings  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.test import Client  # noqa: E402
from django.utils import timezone  # noqa: E402

from accounts.models import Account  # noqa: E402
from accounts.opening import ensure_system_account  # noqa: E402
from ledger_project.mongo import Document, database  # noqa: E402
from office import rollups  # noqa: E402
from transactions.issuing import DEFAULT_EMAIL, ensure_system_user  # noqa: E402
from transactions.models import Entry, Transaction  # noqa: E402
from transactions.posting import AccountState, Books, Order, Posting, Transfer, carry_out  # noqa: E402
from users.models import User  # noqa: E402
from users.tokens import issue_token  # noqa: E402

USERS, ACCOUNTS_EACH = 100, 10
FUNDS = Decimal(100_000_000)
CENT = Decimal("0.01")
AT_ONCE = 10_000
SMALL_ENTRIES = 100
ROLL_UP_SECONDS = 300
ACCOUNTS, TRANSACTIONS, ENTRIES = (model._meta.db_table for model in (Account, Transaction, Entry))


class People(NamedTuple):
    """Who is in the ledger. `reader` owns the two accounts that are read: the hub and the small one."""

    system: User
    equity: Account
    users: list[User]
    reader: User
    accounts: list[Account]
    hub: Account
    small: Account


def main() -> None:
    """Build the ledger in the database that the settings name."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("people", type=Path)
    options.add_argument("--transfers", type=int, default=0)
    asked = options.parse_args()
    gc.disable()  # documents form no cycles, and looking for some takes a third of the time
    began = time.monotonic()
    call_command("migrate", verbosity=0)
    people = _people()
    _write_people(asked.people, people)
    hub_entries = _Ledger(people).fill(_transfers(people, asked.transfers))
    _roll_up()
    # What the bulk left in the caches goes to disk now, and not into somebody's measurement.
    database().client.admin.command("fsync")
    answer = {
        "seconds": round(time.monotonic() - began, 1),
        "transfers": asked.transfers,
        "reader_token": issue_token(people.reader),
        "staff_session": _staff_session(),
        "hub": str(people.hub.pk),
        "hub_entries": hub_entries,
        "small": str(people.small.pk),
    }
    print(json.dumps(answer))  # noqa: T201


def _roll_up() -> None:
    """What beat has workers do: count all of it for the dashboard."""
    past_the_lag = timezone.now() + timedelta(seconds=settings.ROLL_UP_LAG_SECONDS + 2)
    rollups.roll_up_movements(seconds=ROLL_UP_SECONDS, now=past_the_lag)
    rollups.count_heads()


def _staff_session() -> str:
    """The key of a session in the admin, of a member of staff who may see everything."""
    client = Client()
    client.force_login(User.objects.create_superuser(email="staff@ledger.local", name="Staff", password=None))
    return client.cookies[settings.SESSION_COOKIE_NAME].value


def _people() -> People:
    system, _ = ensure_system_user(email=DEFAULT_EMAIL)
    equity = ensure_system_account(user_id=system.pk, currency="INR", kind=Account.Kind.EQUITY)
    *users, reader = User.objects.bulk_create(_user(number) for number in range(USERS + 1))
    owners = [user for user in users for _ in range(ACCOUNTS_EACH)]
    *accounts, hub, small = Account.objects.bulk_create(
        Account(user=user, currency="INR") for user in [*owners, reader, reader]
    )
    return People(system, equity, users, reader, accounts, hub, small)


def _user(number: int) -> User:
    """A user who has a token only: nobody logs in, so no time goes into a password's hash."""
    user = User(email=f"bench{number}@ledger.local", name=f"Bench {number}")
    user.set_unusable_password()
    return user


def _write_people(file: Path, people: People) -> None:
    tokens = {user.pk: issue_token(user) for user in people.users}
    file.write_text("".join(f"{account.pk} {tokens[account.user.pk]}\n" for account in people.accounts))


def _transfers(people: People, count: int) -> Iterator[Transfer]:
    """Funds for everybody; then `count` transfers between the hub and the others, to and fro."""
    for account in (people.hub, people.small, *people.accounts):
        yield Transfer(people.system.pk, None, account.pk, FUNDS, f"funds-{account.pk}")
    chance = random.Random(count)  # noqa: S311  (the same ledger every time; no secret)
    for number in range(count):
        other = people.small if 0 < number < SMALL_ENTRIES else chance.choice(people.accounts)
        payer, payee = (people.hub, other) if number % 2 else (other, people.hub)
        yield Transfer(payer.user.pk, payer.pk, payee.pk, CENT, f"{chance.getrandbits(64):016x}-{number}")


class _Ledger:
    """The accounts in memory, on their way into the database."""

    def __init__(self, people: People) -> None:
        self.hub = people.hub.pk
        self.accounts = {a.pk: _state(a) for a in (people.equity, people.hub, people.small, *people.accounts)}

    def fill(self, transfers: Iterator[Transfer]) -> int:
        """Post `transfers`, and return how many entries the hub then has.

        While the database stores one chunk, the next one is decided.
        """
        stored: list[Future[None]] = []
        with _indexes_at_the_end(TRANSACTIONS, ENTRIES), ThreadPoolExecutor(2) as writers:
            while chunk := tuple(islice(transfers, AT_ONCE)):
                postings = self._decide(chunk, _now())
                for write in stored:
                    write.result()
                stored = [
                    writers.submit(_insert, TRANSACTIONS, [p.transaction for p in postings]),
                    writers.submit(_insert, ENTRIES, [entry for p in postings for entry in p.entries]),
                ]
            for write in stored:
                write.result()
        self._set_accounts()
        return self.accounts[self.hub].sequence

    def _decide(self, transfers: tuple[Transfer, ...], now: datetime) -> list[Posting]:
        """The postings of `transfers`. Each key is new, so no chunk need know those of the chunks before it."""
        decisions, books = carry_out(Order(transfers), Books(self.accounts), now)
        self.accounts = books.accounts
        postings = [decision for decision in decisions if isinstance(decision, Posting)]
        assert len(postings) == len(transfers), "a transfer of the benchmark was refused"
        return postings

    def _set_accounts(self) -> None:
        database()[ACCOUNTS].bulk_write(
            [
                UpdateOne(
                    {"_id": account.id},
                    {
                        "$set": {
                            "balance_minor": account.balance_minor,
                            "sequence": account.sequence,
                            "chain_head": account.chain_head,
                        }
                    },
                )
                for account in self.accounts.values()
            ]
        )


@contextmanager
def _indexes_at_the_end(*collections: str) -> Iterator[None]:
    """Have the indexes of `collections` made when all is stored: keeping them up meanwhile costs more.

    If that fails there are none, and no ledger to measure on either.
    """
    indexes = {name: [dict(index) for index in database()[name].list_indexes()] for name in collections}
    for name in collections:
        database()[name].drop_indexes()
    yield
    for name, kept in indexes.items():
        database().command("createIndexes", name, indexes=[index for index in kept if index["name"] != "_id_"])


def _insert(collection: str, documents: list[Document]) -> None:
    """Store `documents` without waiting for the journal: what is lost in a crash is measured by nobody.

    As a plain command, for insert_many looks at each document once more.
    """
    reply = database().command(
        "insert", collection, documents=documents, ordered=False, write_concern=WriteConcern(1, j=False)
    )
    assert reply["n"] == len(documents)


def _state(account: Account) -> AccountState:
    return AccountState(
        id=ObjectId(account.pk),
        user=ObjectId(account.user.pk),
        kind=account.kind,
        status=account.status,
        currency=account.currency,
        may_overdraw=account.may_overdraw,
        balance_minor=account.balance_minor,
        sequence=account.sequence,
        chain_head=account.chain_head,
    )


def _now() -> datetime:
    """Now, in the whole milliseconds that MongoDB keeps."""
    now = timezone.now()
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


if __name__ == "__main__":
    main()
