"""Groups so large that they are written in parts: decided as one, stored as one, or not at all."""

from collections import Counter
from decimal import Decimal
from functools import partial
from uuid import uuid4

import pytest

from accounts.models import Account
from ledger_project.tests.dumps import dump
from transactions import ledger
from transactions.ledger import PART
from transactions.models import NoticesDue, Transaction
from transactions.posting import Reversal, Transfer
from transactions.tests.crowd import in_one_group, word
from transactions.verification import verify

WRITE_CONFLICT = 112


@pytest.fixture
def trio(new_user, new_account) -> list[Account]:
    """Asha's account with 5,000, Ben's and Cleo's with nothing."""
    return [new_account(new_user(), funds=5000), new_account(new_user(name="Ben")), new_account(new_user(name="Cleo"))]


def transfers(trio, number: int, amount: int = 1) -> list[Transfer]:
    """From Asha to Ben and to Cleo in turns."""
    payer, *payees = trio
    return [Transfer(payer.user_id, payer.pk, payees[at % 2].pk, Decimal(amount), uuid4().hex) for at in range(number)]


def words(results) -> Counter[str]:
    return Counter(map(word, results))


def balances(trio) -> list[int]:
    return [int(Account.objects.get(pk=account.pk).balance) for account in trio]


def assert_stored(asked: list[Transfer]) -> None:
    """All of them, once, with one word for the outbox, and the ledger is whole."""
    stored = Transaction.objects.filter(idempotency_key__in=[transfer.idempotency_key for transfer in asked])
    assert len(stored) == len(asked)
    told = [due.transactions for due in NoticesDue.objects.all()]
    assert {transaction.pk for transaction in stored} in [set(ids) for ids in told]
    assert verify().findings == []


@pytest.mark.parametrize("size", [PART - 1, PART, PART + 1, 2 * PART, 2 * PART + 1])
@pytest.mark.parametrize("atomic", [False, True])
def test_a_batch_of_any_size_is_stored_whole(trio, size, atomic):
    asked = transfers(trio, size)
    assert words(ledger.post_together(asked, atomic=atomic)) == {"posted": size}
    assert balances(trio) == [5000 - size, (size + 1) // 2, size // 2]
    assert_stored(asked)
    assert words(ledger.post_together(asked, atomic=atomic)) == {"replayed": size}


def test_a_large_atomic_batch_whose_last_is_refused_stores_nothing(trio):
    before = dump()
    asked = [*transfers(trio, 2 * PART), *transfers(trio, 1, amount=6000)]
    assert words(ledger.post_together(asked, atomic=True)) == {"batch_refused": 2 * PART, "insufficient_funds": 1}
    assert dump() == before


def test_each_part_sees_what_those_before_it_have_done(trio):
    """A key of the first part comes again in a later one, and the money that the first moved is gone for the last."""
    asked = transfers(trio, 2 * PART, amount=9)
    again, too_much = asked[0], transfers(trio, 1, amount=600)[0]
    results = ledger.post_together([*asked, again, *transfers(trio, PART - 2), too_much])
    assert [word(results[at]) for at in (0, 2 * PART, -1)] == ["posted", "replayed", "insufficient_funds"]
    assert words(results) == {"posted": 3 * PART - 2, "replayed": 1, "insufficient_funds": 1}
    assert balances(trio)[0] == 5000 - 9 * 2 * PART - (PART - 2)
    assert verify().findings == []


def test_requests_of_other_orders_share_its_parts(trio):
    batch, *lone = [transfers(trio, PART - 1), *([transfer] for transfer in transfers(trio, 3))]
    results = in_one_group([partial(ledger.post_together, order) for order in (batch, *lone)])
    assert words(result for order in results for result in order) == {"posted": PART + 2}
    assert_stored([*batch, *(transfer for order in lone for transfer in order)])


def test_a_reversal_among_the_last_part_marks_what_it_reverses(trio):
    original = ledger.post(transfers(trio, 1)[0]).transaction
    reversals = [partial(ledger.post, Reversal(trio[0].user_id, original.pk, why)) for why in ("wrong", "twice")]
    results = in_one_group([partial(ledger.post_together, transfers(trio, PART - 1)), *reversals])
    assert sorted(word(result) for result in results[1:]) == ["already_reversed", "posted"]
    assert Transaction.objects.get(pk=original.pk).status == Transaction.Status.REVERSED
    assert verify().findings == []


@pytest.mark.parametrize("before", [1, 2, 3])
def test_a_failure_in_a_later_part_leaves_nothing_of_the_earlier_ones(trio, fail_command, before):
    """Inserts: transactions and entries of the first part, then of the second. All from there on fail."""
    asked = transfers(trio, 2 * PART)
    money = dump("accounts", "transactions", "entries", "notices_due")
    fail_command("insert", times={"skip": before}, errorCode=8000)
    assert words(ledger.post_together(asked)) == {"not_posted": 2 * PART}
    fail_command("insert", times=0)
    assert dump("accounts", "transactions", "entries", "notices_due") == money
    assert words(ledger.post_together(asked)) == {"posted": 2 * PART}
    assert_stored(asked)


def test_a_conflict_in_a_later_part_runs_the_whole_group_again(trio, fail_command):
    asked = transfers(trio, 2 * PART)
    fail_command("update", times=1, errorCode=WRITE_CONFLICT, errorLabels=["TransientTransactionError"])
    assert words(ledger.post_together(asked)) == {"posted": 2 * PART}
    assert_stored(asked)
