"""From a posting to the notices of its parties: each is written, once, whatever dies in between."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from django.utils import timezone
from pymongo.errors import PyMongoError

from ledger_project.jsonio import timestamp
from ledger_project.mongo import collection, database
from ledger_project.tests.dumps import dump
from ledger_project.tests.profiler import profiled
from transactions import ledger, notices
from transactions.models import NoticesDue, Transaction
from transactions.posting import Transfer
from transactions.refusals import Forbidden
from transactions.tasks import tell_parties
from users.models import Notification


@pytest.fixture
def pair(new_user, new_account):
    """Two accounts; nothing is due for how the first one got its money."""
    payer, payee = new_account(new_user(), funds=500), new_account(new_user())
    notices.write_due(limit=100)
    Notification.objects.all().delete()
    return payer, payee


def post(pair, amount: str = "1"):
    payer, payee = pair
    return ledger.post(Transfer(payer.user_id, payer.pk, payee.pk, Decimal(amount), uuid4().hex)).transaction


def groups_due() -> int:
    return NoticesDue.objects.count()


def due() -> list[dict]:
    return list(collection(NoticesDue).find(sort=[("_id", 1)]))


def told() -> list[tuple]:
    return sorted((row.pk, row.kind, row.user_id) for row in Notification.objects.all())


def owed(*transactions, pair) -> list[tuple]:
    payer, payee = pair
    return sorted(
        side
        for transaction in transactions
        for side in (
            (transaction.debit_entry, "TRANSFER_SENT", payer.user_id),
            (transaction.credit_entry, "TRANSFER_RECEIVED", payee.user_id),
        )
    )


def test_payer_and_payee_are_owed_a_notice_with_amount_accounts_and_time(pair):
    transaction = post(pair, "10.50")
    assert notices.write_due(limit=1) == 1
    assert told() == owed(transaction, pair=pair)
    for row in Notification.objects.all():
        assert (row.status, row.due_at, row.created_at) == ("PENDING", transaction.created_at, transaction.created_at)
        assert row.payload == {
            "amount": "10.5",
            "currency": "INR",
            "from_account": str(pair[0].pk),
            "to_account": str(pair[1].pk),
            "transaction": str(transaction.pk),
            "time": timestamp(transaction.created_at),
        }


def test_a_notice_is_due_at_once_though_the_clock_of_who_posted_is_ahead(pair):
    transaction = post(pair)
    ahead = transaction.created_at + timedelta(minutes=5)
    collection(Transaction).update_one({"_id": transaction.pk}, {"$set": {"created_at": ahead}})
    notices.write_due(limit=1)
    assert all(row.due_at <= timezone.now() for row in Notification.objects.all())
    assert told() == owed(transaction, pair=pair)


def test_of_initial_funds_the_payee_is_told_and_the_system_is_not(new_user, new_account):
    account = new_account(new_user(), funds=500)
    notices.write_due(limit=1)
    (notice,) = Notification.objects.all()
    assert (notice.kind, notice.user_id) == ("TRANSFER_RECEIVED", account.user_id)


def test_one_word_for_a_whole_group_and_a_notice_for_each_side_of_each_transfer(pair):
    payer, payee = pair
    transfers = [Transfer(payer.user_id, payer.pk, payee.pk, Decimal(1), uuid4().hex) for _ in range(30)]
    posted = [outcome.transaction for outcome in ledger.post_together(transfers)]
    assert groups_due() == 1
    notices.write_due(limit=1)
    assert told() == owed(*posted, pair=pair)
    assert groups_due() == 0


def test_a_refusal_leaves_no_word(pair):
    payer, payee = pair
    ledger.post_together([Transfer(payer.user_id, payer.pk, payee.pk, Decimal(501), "k")])
    assert groups_due() == 0


def test_a_word_that_cannot_be_left_leaves_no_transfer(pair, monkeypatch):
    def broken(*args, **kwargs):
        raise RuntimeError

    monkeypatch.setattr("transactions.ledger.notices.word", broken)
    money = ("accounts", "transactions", "entries", "notices_due")
    before = dump(*money)
    with pytest.raises(Forbidden):
        post(pair)
    assert dump(*money) == before


def test_the_oldest_groups_come_first_and_no_more_than_asked_for(pair):
    first, second, third = (post(pair) for _ in range(3))
    assert notices.write_due(limit=2) == 2
    assert told() == owed(first, second, pair=pair)
    assert notices.write_due(limit=2) == 1
    assert told() == owed(first, second, third, pair=pair)
    assert notices.write_due(limit=2) == 0


def test_a_writer_that_died_before_it_forgot_the_group_is_made_up_for_and_nobody_is_told_twice(pair, fail_command):
    transaction = post(pair)
    fail_command("delete", times=1, errorCode=8000)
    with pytest.raises(PyMongoError):
        notices.write_due(limit=1)
    assert told() == owed(transaction, pair=pair)
    assert groups_due() == 1
    Notification.objects.filter(pk=transaction.debit_entry).update(status=Notification.Status.SENT)

    notices.write_due(limit=1)

    assert told() == owed(transaction, pair=pair)
    assert Notification.objects.get(pk=transaction.debit_entry).status == "SENT"
    assert groups_due() == 0


def test_a_writer_that_died_among_the_notices_is_made_up_for(pair):
    transaction = post(pair)
    notices.write_due(limit=1)
    Notification.objects.filter(pk=transaction.debit_entry).delete()
    word = {"transactions": [transaction.pk], "created_at": transaction.created_at}
    collection(NoticesDue).insert_one(word)

    notices.write_due(limit=1)

    assert told() == owed(transaction, pair=pair)


def test_a_notice_that_the_database_refuses_keeps_the_group(pair, fail_command):
    transaction = post(pair)
    fail_command("insert", times=1, errorCode=8000)
    with pytest.raises(PyMongoError):
        notices.write_due(limit=1)
    assert (told(), groups_due()) == ([], 1)
    notices.write_due(limit=1)
    assert told() == owed(transaction, pair=pair)


def test_a_group_that_cannot_be_written_is_kept_and_holds_up_no_other(pair):
    broken, whole = post(pair), post(pair)
    rows = collection(Transaction)
    kept = rows.find_one_and_delete({"_id": broken.pk})
    assert notices.write_due(limit=1) == 0
    assert notices.write_due(limit=1) == 1
    assert told() == owed(whole, pair=pair)
    rows.insert_one(kept)
    assert notices.write_due(limit=1) == 1
    assert told() == owed(broken, whole, pair=pair)
    assert groups_due() == 0


@pytest.fixture
def refused_notices():
    """`refused_notices(transaction)`: the database takes no notice of it."""
    (before,) = database().list_collections(filter={"name": "notifications"})

    def refuse(transaction) -> None:
        validator = {"payload.transaction": {"$ne": str(transaction.pk)}}
        database().command("collMod", "notifications", validator=validator)

    yield refuse
    database().command("collMod", "notifications", validator=before["options"].get("validator", {}))


def test_a_group_whose_notice_the_database_refuses_holds_up_no_other(pair, refused_notices):
    refused, whole = post(pair), post(pair)
    refused_notices(refused)
    assert notices.write_due(limit=2) == 1
    assert told() == owed(whole, pair=pair)
    assert groups_due() == 1


def test_groups_are_written_together_by_one_insert_and_forgotten_by_one_delete(pair):
    posted = [post(pair) for _ in range(5)]
    with profiled() as commands:
        assert notices.write_due(limit=5) == 5
    written = [command["op"] for command in commands if command["op"] in ("insert", "remove")]
    assert written == ["insert", "remove"]
    assert told() == owed(*posted, pair=pair)


def test_no_more_are_written_together_than_fit_and_one_that_does_not_fit_alone(pair, monkeypatch):
    monkeypatch.setattr("transactions.notices.TOGETHER", 2)
    payer, payee = pair
    transfers = [Transfer(payer.user_id, payer.pk, payee.pk, Decimal(1), uuid4().hex) for _ in range(3)]
    posted = [post(pair), *(outcome.transaction for outcome in ledger.post_together(transfers)), post(pair), post(pair)]
    sizes = [[len(group["transactions"]) for group in parcel] for parcel in notices._together(due())]
    assert sizes == [[1], [3], [1, 1]]
    assert notices.write_due(limit=4) == 4
    assert told() == owed(*posted, pair=pair)


def test_many_writers_at_once_write_each_notice_once(pair):
    posted = [post(pair) for _ in range(8)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: notices.write_due(limit=8), range(4)))
    assert told() == owed(*posted, pair=pair)
    assert groups_due() == 0


def test_the_task_writes_the_notices_and_sends_them(pair, mailoutbox):
    post(pair)
    assert tell_parties() == 2
    assert {row.status for row in Notification.objects.all()} == {"SENT"}
    assert sorted(to for mail in mailoutbox for to in mail.to) == sorted(account.user.email for account in pair)


def test_a_turn_that_leaves_groups_asks_for_another(pair, monkeypatch, mailoutbox):
    asked: list[bool] = []
    monkeypatch.setattr("transactions.tasks.GROUPS", 2)
    for _ in range(3):
        post(pair)
    monkeypatch.setattr("transactions.tasks.wake_up.ask", lambda: asked.append(True))
    tell_parties()
    tell_parties()
    assert asked == [True]


def test_a_turn_in_which_one_group_failed_asks_for_another_and_one_in_which_all_failed_does_not(
    pair, monkeypatch, mailoutbox, refused_notices
):
    asked: list[bool] = []
    monkeypatch.setattr("transactions.tasks.GROUPS", 2)
    refused, *whole = (post(pair) for _ in range(3))
    refused_notices(refused)
    monkeypatch.setattr("transactions.tasks.wake_up.ask", lambda: asked.append(True))
    tell_parties()
    tell_parties()
    assert told() == owed(*whole, pair=pair)
    assert asked == [True, True]
    tell_parties()
    assert asked == [True, True]


def test_a_failure_notice_says_what_the_answer_said(pair):
    payer, payee = pair
    failed = Transfer(payer.user_id, payer.pk, payee.pk, Decimal(1), "k")
    notices.tell_of_failures([failed], timezone.now(), Forbidden.message)
    assert Notification.objects.get().payload["reason"] == "The transfer could not be posted and nothing has moved."
