"""The web server is told to stop, or shot, while sixteen callers move money through it."""

import os
import signal
import time
from collections import Counter
from decimal import Decimal
from functools import partial
from operator import gt
from uuid import uuid4

import pytest
from django.conf import settings

from accounts.models import Account
from ledger_project.mongo import collection, database
from transactions import ledger
from transactions.models import Transaction
from transactions.posting import Transfer
from transactions.tests.crowd import at_once, word
from transactions.tests.web import Call, Load, web
from transactions.verification import verify
from users.tests.waiting import wait_until

pytestmark = pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")

CALLERS = 16
BUSY = 150  # transfers, before anything happens
GRACE_SECONDS = 15 + 30  # the Procfile's, and time to notice on a slow machine


@pytest.fixture
def server(tmp_path):
    with web(tmp_path / "web.log") as server:
        yield server


@pytest.fixture
def accounts(new_user, new_account):
    return [new_account(new_user(), funds=100_000) for _ in range(CALLERS)]


def assert_nothing_is_lost_and_nothing_twice(calls: list[Call]) -> None:
    """What was acknowledged is there, once; what was refused is not; what nobody knows is settled by its key.

    And the ledger is whole.
    """
    there = {row["idempotency_key"]: row["_id"] for row in rows()}
    for call in calls:
        assert call.is_posted or call.is_unknown or call.is_refused, call.body
        if call.is_posted:
            assert there[call.key] == call.transaction
        if call.is_refused:
            assert call.key not in there
    unknown = [call for call in calls if call.is_unknown]
    for call in unknown:
        payer = Account.objects.get(pk=call.request["fromAccount"])
        payee = Account.objects.get(pk=call.request["toAccount"])
        result = ledger.post(Transfer(payer.user_id, payer.pk, payee.pk, Decimal(1), call.key))
        assert word(result) == ("replayed" if call.key in there else "posted")
    assert Counter(row["idempotency_key"] for row in rows()).most_common(1)[0][1] == 1
    assert {call.key for call in calls if not call.is_refused} <= {row["idempotency_key"] for row in rows()}
    assert verify().findings == []


def rows():
    return collection(Transaction).find()


def seconds_until_all_can_pay(accounts: list[Account]) -> float:
    """How long it takes, from now, until a transfer on every account has been posted."""
    started = time.monotonic()
    pairs = zip(accounts, accounts[1:] + accounts[:1], strict=True)
    transfers = [Transfer(payer.user_id, payer.pk, payee.pk, Decimal(1), uuid4().hex) for payer, payee in pairs]
    results = at_once([partial(ledger.post, transfer) for transfer in transfers])
    assert Counter(map(word, results)) == {"posted": len(accounts)}
    return time.monotonic() - started


def locked_seconds() -> float:
    """How long a process that dies in a transaction may keep its accounts locked, and time to post on a slow machine.

    MongoDB looks for transactions that are past their lifetime only every half of that. Its own default is a minute.
    """
    name = "transactionLifetimeLimitSeconds"
    return 1.5 * database().client.admin.command("getParameter", 1, **{name: 1})[name] + 30


def in_progress(command: str) -> bool:
    """Whether MongoDB is carrying out this command for the web server."""
    name = settings.DATABASES["default"]["OPTIONS"]["appname"]
    conditions = {"active": True, "appName": name, f"command.{command}": {"$exists": True}}
    return bool(database().client.admin.command("currentOp", **conditions)["inprog"])


def assert_few_broke_off(calls: list[Call]) -> None:
    """At most two a caller: one on the connection that broke, one on a new one that nobody takes up any more."""
    assert sum(call.broke_off for call in calls) <= 2 * CALLERS


def assert_all_that_was_carried_out_was_answered(calls: list[Call]) -> None:
    """A connection may break only on a request that nobody had begun with."""
    assert_few_broke_off(calls)
    unanswered = {call.key for call in calls if call.is_unknown}
    assert not unanswered & {row["idempotency_key"] for row in rows()}


def test_sigterm_under_load_finishes_and_answers_what_is_in_flight(server, accounts):
    load = Load(server.port, accounts)
    wait_until(lambda: load.posted > BUSY, seconds=120)
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(GRACE_SECONDS) == 0
    calls = load.end()
    assert_all_that_was_carried_out_was_answered(calls)
    assert_nothing_is_lost_and_nothing_twice(calls)


@pytest.mark.slow
def test_sigterm_waits_for_a_commit_that_takes_its_time(server, accounts, fail_command):
    load = Load(server.port, accounts)
    wait_until(lambda: load.posted > BUSY, seconds=120)
    fail_command("commitTransaction", times=2, blockConnection=True, blockTimeMS=2000)
    wait_until(lambda: in_progress("commitTransaction"))
    before = load.posted
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(GRACE_SECONDS) == 0
    calls = load.end()
    assert load.posted > before
    assert_all_that_was_carried_out_was_answered(calls)
    assert_nothing_is_lost_and_nothing_twice(calls)


@pytest.mark.slow
def test_a_worker_that_is_shot_loses_nothing_and_another_takes_its_place(server, accounts):
    load = Load(server.port, accounts)
    wait_until(lambda: load.posted > BUSY, seconds=120)
    shot, before = server.workers()[0], load.posted_by_each()
    os.kill(shot, signal.SIGKILL)
    wait_until(lambda: all(map(gt, load.posted_by_each(), before)), seconds=locked_seconds())
    wait_until(lambda: len(server.workers()) == 2 and shot not in server.workers(), seconds=120)
    after = load.posted
    wait_until(lambda: load.posted > after + BUSY, seconds=120)
    calls = load.end()
    assert_few_broke_off(calls)
    assert_nothing_is_lost_and_nothing_twice(calls)


@pytest.mark.slow
def test_all_processes_shot_under_load_lose_nothing_that_was_acknowledged(server, accounts):
    load = Load(server.port, accounts)
    wait_until(lambda: load.posted > BUSY, seconds=120)
    os.killpg(server.process.pid, signal.SIGKILL)
    assert seconds_until_all_can_pay(accounts) < locked_seconds()
    assert_nothing_is_lost_and_nothing_twice(load.end())


@pytest.mark.slow
def test_shot_in_the_middle_of_a_transaction_its_accounts_are_free_again_soon(server, accounts, fail_command):
    fail_command("insert", times="alwaysOn", blockConnection=True, blockTimeMS=1000)
    load = Load(server.port, accounts)
    wait_until(lambda: in_progress("insert"))
    os.killpg(server.process.pid, signal.SIGKILL)
    fail_command("ping", times=0)
    assert seconds_until_all_can_pay(accounts) < locked_seconds()
    assert_nothing_is_lost_and_nothing_twice(load.end())
