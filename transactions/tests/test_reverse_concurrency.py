"""Reversals: two of these at once? Killed halfway? The answer lost and the call repeated?"""

import subprocess
import sys
import time
from collections import Counter
from decimal import Decimal
from functools import partial
from uuid import uuid4

import pytest
from bson import ObjectId

from accounts.models import Account
from accounts.opening import set_status
from ledger_project.tests.dumps import dump
from transactions import ledger
from transactions.models import Entry, Transaction
from transactions.posting import Order, Reversal, Transfer
from transactions.refusals import OutcomeUnknown
from transactions.tests.crowd import answer, at_once, in_one_group, word
from transactions.verification import verify
from users.tests.processes import environment

STAFF = [ObjectId(f"c{number:023x}") for number in range(10)]


@pytest.fixture
def pair(new_user, new_account):
    """Asha's account with 500, and Ben's with nothing."""
    return new_account(new_user(), funds=500), new_account(new_user(name="Ben"))


@pytest.fixture
def paid(pair) -> Transaction:
    """A transfer of 200 from Asha to Ben."""
    return pay(*pair, 200)


def pay(payer: Account, payee: Account, amount: int) -> Transaction:
    return ledger.post(Transfer(payer.user_id, payer.pk, payee.pk, Decimal(amount), uuid4().hex)).transaction


def wrong(paid: Transaction, staff: int = 0, key: str | None = None) -> Reversal:
    return Reversal(STAFF[staff], paid.pk, "wrong", key)


def by_itself(command: Reversal | Transfer) -> object:
    """Commit it in a MongoDB transaction of its own, as another process would."""
    ((result,),) = ledger._commit([Order((command,))], time.monotonic() + 60)
    return result


def balances(pair) -> list[Decimal]:
    return [Account.objects.get(pk=account.pk).balance for account in pair]


def assert_reversed_once(paid: Transaction, pair) -> None:
    """There is one reversal, the money is back, and the ledger is whole."""
    assert Transaction.objects.get(pk=paid.pk).status == Transaction.Status.REVERSED
    assert Transaction.objects.filter(kind=Transaction.Kind.REVERSAL).count() == 1
    assert balances(pair) == [500, 0]
    assert verify().findings == []


@pytest.mark.parametrize("run", [at_once, in_one_group])
def test_the_same_reversal_from_many_threads_is_one_reversal(pair, paid, run):
    answers = run([partial(ledger.post, wrong(paid))] * 20)
    assert Counter(map(word, answers)) == {"posted": 1, "replayed": 19}
    assert len({answer.document["_id"] for answer in answers}) == 1
    assert_reversed_once(paid, pair)


@pytest.mark.parametrize("run", [at_once, in_one_group])
def test_ten_members_of_staff_reverse_one_transaction_and_one_does(pair, paid, run):
    answers = run([partial(ledger.post, wrong(paid, number)) for number in range(10)])
    assert Counter(map(word, answers)) == {"posted": 1, "already_reversed": 9}
    assert_reversed_once(paid, pair)


def test_ten_processes_reverse_one_transaction_and_one_does(pair, paid):
    answers = at_once([partial(by_itself, wrong(paid, number)) for number in range(10)])
    assert Counter(map(word, answers)) == {"posted": 1, "already_reversed": 9}
    assert_reversed_once(paid, pair)


def test_the_same_reversal_from_ten_processes_is_one_reversal(pair, paid):
    answers = at_once([partial(by_itself, wrong(paid))] * 10)
    assert Counter(map(word, answers)) == {"posted": 1, "replayed": 9}
    assert_reversed_once(paid, pair)


@pytest.mark.parametrize("way", [by_itself, ledger.post])
def test_a_reversal_and_the_receiver_who_spends_it_one_of_them_comes_first(pair, paid, way):
    asha, ben = pair
    spend = [Transfer(ben.user_id, ben.pk, asha.pk, Decimal(150), uuid4().hex) for _ in range(3)]
    answers = at_once([partial(answer, partial(way, command)) for command in [wrong(paid), *spend]])
    reversal, *spent = map(word, answers)
    if reversal == "posted":
        assert spent == ["insufficient_funds"] * 3
        assert_reversed_once(paid, pair)
    else:
        assert reversal == "insufficient_funds"
        assert sorted(spent) == ["insufficient_funds", "insufficient_funds", "posted"]
        assert balances(pair) == [450, 50]
        assert verify().findings == []


def test_a_reversal_and_a_freeze_one_of_them_comes_first(pair, paid):
    _, ben = pair
    freeze = partial(set_status, account_id=ben.pk, status=Account.Status.FROZEN)
    reversal, _ = at_once([partial(by_itself, wrong(paid)), freeze])
    ben.refresh_from_db()
    assert (word(reversal), ben.balance) in [("posted", 0), ("account_not_active", 200)]
    assert not Entry.objects.filter(account=ben, direction="DEBIT", created_at__gt=ben.updated_at).exists()


def test_many_reversals_and_transfers_between_the_same_two_lose_nothing(pair):
    originals = [pay(*pair, 10) for _ in range(10)]
    asha, ben = pair
    calls = [partial(ledger.post, wrong(original)) for original in originals]
    calls += [partial(pay, asha, ben, 1) for _ in range(10)]
    assert not [result for result in at_once(calls) if hasattr(result, "code")]
    assert balances(pair) == [490, 10]
    assert verify().findings == []


DIES = """
import os, django
django.setup()
from bson import ObjectId
from ledger_project.mongo import Unit
from transactions import ledger
from transactions.posting import Reversal
from transactions.signals import transactions_completed

if os.environ["DIES"] == "before the commit":
    write = Unit.write
    Unit.write = lambda *given: (write(*given), os._exit(9))
else:
    transactions_completed.connect(lambda **kwargs: os._exit(9), weak=False)
staff, original = map(ObjectId, os.environ["IDS"].split())
ledger.post(Reversal(staff, original, "wrong"))
"""


def die(paid: Transaction, when: str) -> None:
    """Reverse it in a process that is gone at once at the moment `when`."""
    given = environment(IDS=f"{STAFF[0]} {paid.pk}", DIES=when)
    assert subprocess.run([sys.executable, "-c", DIES], env=given, check=False, timeout=300).returncode == 9


def test_killed_after_its_last_write_and_before_its_commit_it_leaves_nothing_behind(pair, paid):
    before = dump()
    die(paid, "before the commit")
    assert dump() == before
    assert word(answer(partial(ledger.post, wrong(paid)))) == "posted"
    assert_reversed_once(paid, pair)


def test_killed_between_commit_and_answer_and_repeated_it_is_a_replay(pair, paid):
    die(paid, "after the commit")
    assert word(answer(partial(ledger.post, wrong(paid)))) == "replayed"
    assert_reversed_once(paid, pair)


def test_an_answer_that_is_lost_at_commit_is_still_a_success(pair, paid, fail_command):
    fail_command("commitTransaction", times=1, writeConcernError={"code": 91, "errmsg": "shutting down"})
    assert word(ledger.post(wrong(paid))) == "posted"
    assert_reversed_once(paid, pair)


def test_a_commit_that_never_answers_is_told_as_unknown_and_repeating_it_is_safe(pair, paid, fail_command, settings):
    settings.POSTING_DEADLINE_SECONDS = 3
    fail_command("commitTransaction", times="alwaysOn", closeConnection=True)
    with pytest.raises(OutcomeUnknown):
        ledger.post(wrong(paid))
    fail_command("ping", times=0)
    settings.POSTING_DEADLINE_SECONDS = 60
    assert word(ledger.post(wrong(paid))) in ("posted", "replayed")
    assert_reversed_once(paid, pair)


def test_a_reversal_that_fails_writes_to_no_customer(pair, paid, fail_command, settings):
    settings.POSTING_DEADLINE_SECONDS = 3
    before = dump()
    fail_command("update", times="alwaysOn", errorCode=112, errorLabels=["TransientTransactionError"])
    assert word(answer(partial(ledger.post, wrong(paid)))) == "not_posted"
    fail_command("ping", times=0)
    assert dump() == before


@pytest.mark.parametrize("command", ["find", "aggregate", "update", "insert", "commitTransaction"])
def test_a_passing_fault_at_any_step_never_shows(pair, paid, fail_command, command):
    labels = {} if command == "commitTransaction" else {"errorLabels": ["TransientTransactionError"]}
    fail_command(command, times=1, errorCode=112, **labels)
    assert word(ledger.post(wrong(paid))) == "posted"
    assert_reversed_once(paid, pair)


def test_an_atomic_order_reverses_all_or_none(pair):
    first, second = pay(*pair, 10), pay(*pair, 20)
    pay(pair[1], pair[0], 15)
    before = dump()
    refused = ledger.post_together([wrong(first), wrong(second)], atomic=True)
    assert list(map(word, refused)) == ["batch_refused", "insufficient_funds"]
    assert dump() == before
    assert list(map(word, ledger.post_together([wrong(first), wrong(second)]))) == ["posted", "insufficient_funds"]
