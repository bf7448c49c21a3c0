"""The roll-ups of the dashboard: every transaction once, whatever commits late, runs twice or breaks off."""

from collections import Counter
from datetime import timedelta
from decimal import Decimal
from importlib import import_module
from types import SimpleNamespace
from uuid import uuid4

import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone
from pymongo.errors import PyMongoError

from accounts.models import Account
from accounts.opening import set_status
from ledger_project.mongo import database, first_id
from office import dashboard, rollups
from office.figures import Period
from office.models import HourlyMovement
from transactions import ledger
from transactions.models import Transaction
from transactions.posting import Reversal, Transfer
from users.tests.waiting import together

LATER = timedelta(seconds=settings.ROLL_UP_LAG_SECONDS + 2)  # ids know whole seconds only


def roll_up(after: timedelta = LATER) -> int:
    return rollups.roll_up_movements(seconds=60, now=timezone.now() + after)


def rolled() -> dict[tuple[str, str], tuple[int, int]]:
    """(currency, kind) -> transactions, volume, over all hours."""
    found: dict[tuple[str, str], tuple[int, int]] = {}
    for row in HourlyMovement.objects.all():
        count, volume = found.get((row.currency, row.kind), (0, 0))
        found[row.currency, row.kind] = (count + row.transactions, volume + int(row.volume_minor))
    return found


def counted() -> dict[tuple[str, str], tuple[int, int]]:
    """The same, from the transactions themselves."""
    numbers: Counter = Counter()
    volumes: Counter = Counter()
    for row in Transaction.objects.all():
        numbers[row.currency, row.kind] += 1
        volumes[row.currency, row.kind] += row.amount_minor
    return {key: (numbers[key], volumes[key]) for key in numbers}


@pytest.fixture
def pay(new_user, new_account):
    payer, payee = new_account(new_user(), funds=1000), new_account(new_user())

    def pay(amount="1"):
        command = Transfer(payer.user_id, payer.pk, payee.pk, Decimal(amount), uuid4().hex)
        return ledger.post(command).document

    return pay


@pytest.fixture
def reverse(new_user):
    staff = new_user(is_staff=True)
    return lambda original: ledger.post(Reversal(staff.pk, original, "wrong"))


def test_what_was_posted_is_counted_by_currency_hour_and_kind(pay, new_user, new_account):
    pay("1.50"), pay("2.25")
    new_account(new_user(), funds=7, currency="JPY")

    assert roll_up() == 4

    assert rolled() == {
        ("INR", "INITIAL_FUNDS"): (1, 100_000),
        ("INR", "TRANSFER"): (2, 375),
        ("JPY", "INITIAL_FUNDS"): (1, 7),
    }
    assert {row.hour for row in HourlyMovement.objects.all()} <= {
        f"{row.created_at:%Y-%m-%dT%H}" for row in Transaction.objects.all()
    }


def test_reversals_of_issued_money_are_counted_apart_from_those_of_transfers(pay, new_user, new_account, reverse):
    transfer = pay("1.50")
    new_account(new_user(), funds=7)
    issued = Transaction.objects.get(kind="INITIAL_FUNDS", amount_minor=700)
    reverse(transfer["_id"])
    roll_up()
    reverse(issued.pk)
    roll_up()

    assert rolled() == {
        ("INR", "INITIAL_FUNDS"): (2, 100_700),
        ("INR", "TRANSFER"): (1, 150),
        ("INR", "REVERSAL"): (1, 150),
        ("INR", "FUNDS_REVERSAL"): (1, 700),
    }
    now = dashboard.moved(Period(7, timezone.now()).hours, "INR")
    assert (now.count, now.volume, now.issued, now.reversals) == (1, Decimal("1.5"), Decimal(1000), 2)
    rollups.count_heads()
    assert dashboard.in_circulation("INR") == now.issued


def test_what_was_counted_before_there_were_two_kinds_of_reversals_is_counted_anew(pay, reverse):
    reverse(pay()["_id"])
    roll_up()
    before = rolled()
    database()["hourly_movements"].update_many({"kind": "REVERSAL"}, {"$inc": {"transactions": 1}})
    forget = import_module("office.migrations.0003_recount_reversals").forget

    forget(None, SimpleNamespace(connection=connection))
    assert rolled() == {}
    roll_up()
    assert rolled() == before


def test_nothing_is_counted_twice(pay):
    pay()
    roll_up()
    pay()

    assert [roll_up(), roll_up()] == [1, 0]
    assert rolled() == counted()


def test_a_step_ends_at_its_limit_and_the_next_one_goes_on(pay, monkeypatch):
    monkeypatch.setattr(rollups, "AT_ONCE", 3)
    for _ in range(7):
        pay()

    assert roll_up() == 8
    assert rolled() == counted()


def test_a_transaction_that_commits_after_a_later_one_is_not_missed(pay):
    """Its id was made first, and another, with a higher id, is committed and rolled up meanwhile.

    The server gives a transaction that is open some seconds to live, so little happens in it.
    """
    document, later = pay(), pay()
    assert later["_id"] > document["_id"]
    rows = database()["transactions"]
    rows.delete_many({"_id": {"$in": [document["_id"], later["_id"]]}})  # as if not posted yet
    with database().client.start_session() as session, session.start_transaction():
        rows.insert_one(document, session=session)
        rows.insert_one(later)
        assert roll_up(after=timedelta(0)) == 0
    assert rolled() == {}

    roll_up()
    assert rolled() == counted()


def test_the_lag_is_longer_than_the_server_lets_a_transaction_live():
    """What the promise rests on: also a server with MongoDB's own default, 60 seconds, on clocks that differ a bit."""
    assert settings.ROLL_UP_LAG_SECONDS >= 60 + 30


def test_several_at_once_count_each_transaction_once(pay, monkeypatch):
    monkeypatch.setattr(rollups, "AT_ONCE", 2)
    for _ in range(11):
        pay()

    assert sum(together([roll_up] * 4)) == 12
    assert rolled() == counted()


@pytest.mark.parametrize("command", ["aggregate", "update", "findAndModify", "commitTransaction"])
def test_one_that_breaks_off_leaves_nothing_behind(pay, fail_command, command):
    pay()
    fail_command(command, times="alwaysOn", errorCode=96)
    with pytest.raises(PyMongoError):
        roll_up()
    fail_command(command, times="off")

    assert rolled() == {}
    roll_up()
    assert rolled() == counted()


def test_a_volume_past_an_int64_stays_exact(pay):
    """Three sums of four quintillion: an Int64 ends at nine, and a binary float forgets the last digits."""
    document = pay()
    database()["transactions"].delete_many({})
    for number in range(3):
        moment = timezone.now() + timedelta(seconds=number)
        key = {"_id": first_id(moment.timestamp()), "idempotency_key": str(number)}
        database()["transactions"].insert_one(document | key | {"amount_minor": 4 * 10**18 + 1})

    roll_up(after=LATER + timedelta(seconds=5))

    assert rolled() == {("INR", "TRANSFER"): (3, 12 * 10**18 + 3)}


def test_heads_are_counted_by_what_they_are(new_user, new_account):
    owner = new_user()
    new_account(owner, funds=5), new_account(owner, currency="JPY")
    set_status(account_id=new_account(owner).pk, status=Account.Status.FROZEN)
    new_user(is_active=False), new_user(is_staff=True)

    rollups.count_heads()

    accounts = {(r["kind"], r["status"], r["currency"]): r["count"] for r in rollups.state("accounts")["rows"]}
    assert accounts == {
        ("CUSTOMER", "ACTIVE", "INR"): 1,
        ("CUSTOMER", "ACTIVE", "JPY"): 1,
        ("CUSTOMER", "FROZEN", "INR"): 1,
        ("EQUITY", "ACTIVE", "INR"): 1,
    }
    users = {(r["is_active"], r["is_staff"], r["is_system"]): r["count"] for r in rollups.state("users")["rows"]}
    assert users == {
        (True, False, False): 1,
        (False, False, False): 1,
        (True, True, False): 1,
        (True, False, True): 1,
    }
    assert {k: int(v.to_decimal()) for k, v in rollups.state("accounts")["equity_minor"].items()} == {"INR": -500}
