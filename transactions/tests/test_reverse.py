"""POST /api/transactions/:id/reverse: staff move the money of a transaction back, once."""

from decimal import Decimal
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from bson import ObjectId

from accounts.models import Account
from accounts.opening import set_status
from ledger_project.mongo import database
from ledger_project.tests.dumps import dump
from transactions import ledger, notices
from transactions.models import Entry, Transaction
from transactions.posting import Transfer
from transactions.tests.crowd import at_once
from transactions.verification import verify
from users import notifications
from users.models import AuditEntry, Notification

REASON = "Paid twice, case 5512"


@pytest.fixture
def asha(new_user, new_account) -> Account:
    """Her account, with 500."""
    return new_account(new_user(name="Asha"), funds=500)


@pytest.fixture
def ben(new_user, new_account) -> Account:
    """His account, with nothing."""
    return new_account(new_user(name="Ben"))


@pytest.fixture
def staff(new_user, client_of) -> Any:
    """The API client of a superuser."""
    return client_of(new_user(is_staff=True, is_superuser=True))


@pytest.fixture
def paid(asha, ben) -> Transaction:
    """A transfer of 200 from Asha to Ben."""
    return pay(asha, ben, 200)


def pay(payer: Account, payee: Account, amount: int) -> Transaction:
    return ledger.post(Transfer(payer.user_id, payer.pk, payee.pk, Decimal(amount), uuid4().hex)).transaction


def reverse(client: Any, transaction: Any, **body: Any) -> Any:
    return client.post(f"/api/transactions/{transaction}/reverse", {"reason": REASON} | body)


def balances(*accounts: Account) -> list[Decimal]:
    return [Account.objects.get(pk=account.pk).balance for account in accounts]


def assert_refused(answer: Any, status: int, code: str, before: dict) -> None:
    """The answer is that refusal, and nothing has changed."""
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.content
    assert dump() == before


def test_the_money_goes_back_and_both_transactions_name_each_other(staff, asha, ben, paid):
    answer = reverse(staff, paid.pk)
    assert answer.status_code == 201
    body = answer.json()["transaction"]
    assert (body["fromAccount"], body["toAccount"], body["amount"]) == (str(ben.pk), str(asha.pk), 200)
    assert (body["kind"], body["reverses"], body["reason"]) == ("REVERSAL", str(paid.pk), REASON)
    assert balances(asha, ben) == [500, 0]
    original, reversal = Transaction.objects.get(pk=paid.pk), Transaction.objects.get(pk=body["_id"])
    assert (original.status, original.reversed_by) == ("REVERSED", reversal.pk)
    assert (reversal.status, reversal.reverses, reversal.reason) == ("COMPLETED", original.pk, REASON)
    assert verify().findings == []


def test_nothing_of_the_original_changes_but_that_it_was_reversed(staff, paid):
    (before,) = (row for row in dump("transactions")["transactions"] if row["_id"] == paid.pk)
    reversal = ObjectId(reverse(staff, paid.pk).json()["transaction"]["_id"])
    (after,) = (row for row in dump("transactions")["transactions"] if row["_id"] == paid.pk)
    assert after.pop("updated_at") > before.pop("updated_at")
    assert after == before | {"status": "REVERSED", "reversed_by": reversal}


def test_an_entry_is_added_to_each_account_and_none_is_touched(staff, asha, ben, paid):
    before = dump("entries")["entries"]
    reverse(staff, paid.pk)
    assert dump("entries")["entries"][: len(before)] == before
    last = [Entry.objects.filter(account=account).order_by("-sequence")[0] for account in (asha, ben)]
    assert [(entry.direction, entry.amount, entry.balance_after) for entry in last] == [
        ("CREDIT", 200, 500),
        ("DEBIT", 200, 0),
    ]


def test_both_sides_are_told_and_neither_is_told_the_reason(staff, asha, ben, paid):
    reverse(staff, paid.pk)
    notices.write_due(limit=10)
    told = {row.user_id: row for row in Notification.objects.filter(kind__in=["MONEY_RETURNED", "MONEY_TAKEN_BACK"])}
    assert {user: row.kind for user, row in told.items()} == {
        asha.user_id: "MONEY_RETURNED",
        ben.user_id: "MONEY_TAKEN_BACK",
    }
    for row in told.values():
        mail = notifications.message(row)
        html = mail.alternatives[0][0]
        assert "200 INR" in mail.subject
        for text in (mail.body, html):
            assert str(paid.pk) in text
            assert REASON not in text


def test_both_owners_see_the_links_and_not_the_reason(staff, client_of, asha, ben, paid):
    reversal = reverse(staff, paid.pk).json()["transaction"]["_id"]
    for owner in (asha.user, ben.user):
        client = client_of(owner)
        original = client.get(f"/api/transactions/{paid.pk}").json()["transaction"]
        back = client.get(f"/api/transactions/{reversal}").json()["transaction"]
        assert (original["status"], original["reverses"], original["reversedBy"]) == ("REVERSED", None, reversal)
        assert (back["kind"], back["reverses"], back["reversedBy"]) == ("REVERSAL", str(paid.pk), None)
        assert "reason" not in back
        listed = client.get("/api/transactions/").json()["transactions"][0]
        assert (listed["_id"], listed["kind"]) == (reversal, "REVERSAL")
        assert "reason" not in listed


def test_initial_funds_go_back_to_where_money_comes_from(staff, asha):
    funds = Transaction.objects.get(to_account=asha)
    assert reverse(staff, funds.pk).status_code == 201
    equity = Account.objects.get(kind=Account.Kind.EQUITY)
    assert balances(asha, equity) == [0, 0]
    notices.write_due(limit=10)
    assert [row.kind for row in Notification.objects.filter(kind__startswith="MONEY")] == ["MONEY_TAKEN_BACK"]
    assert verify().findings == []


def test_the_same_request_again_is_a_replay(staff, paid):
    first = reverse(staff, paid.pk)
    before = dump()
    again = reverse(staff, paid.pk)
    assert (again.status_code, again["Idempotent-Replay"]) == (200, "true")
    assert again.json()["transaction"] == first.json()["transaction"]
    assert dump() == before


@pytest.mark.parametrize("other", [{"reason": "Another reason"}, {"idempotencyKey": "another"}])
def test_another_request_finds_it_reversed(staff, paid, other):
    reverse(staff, paid.pk)
    before = dump()
    assert_refused(reverse(staff, paid.pk, **other), 409, "already_reversed", before)


def test_another_member_of_staff_finds_it_reversed(staff, paid, new_user, client_of):
    reverse(staff, paid.pk)
    other = client_of(new_user(is_staff=True, is_superuser=True))
    before = dump()
    assert_refused(reverse(other, paid.pk), 409, "already_reversed", before)


def test_a_key_that_was_used_for_another_reversal_is_refused(staff, asha, ben, paid):
    other = pay(asha, ben, 1)
    reverse(staff, paid.pk, idempotencyKey="case-1")
    before = dump()
    assert_refused(reverse(staff, other.pk, idempotencyKey="case-1"), 422, "idempotency_key_reused", before)


def test_a_key_may_come_in_the_header(staff, paid):
    answer = staff.post(
        f"/api/transactions/{paid.pk}/reverse", {"reason": REASON}, headers={"Idempotency-Key": "case-1"}
    )
    assert answer.json()["transaction"]["idempotencyKey"] == "case-1"


def test_a_reversal_is_not_reversed(staff, paid):
    reversal = reverse(staff, paid.pk).json()["transaction"]["_id"]
    before = dump()
    assert_refused(reverse(staff, reversal), 409, "reversal_is_final", before)


def test_money_that_the_receiver_has_spent_does_not_come_back(staff, asha, ben, paid):
    pay(ben, asha, 1)
    before = dump()
    assert_refused(reverse(staff, paid.pk), 400, "insufficient_funds", before)


def test_a_refused_reversal_can_be_made_later(staff, asha, ben, paid):
    pay(ben, asha, 1)
    reverse(staff, paid.pk)
    pay(asha, ben, 1)
    assert reverse(staff, paid.pk).status_code == 201


@pytest.mark.parametrize("side", ["asha", "ben"])
def test_frozen_means_frozen_for_reversals_too(staff, asha, ben, paid, side):
    set_status(account_id={"asha": asha, "ben": ben}[side].pk, status=Account.Status.FROZEN)
    before = dump()
    assert_refused(reverse(staff, paid.pk), 400, "account_not_active", before)


def test_nothing_goes_back_to_a_closed_account(staff, asha, ben):
    paid = pay(asha, ben, 500)
    set_status(account_id=asha.pk, status=Account.Status.CLOSED)
    before = dump()
    assert_refused(reverse(staff, paid.pk), 400, "account_not_active", before)


@pytest.mark.parametrize("key", ["xyz", "0" * 24, "0" * 23])
def test_an_unknown_or_malformed_id_is_not_found(staff, paid, key):
    before = dump()
    assert_refused(reverse(staff, key), 404, "transaction_not_found", before)


@pytest.mark.parametrize(
    "body",
    [{"reason": None}, {"reason": ""}, {"reason": "  "}, {"reason": 7.5, "idempotencyKey": ["x"]},
     {"reason": "x" * 501}, {"idempotencyKey": ""}, {"idempotencyKey": "k" * 256}, {"reason": {"$ne": 1}}],
)  # fmt: skip
def test_a_malformed_body_is_refused(staff, paid, body):
    before = dump()
    assert_refused(reverse(staff, paid.pk, **body), 400, "invalid_request", before)


def test_customers_and_staff_without_the_permission_may_not(client_of, new_user, system_user, asha, paid):
    before = dump()
    assert_refused(reverse(client_of(asha.user), paid.pk), 403, "not_staff", before)
    assert_refused(reverse(client_of(asha.user), "xyz"), 403, "not_staff", before)
    assert_refused(reverse(client_of(system_user), paid.pk), 403, "not_staff", before)
    clerk = client_of(new_user(is_staff=True))
    before = dump()
    assert_refused(reverse(clerk, paid.pk), 403, "not_staff", before)


def test_who_is_no_longer_staff_may_not(client_of, new_user, paid):
    client = client_of(new_user(is_superuser=True, is_staff=False))
    before = dump()
    assert_refused(reverse(client, paid.pk), 403, "not_staff", before)


def test_a_reversal_that_could_not_be_logged_is_logged_when_it_is_asked_for_again(staff, paid, fail_command):
    log = f"{database().name}.{AuditEntry._meta.db_table}"
    fail_command("insert", namespace=log, errorCode=14031)
    assert reverse(staff, paid.pk).status_code >= 500
    assert Transaction.objects.get(pk=paid.pk).status == "REVERSED"
    assert AuditEntry.objects.count() == 0
    for _ in range(2):
        assert reverse(staff, paid.pk).status_code == 200
        (entry,) = AuditEntry.objects.all()
    assert (entry.object_pk, entry.reason) == (str(paid.pk), REASON)
    assert entry.changes == {"status": ["COMPLETED", "REVERSED"]}


def test_many_replays_at_once_of_a_reversal_that_could_not_be_logged_log_it_once(
    client_of, new_user, paid, fail_command
):
    someone = new_user(is_staff=True, is_superuser=True)
    fail_command("insert", namespace=f"{database().name}.{AuditEntry._meta.db_table}", errorCode=14031)
    assert reverse(client_of(someone), paid.pk).status_code >= 500
    answers = at_once([partial(reverse, client_of(someone), paid.pk) for _ in range(8)])
    assert {answer.status_code for answer in answers} == {200}
    assert AuditEntry.objects.count() == 1
