"""Two of these at once? Killed halfway? The answer lost and the call repeated?"""

import os
import subprocess
import sys
from collections import Counter
from decimal import Decimal
from uuid import uuid4

import pytest

from accounts.models import Account
from accounts.opening import StatusRefused, set_status
from ledger_project.errors import LedgerError
from ledger_project.mongo import database
from transactions import ledger
from transactions.models import Entry, Transaction
from transactions.posting import Transfer
from transactions.refusals import AccountNotActive, InsufficientFunds, NotPosted, OutcomeUnknown
from transactions.tests.crowd import at_once, in_one_group, word


def transfer(payer: Account, payee: Account, amount: str = "1", key: str | None = None, initiator=None) -> Transfer:
    return Transfer(
        initiator=initiator or payer.user_id,
        from_account=payer.pk,
        to_account=payee.pk,
        amount=Decimal(amount),
        idempotency_key=key or uuid4().hex,
    )


def total_of_balances() -> int:
    return sum(Account.objects.values_list("balance_minor", flat=True))


def balance(account: Account) -> Decimal:
    return Account.objects.get(pk=account.pk).balance


@pytest.fixture
def pair(new_user, new_account):
    """Asha's account with 500, and Ben's with nothing."""
    return new_account(new_user(), funds=500), new_account(new_user(name="Ben"))


def test_a_hundred_requests_with_one_key_make_one_transaction_and_get_equal_answers(pair, client_of, new_user):
    asha, ben = pair
    client = client_of(asha.user)
    body = {"fromAccount": str(asha.pk), "toAccount": str(ben.pk), "amount": 10, "idempotencyKey": "one"}
    answers = at_once([lambda: client.post("/api/transactions/", body)] * 100)
    assert Counter(answer.status_code for answer in answers) == {201: 1, 200: 99}
    assert len({str(answer.json()["transaction"]) for answer in answers}) == 1
    assert Transaction.objects.filter(idempotency_key="one").count() == 1
    assert (balance(asha), balance(ben)) == (490, 10)


def test_fifty_threads_drain_an_account_and_never_below_zero(pair):
    asha, ben = pair
    outcomes = at_once([lambda: ledger.post(transfer(asha, ben, "30"))] * 50)
    assert Counter(type(outcome) for outcome in outcomes) == {ledger.Outcome: 16, InsufficientFunds: 34}
    assert (balance(asha), balance(ben)) == (20, 480)
    assert total_of_balances() == 0
    assert all(
        after >= 0 for after in Entry.objects.filter(account=asha.pk).values_list("balance_after_minor", flat=True)
    )


def test_two_users_may_use_the_same_key_at_the_same_time(new_user, new_account):
    one, other = (new_account(new_user(), funds=100) for _ in range(2))
    outcomes = at_once(
        [lambda: ledger.post(transfer(one, other, "10", "k")), lambda: ledger.post(transfer(other, one, "30", "k"))]
    )
    assert [outcome.replayed for outcome in outcomes] == [False, False]
    assert (balance(one), balance(other)) == (120, 80)


def test_money_that_goes_both_ways_between_two_accounts_loses_nothing(pair, new_user):
    asha, ben = pair
    ledger.post(transfer(asha, ben, "250"))
    calls = [lambda: ledger.post(transfer(asha, ben, "1")), lambda: ledger.post(transfer(ben, asha, "2"))] * 20
    assert {type(outcome) for outcome in at_once(calls)} == {ledger.Outcome}
    assert (balance(asha), balance(ben)) == (270, 230)
    assert [e.sequence for e in Entry.objects.filter(account=asha.pk).order_by("sequence")] == list(range(1, 43))


def test_a_freeze_and_transfers_at_once_never_let_a_transfer_through_after_the_freeze(pair):
    asha, ben = pair
    freeze = [lambda: set_status(account_id=asha.pk, status=Account.Status.FROZEN)]
    outcomes = at_once([lambda: ledger.post(transfer(asha, ben, "1"))] * 15 + freeze)
    posted = sum(isinstance(outcome, ledger.Outcome) for outcome in outcomes)
    assert posted + sum(isinstance(outcome, AccountNotActive) for outcome in outcomes) == 15
    assert balance(asha) == 500 - posted
    frozen_at = Account.objects.get(pk=asha.pk).updated_at
    assert not Entry.objects.filter(account=asha.pk, created_at__gt=frozen_at).exists()


def test_an_account_is_closed_only_when_no_money_arrives_meanwhile(pair):
    asha, ben = pair
    close = [lambda: set_status(account_id=ben.pk, status=Account.Status.CLOSED)]
    outcomes = at_once([lambda: ledger.post(transfer(asha, ben, "1"))] * 4 + close)
    ben = Account.objects.get(pk=ben.pk)
    assert (ben.status == Account.Status.CLOSED) == (ben.balance_minor == 0)
    assert isinstance(outcomes[-1], StatusRefused) == (ben.status == Account.Status.ACTIVE)


DIES_BEFORE_THE_ANSWER = """
import os, django
django.setup()
from decimal import Decimal
from bson import ObjectId
from transactions import ledger
from transactions.posting import Transfer
from transactions.signals import transactions_completed

transactions_completed.connect(lambda **kwargs: os._exit(9), weak=False)
initiator, payer, payee = map(ObjectId, os.environ["IDS"].split())
ledger.post(Transfer(initiator, payer, payee, Decimal(10), "crash"))
"""


def test_a_crash_between_commit_and_answer_and_the_call_repeated_moves_money_once(pair):
    asha, ben = pair
    environment = os.environ | {
        "MONGODB_DATABASE": database().name,
        "IDS": f"{asha.user_id} {asha.pk} {ben.pk}",
    }
    dead = subprocess.run([sys.executable, "-c", DIES_BEFORE_THE_ANSWER], env=environment, check=False, timeout=300)
    assert dead.returncode == 9
    assert balance(ben) == 10
    again = ledger.post(transfer(asha, ben, "10", "crash"))
    assert again.replayed
    assert balance(ben) == 10


def test_an_answer_that_is_lost_at_commit_is_still_a_success(pair, fail_command):
    asha, ben = pair
    fail_command("commitTransaction", times=1, writeConcernError={"code": 91, "errmsg": "shutting down"})
    assert not ledger.post(transfer(asha, ben, "10", "k")).replayed
    assert balance(ben) == 10


def test_a_commit_that_never_answers_is_told_as_unknown_and_repeating_the_key_is_safe(pair, fail_command, settings):
    asha, ben = pair
    settings.POSTING_DEADLINE_SECONDS = 3
    fail_command("commitTransaction", times="alwaysOn", closeConnection=True)
    with pytest.raises(OutcomeUnknown) as refused:
        ledger.post(transfer(asha, ben, "10", "k"))
    assert (refused.value.status, refused.value.retryable) == (503, True)
    fail_command("ping", times=0)
    settings.POSTING_DEADLINE_SECONDS = 60
    ledger.post(transfer(asha, ben, "10", "k"))
    assert (balance(asha), balance(ben)) == (490, 10)
    assert total_of_balances() == 0


def test_a_commit_that_was_made_but_never_confirmed_is_found_by_its_key(pair, fail_command, settings):
    asha, ben = pair
    settings.POSTING_DEADLINE_SECONDS = 3
    fail_command("commitTransaction", times="alwaysOn", writeConcernError={"code": 91, "errmsg": "shutting down"})
    outcome = ledger.post(transfer(asha, ben, "10", "k"))
    assert (outcome.transaction.idempotency_key, outcome.replayed) == ("k", False)
    again = ledger.post(transfer(asha, ben, "10", "k"))
    assert (again.transaction.pk, again.replayed) == (outcome.transaction.pk, True)
    assert balance(ben) == 10


def test_a_replay_whose_commit_never_answers_is_still_told_as_a_replay(pair, fail_command, settings):
    asha, ben = pair
    first = ledger.post(transfer(asha, ben, "10", "k"))
    settings.POSTING_DEADLINE_SECONDS = 3
    fail_command("commitTransaction", times="alwaysOn", closeConnection=True)
    again = ledger.post(transfer(asha, ben, "10", "k"))
    assert (again.transaction.pk, again.replayed) == (first.transaction.pk, True)
    assert balance(ben) == 10


@pytest.mark.parametrize("code", [112, 251, 10107, 189, 11600])
@pytest.mark.parametrize("command", ["aggregate", "update", "insert", "commitTransaction"])
def test_a_passing_fault_at_any_step_never_shows(pair, fail_command, command, code):
    asha, ben = pair
    labels = {} if command == "commitTransaction" else {"errorLabels": ["TransientTransactionError"]}
    fail_command(command, times=1, errorCode=code, **labels)
    assert not ledger.post(transfer(asha, ben, "10", "k")).replayed
    assert (balance(asha), balance(ben)) == (490, 10)
    assert Entry.objects.filter(account=ben.pk).count() == 1


def test_a_write_that_the_server_forbids_moves_nothing(pair, fail_command):
    asha, ben = pair
    fail_command("update", times="alwaysOn", errorCode=121)
    with pytest.raises(LedgerError):
        ledger.post(transfer(asha, ben, "10", "k"))
    fail_command("ping", times=0)
    assert (balance(asha), balance(ben)) == (500, 0)
    assert not Transaction.objects.filter(idempotency_key="k").exists()


def test_a_key_that_the_unique_index_refuses_is_read_again_and_is_a_replay(pair, monkeypatch):
    asha, ben = pair
    first = ledger.post(transfer(asha, ben, "10", "k"))
    load, loads = ledger._load, []

    def blind_at_first(unit, orders):
        books, tokens = load(unit, orders)
        loads.append(1)
        if len(loads) == 1:
            books.known.clear()  # as if the key had been posted after the snapshot
        return books, tokens

    monkeypatch.setattr(ledger, "_load", blind_at_first)
    again = ledger.post(transfer(asha, ben, "10", "k"))
    assert (again.replayed, again.transaction.pk, len(loads)) == (True, first.transaction.pk, 2)
    assert balance(ben) == 10


def test_a_group_that_fails_is_looked_up_once_and_not_once_for_each_of_its_orders(
    pair, fail_command, monkeypatch, settings
):
    asha, ben = pair
    settings.POSTING_DEADLINE_SECONDS = 3
    look_up, looks = ledger._look_up, []
    monkeypatch.setattr(ledger, "_look_up", lambda *given: looks.append(1) or look_up(*given))
    fail_command("commitTransaction", times="alwaysOn", closeConnection=True)
    results = in_one_group([lambda: ledger.post(transfer(asha, ben))] * 5)
    assert [word(result) for result in results] == ["outcome_unknown"] * 5
    assert looks == [1]


@pytest.mark.parametrize("code", [13, 14031, 11601])
def test_what_the_database_says_of_itself_is_held_against_no_transfer(pair, fail_command, code):
    asha, ben = pair
    fail_command("insert", times="alwaysOn", errorCode=code)
    results = in_one_group([lambda: ledger.post(transfer(asha, ben, "10"))] * 2)
    assert [word(result) for result in results] == ["not_posted"] * 2
    assert all(result.retryable for result in results)
    fail_command("ping", times=0)
    assert balance(ben) == 0


@pytest.mark.parametrize("code", [13, 11601])
def test_an_odd_answer_to_a_commit_is_no_proof_that_it_was_not_made(pair, fail_command, code):
    asha, ben = pair
    fail_command("commitTransaction", times=1, errorCode=code)
    with pytest.raises(OutcomeUnknown):
        ledger.post(transfer(asha, ben, "10", "k"))
    assert not ledger.post(transfer(asha, ben, "10", "k")).replayed
    assert balance(ben) == 10


def test_past_the_deadline_nothing_is_left_open_on_the_server(pair, fail_command, settings):
    asha, ben = pair
    settings.POSTING_DEADLINE_SECONDS = 1
    lifetime_limit(60)  # so that its locks end with the transaction, and not with their time
    fail_command("insert", times="alwaysOn", blockConnection=True, blockTimeMS=60_000)
    with pytest.raises(NotPosted):
        ledger.post(transfer(asha, ben, "10", "k"))
    fail_command("ping", times=0)
    settings.POSTING_DEADLINE_SECONDS = 10
    try:
        assert not ledger.post(transfer(asha, ben, "20", "other")).replayed
    finally:
        lifetime_limit(3)
    assert balance(ben) == 20


def lifetime_limit(seconds: int) -> None:
    database().client.admin.command("setParameter", 1, transactionLifetimeLimitSeconds=seconds)


def test_keys_that_others_use_too_are_not_read_with_ones_own(new_user, new_account):
    accounts = [new_account(new_user(), funds=100) for _ in range(3)]
    numbered = [str(number) for number in range(20)]
    for payer in accounts[:2]:
        ledger.post_together([transfer(payer, accounts[2], "1", key) for key in numbered])
    batch = [transfer(accounts[0], accounts[2], "1", key) for key in numbered]
    filtered = ledger._keys([*batch, transfer(accounts[1], accounts[2], "1", "other")])
    found = list(database()[ledger.TRANSACTIONS].find(filtered))
    assert {row["initiator"] for row in found} == {accounts[0].user_id}
    assert sorted(row["idempotency_key"] for row in found) == sorted(numbered)
