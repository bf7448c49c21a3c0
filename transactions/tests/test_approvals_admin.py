"""The staff's pages for reversals and approvals: asked for on one page, decided on another, by two."""

from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from bson import ObjectId
from django.contrib.auth.models import Permission
from django.test import Client

from accounts.models import Account
from accounts.opening import set_status
from ledger_project.tests.dumps import dump
from transactions import ledger
from transactions.models import ApprovalRequest, Transaction
from transactions.posting import Transfer
from users.models import AuditEntry
from users.tests.browsing import browser, cheap, ids, said

TRANSACTIONS = "/admin/transactions/transaction/"
APPROVALS = "/admin/transactions/approvalrequest/"
WHY = {"reason": "Case 5512", "_form_submitted": "True"}


@pytest.fixture
def root(new_user) -> Client:
    return browser(new_user(is_staff=True, is_superuser=True, email="root@example.com"))


@pytest.fixture
def colleague(new_user) -> Client:
    return browser(new_user(is_staff=True, is_superuser=True, email="colleague@example.com"))


@pytest.fixture
def asha(new_user, new_account) -> Account:
    """Her account, with 5000."""
    return new_account(new_user(), funds=5000)


@pytest.fixture
def ben(new_user, new_account) -> Account:
    """His account, with nothing."""
    return new_account(new_user())


@pytest.fixture
def pay(asha, ben) -> Any:
    """Let Asha pay Ben."""
    return lambda amount: ledger.post(Transfer(asha.user_id, asha.pk, ben.pk, Decimal(amount), uuid4().hex)).transaction


@pytest.fixture
def funds(root, ben) -> ApprovalRequest:
    """What the superuser asked for: 300 for Ben."""
    root.post(f"{APPROVALS}request_funds/", asked(ben))
    return ApprovalRequest.objects.get(account=ben)


def asked(payee: Account, **fields: Any) -> dict[str, Any]:
    return WHY | {"account": str(payee.pk), "amount": "300", "request_id": str(ObjectId())} | fields


def balance(account: Account) -> Decimal:
    return Account.objects.get(pk=account.pk).balance


def test_a_small_transaction_is_reversed_from_its_page(root, pay, asha, ben) -> None:
    paid = pay(200)
    page = f"{TRANSACTIONS}{paid.pk}/"
    assert "reverse_this" in root.get(f"{page}change/").content.decode()
    assert "once" in root.get(f"{page}reverse_this/").content.decode()
    assert balance(ben) == 200
    answer = root.post(f"{page}reverse_this/", WHY, follow=True)
    assert "Reversed by" in said(answer)
    reversal = Transaction.objects.get(reverses=paid.pk)
    for mine, other in ((paid, reversal), (reversal, paid)):
        shown = cheap(root, f"{TRANSACTIONS}{mine.pk}/change/").content.decode()
        assert f"{TRANSACTIONS}{other.pk}/change/" in shown
        assert "reverse_this" not in shown
    assert "Case 5512" in shown or "Case 5512" in root.get(f"{TRANSACTIONS}{reversal.pk}/change/").content.decode()
    assert (balance(asha), balance(ben)) == (5000, 0)


def test_every_reversal_is_in_the_audit_log(root, pay) -> None:
    paid = pay(200)
    root.post(f"{TRANSACTIONS}{paid.pk}/reverse_this/", WHY, REMOTE_ADDR="10.1.2.3")
    (entry,) = AuditEntry.objects.all()
    assert (entry.object_pk, entry.actor_email, entry.reason) == (str(paid.pk), "root@example.com", "Case 5512")
    assert (entry.changes, entry.remote_addr) == ({"status": ["COMPLETED", "REVERSED"]}, "10.1.2.3")


def test_reversing_twice_from_the_page_reverses_once(root, colleague, pay, asha) -> None:
    paid = pay(200)
    for client in (root, root, colleague):
        client.post(f"{TRANSACTIONS}{paid.pk}/reverse_this/", WHY)
    assert Transaction.objects.filter(kind="REVERSAL").count() == 1
    assert balance(asha) == 5000
    assert AuditEntry.objects.count() == 1


def test_a_refusal_is_said_on_the_page(root, pay, ben) -> None:
    paid = pay(200)
    set_status(account_id=ben.pk, status=Account.Status.FROZEN)
    before = dump()
    assert "ACTIVE" in said(root.post(f"{TRANSACTIONS}{paid.pk}/reverse_this/", WHY, follow=True))
    assert dump() == before


def test_a_reversal_needs_a_reason(root, pay) -> None:
    paid = pay(200)
    before = dump()
    for form in ({}, {"_form_submitted": "True"}, WHY | {"reason": " "}, WHY | {"reason": "x" * 501}):
        assert root.post(f"{TRANSACTIONS}{paid.pk}/reverse_this/", form).status_code == 200
    assert dump() == before


@pytest.mark.parametrize("key", ["xyz", "0" * 24, "%00"])
def test_buttons_of_nothing_are_no_error(root, key: str) -> None:
    assert root.post(f"{TRANSACTIONS}{key}/reverse_this/", WHY).status_code == 302
    for button in ("approve_this", "reject_this"):
        assert root.post(f"{APPROVALS}{key}/{button}/", WHY).status_code == 302


def test_a_large_one_waits_for_a_colleague_who_reverses_it(root, colleague, pay, asha) -> None:
    paid = pay(2000)
    answer = root.post(f"{TRANSACTIONS}{paid.pk}/reverse_this/", WHY)
    request = ApprovalRequest.objects.get()
    assert answer["Location"] == f"{APPROVALS}{request.pk}/change/"
    assert balance(asha) == 3000
    told = said(colleague.post(f"{APPROVALS}{request.pk}/approve_this/", WHY, follow=True))
    assert "Approved and posted" in told
    assert balance(asha) == 5000


def test_funds_are_asked_for_by_one_and_issued_by_another(root, colleague, funds, ben) -> None:
    assert (funds.status, funds.requested_by.email, balance(ben)) == ("PENDING", "root@example.com", 0)
    colleague.post(f"{APPROVALS}{funds.pk}/approve_this/", WHY)
    funds.refresh_from_db()
    assert (funds.status, funds.decided_by.email, balance(ben)) == ("POSTED", "colleague@example.com", 300)
    page = cheap(root, f"{APPROVALS}{funds.pk}/change/").content.decode()
    assert f"{TRANSACTIONS}{funds.transaction_id}/change/" in page
    assert [(e.actor_email, e.changes["status"]) for e in AuditEntry.objects.order_by("pk")] == [
        ("root@example.com", ["None", "PENDING"]),
        ("colleague@example.com", ["PENDING", "APPROVED"]),
    ]


def test_a_transactions_page_leads_to_the_open_request_to_reverse_it(root, colleague, new_user, pay) -> None:
    paid, other = pay(2000), pay(2000)
    root.post(f"{TRANSACTIONS}{paid.pk}/reverse_this/", WHY)
    request = ApprovalRequest.objects.get()
    way = f"{APPROVALS}{request.pk}/change/"
    assert way in cheap(root, f"{TRANSACTIONS}{paid.pk}/change/").content.decode()
    assert "reversal requested" not in root.get(f"{TRANSACTIONS}{other.pk}/change/").content.decode().lower()
    without = browser(new_user(is_staff=True), "transactions.view_transaction")
    assert way not in without.get(f"{TRANSACTIONS}{paid.pk}/change/").content.decode()
    colleague.post(f"{APPROVALS}{request.pk}/reject_this/", WHY)
    assert way not in root.get(f"{TRANSACTIONS}{paid.pk}/change/").content.decode()


def test_the_form_for_funds_has_the_account_that_the_address_names(root, ben) -> None:
    page = root.get(f"{APPROVALS}request_funds/?account={ben.pk}").content.decode()
    assert f'value="{ben.pk}"' in page
    assert "&lt;b&gt;" in root.get(f"{APPROVALS}request_funds/?account=<b>").content.decode()
    assert 'value="None"' not in root.get(f"{APPROVALS}request_funds/").content.decode()


@pytest.mark.parametrize("button", ["approve_this", "reject_this"])
def test_a_maker_sees_no_button_and_a_hand_made_post_is_refused(root, colleague, funds, button: str) -> None:
    address = f"{APPROVALS}{funds.pk}/{button}/"
    assert button not in root.get(f"{APPROVALS}{funds.pk}/change/").content.decode()
    assert button in colleague.get(f"{APPROVALS}{funds.pk}/change/").content.decode()
    before = dump()
    assert "cannot decide" in said(root.post(address, WHY, follow=True))
    root.post(address, WHY | {"decided_by": str(ObjectId()), "requested_by": str(ObjectId())})
    assert dump() == before


def test_what_was_decided_has_no_button_and_is_not_decided_again(colleague, root, funds, new_user) -> None:
    colleague.post(f"{APPROVALS}{funds.pk}/reject_this/", WHY)
    third = browser(new_user(is_staff=True, is_superuser=True))
    assert "approve_this" not in third.get(f"{APPROVALS}{funds.pk}/change/").content.decode()
    before = dump()
    assert "already been decided" in said(third.post(f"{APPROVALS}{funds.pk}/approve_this/", WHY, follow=True))
    assert dump() == before


@pytest.mark.parametrize(
    "wrong",
    [{"account": "xyz"}, {"account": ""}, {"amount": "-1"}, {"amount": "NaN"}, {"amount": "1e400"}, {"amount": ""},
     {"reason": ""}, {"request_id": "xyz"}, {"account": "\0" * 24}],
)  # fmt: skip
def test_a_form_for_funds_that_makes_no_sense_is_shown_again(root, ben, wrong: dict) -> None:
    before = dump()
    assert root.post(f"{APPROVALS}request_funds/", asked(ben, **wrong)).status_code == 200
    assert dump() == before


@pytest.mark.parametrize("wrong", [{"amount": "0.001"}, {"account": "0" * 24}])
def test_funds_that_cannot_be_are_refused_in_a_message(root, ben, wrong: dict) -> None:
    before = dump()
    assert said(root.post(f"{APPROVALS}request_funds/", asked(ben, **wrong), follow=True))
    assert dump() == before


def test_a_form_that_is_sent_twice_asks_once(root, ben) -> None:
    form = asked(ben)
    for _ in range(2):
        root.post(f"{APPROVALS}request_funds/", form)
    assert ApprovalRequest.objects.count() == 1
    assert AuditEntry.objects.count() == 1


def test_each_button_needs_its_permission(new_user, funds, pay, ben) -> None:
    paid = pay(1)
    viewer = browser(new_user(is_staff=True), "transactions.view_approvalrequest", "transactions.view_transaction")
    before = dump()
    page = viewer.get(f"{APPROVALS}{funds.pk}/change/").content.decode()
    assert "approve_this" not in page
    assert "request_funds" not in viewer.get(APPROVALS).content.decode()
    for address, form in (
        (f"{APPROVALS}{funds.pk}/approve_this/", WHY),
        (f"{APPROVALS}{funds.pk}/reject_this/", WHY),
        (f"{APPROVALS}request_funds/", asked(ben)),
        (f"{TRANSACTIONS}{paid.pk}/reverse_this/", WHY),
    ):
        assert viewer.post(address, form).status_code == 403
    assert dump() == before


def test_who_holds_only_the_one_permission_does_only_that(new_user, funds, ben) -> None:
    checker = new_user(is_staff=True)
    checker.user_permissions.add(Permission.objects.get(codename="decide_approvalrequest"))
    client = browser(checker, "transactions.view_approvalrequest")
    assert client.post(f"{APPROVALS}request_funds/", asked(ben)).status_code == 403
    client.post(f"{APPROVALS}{funds.pk}/approve_this/", WHY)
    assert balance(ben) == 300


def test_requests_are_found_by_all_that_names_them(root, colleague, funds, pay, ben) -> None:
    paid = pay(2000)
    root.post(f"{TRANSACTIONS}{paid.pk}/reverse_this/", WHY)
    reversal = ApprovalRequest.objects.get(kind="REVERSAL")
    assert ids(root.get(APPROVALS)) == [reversal.pk, funds.pk]
    assert ids(root.get(f"{APPROVALS}?q={paid.pk}")) == [reversal.pk]
    assert ids(root.get(f"{APPROVALS}?q={ben.pk}")) == [funds.pk]
    assert ids(root.get(f"{APPROVALS}?q=root@example.com")) == [reversal.pk, funds.pk]
    assert ids(root.get(f"{APPROVALS}?kind__exact=FUNDS&status__exact=PENDING")) == [funds.pk]
    assert ids(root.get(f"{APPROVALS}?q=nobody@example.com")) == []


@pytest.mark.parametrize("page", ["add/", "{key}/change/", "{key}/delete/"])
def test_not_even_a_superuser_edits_a_request(root, funds, page: str) -> None:
    before = dump()
    form = {"status": "APPROVED", "amount_minor": "1", "post": "yes", "_save": "Save"}
    assert root.post(APPROVALS + page.format(key=funds.pk), form).status_code == 403
    root.post(
        APPROVALS, {"action": "delete_selected", "_selected_action": [str(funds.pk)], "index": "0", "post": "yes"}
    )
    assert dump() == before
