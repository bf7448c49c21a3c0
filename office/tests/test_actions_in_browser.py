"""What staff do in the admin, click by click, in a real browser: each walk looks at the page and at the database."""

import re
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.contrib import admin
from django.utils import timezone
from playwright.sync_api import APIResponse, Locator, Page, expect

from accounts.models import Account
from ledger_project.mongo import database
from ledger_project.tests.dumps import dump
from office import rollups
from office.tests.entering import enter
from transactions import alerts, anchors, approvals, ledger, notices
from transactions.invariants import Code, Finding
from transactions.meters import meters
from transactions.models import ApprovalRequest, Transaction
from transactions.posting import Transfer
from transactions.verification import verify
from users import audit, notifications
from users.api_sessions import Device, begin
from users.models import ApiSession, AuditEntry, BlacklistedToken, Notification
from users.tests.api import counts
from users.tokens import issue_token

pytestmark = pytest.mark.slow

ACCOUNTS = "/admin/accounts/account/"
TRANSACTIONS = "/admin/transactions/transaction/"
ENTRIES = "/admin/transactions/entry/"
APPROVALS = "/admin/transactions/approvalrequest/"
USERS = "/admin/users/user/"
NOTIFICATIONS = "/admin/users/notification/"
PASSWORD = "staple wagon harbour"
WHY = "Case 5512"


@pytest.fixture
def boss(new_user):
    return new_user(name="Boss", email="boss@example.com", is_staff=True, is_superuser=True)


@pytest.fixture
def asha(new_user, new_account) -> Account:
    return new_account(new_user(email="asha@example.com"), funds=5000)


@pytest.fixture
def ben(new_user, new_account) -> Account:
    return new_account(new_user(name="Ben", email="ben@example.com"))


def page_of(row: Any) -> str:
    """The address of the row's page."""
    return f"/admin/{row._meta.app_label}/{row._meta.model_name}/{row.pk}/change/"


def pay(payer: Account, payee: Account, amount: int) -> Transaction:
    return ledger.post(Transfer(payer.user_id, payer.pk, payee.pk, Decimal(amount), uuid4().hex)).transaction


def ask(page: Page, button: str) -> Locator:
    """Click the button; the dialog that it opens."""
    page.get_by_role("link", name=button).click()
    dialog = page.locator("#dialog")
    expect(dialog).to_be_visible()
    return dialog


def act(page: Page, button: str, *, says: str, reason: str | None = WHY, submit: str | None = None) -> None:
    """Click the button, give the reason, submit; and see what the page says then."""
    dialog = ask(page, button)
    if reason is not None:
        dialog.get_by_label("Reason").fill(reason)
    dialog.get_by_role("button", name=submit or button).click()
    expect(page.get_by_text(says)).to_be_visible()


def act_on(page: Page, rows: list[Any], action: str, *, submit: str, says: str) -> None:
    """Tick the rows of a list, run the action on them, give the reason."""
    for row in rows:
        page.locator(f'[name="_selected_action"][value="{row.pk}"]').check()
    page.locator('select[name="action"]').select_option(action)
    page.get_by_role("button", name="Run").click()
    page.get_by_label("Reason").fill(WHY)
    page.get_by_role("button", name=submit).click()
    expect(page.get_by_text(says).first).to_be_visible()


def post(page: Page, address: str, **form: str) -> APIResponse:
    """Send a form by hand, in the session of whoever is on the page."""
    token = page.locator("[name=csrfmiddlewaretoken]").first.input_value()
    return page.request.post(address, form={"csrfmiddlewaretoken": token, **form})


def status(row: Any) -> str:
    row.refresh_from_db()
    return row.status


def test_an_account_is_frozen_unfrozen_and_closed_on_its_page(page, boss, asha, ben):
    enter(page, boss)
    page.goto(page_of(ben))
    dialog = ask(page, "Freeze account")
    dialog.get_by_role("button", name="Freeze account").click()
    expect(dialog.get_by_text("This field is required")).to_be_visible()
    assert status(ben) == "ACTIVE"
    dialog.get_by_label("Reason").fill(WHY)
    dialog.get_by_role("button", name="Freeze account").click()
    expect(page.get_by_text("is now FROZEN")).to_be_visible()
    assert status(ben) == "FROZEN"

    page.locator("#content-main").get_by_role("link", name="Audit log").click()
    expect(page.get_by_text(WHY)).to_be_visible()
    page.goto(page_of(ben))
    act(page, "Unfreeze account", says="is now ACTIVE")
    assert status(ben) == "ACTIVE"
    act(page, "Close account", says="is now CLOSED")
    assert status(ben) == "CLOSED"
    expect(page.get_by_role("link", name=re.compile("(Freeze|Unfreeze|Close) account|Request funds"))).to_have_count(0)

    page.goto(page_of(asha))
    act(page, "Close account", says="The account still holds money")
    assert status(asha) == "ACTIVE"


def test_accounts_are_frozen_unfrozen_and_closed_many_at_once(page, boss, asha, ben):
    equity = Account.objects.get(kind=Account.Kind.EQUITY)
    enter(page, boss)
    page.goto(ACCOUNTS)
    act_on(page, [asha, ben], "freeze", submit="Freeze", says="is now FROZEN")
    assert (status(asha), status(ben), status(equity)) == ("FROZEN", "FROZEN", "ACTIVE")
    act_on(page, [asha, ben], "unfreeze", submit="Unfreeze", says="is now ACTIVE")
    assert (status(asha), status(ben)) == ("ACTIVE", "ACTIVE")
    act_on(page, [asha, ben, equity], "close", submit="Close for good", says="is now CLOSED")
    expect(page.get_by_text(f"{asha.pk}: The account still holds money")).to_be_visible()
    expect(page.get_by_text(f"{equity.pk}: The ledger needs its own accounts")).to_be_visible()
    assert (status(asha), status(ben), status(equity)) == ("ACTIVE", "CLOSED", "ACTIVE")
    assert set(AuditEntry.objects.values_list("reason", flat=True)) == {WHY}


def test_the_maker_asks_and_cannot_check_and_a_colleague_decides(page, boss, new_user, asha, ben):
    small, large = pay(asha, ben, 200), pay(asha, ben, 2000)
    enter(page, boss)
    page.goto(page_of(ben))
    dialog = ask(page, "Request funds")
    expect(dialog.get_by_label("Account")).to_have_value(str(ben.pk))
    dialog.get_by_label("Amount").fill("300")
    dialog.get_by_label("Reason").fill(WHY)
    dialog.get_by_role("button", name="Request funds").click()
    expect(page.get_by_text("A colleague has to approve it")).to_be_visible()
    funds = ApprovalRequest.objects.get(account=ben)
    assert (status(funds), funds.amount, funds.requested_by, funds.reason) == ("PENDING", 300, boss, WHY)

    expect(page.get_by_role("link", name=re.compile("Approve|Reject"))).to_have_count(0)
    before = dump("approval_requests", "accounts")
    for button in ("approve_this", "reject_this"):
        answer = post(page, f"{APPROVALS}{funds.pk}/{button}/", reason=WHY, _form_submitted="True")
        assert "Whoever asked for it cannot decide it" in answer.text()
    assert dump("approval_requests", "accounts") == before

    page.goto(page_of(small))
    act(page, "Reverse", submit="Reverse transaction", says="Reversed by REVERSAL")
    assert status(small) == "REVERSED"
    page.goto(page_of(large))
    act(page, "Reverse", submit="Reverse transaction", says="Nothing has moved")
    reversal = ApprovalRequest.objects.get(original=large)
    expect(page).to_have_url(re.compile(page_of(reversal)))
    page.goto(page_of(large))
    page.locator("#content-main").get_by_role("link", name="Pending").click()
    expect(page).to_have_url(re.compile(page_of(reversal)))

    enter(page, new_user(is_staff=True, is_superuser=True))
    page.goto("/admin/")
    page.get_by_role("link", name="2 wait for a decision").click()
    expect(page.locator("#result_list tbody tr")).to_have_count(2)
    page.goto(page_of(funds))
    act(page, "Approve", says="Approved and posted.")
    page.goto(page_of(reversal))
    act(page, "Reject", says="Rejected.")
    assert (status(funds), status(reversal), status(large)) == ("POSTED", "REJECTED", "COMPLETED")
    ben.refresh_from_db()
    assert ben.balance == 2300
    page.goto("/admin/")
    expect(page.get_by_text("Nothing waits for a decision")).to_be_visible()


def test_a_user_is_logged_out_given_a_password_and_disabled(page, boss, new_user):
    user = new_user(name="Ben", email="ben@example.com")
    begin(user=user, device=Device("Ben's phone", "10.1.2.0/24"))
    token = issue_token(user)
    enter(page, boss)
    page.goto(page_of(user))
    expect(page.get_by_text("Ben's phone")).to_be_visible()
    assert counts(token)
    act(page, "Revoke all tokens", says="is logged out everywhere")
    assert not counts(token)
    assert not ApiSession.objects.exists()

    user.refresh_from_db()
    token = issue_token(user)
    page.goto(f"{USERS}{user.pk}/password/")
    for name in ("password1", "password2"):
        page.locator(f"[name={name}]").fill(PASSWORD)
    page.locator("#content-main").get_by_role("button", name="password").click()
    expect(page.get_by_text("Password changed successfully")).to_be_visible()
    user.refresh_from_db()
    assert user.check_password(PASSWORD)
    assert not counts(token)

    token = issue_token(user)
    page.goto(page_of(user))
    page.get_by_label("Is active").uncheck()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("was changed successfully")).to_be_visible()
    user.refresh_from_db()
    assert not user.is_active
    assert not counts(token)

    page.goto(f"/admin/users/auditentry/?q={user.pk}")
    for reason in (WHY, "New password", "Disabled"):
        expect(page.locator("#result_list").get_by_text(reason)).to_be_visible()


def test_a_message_is_looked_at_and_sent_again_and_all_that_failed_are_retried(page, boss, new_user):
    failed = {"status": "FAILED", "attempts": 8, "last_error": "SMTPException"}
    user = new_user(name="Ben", email="ben@example.com")
    rows = [notifications.row(user.pk, Notification.Kind.WELCOME, {}) | failed for _ in range(4)]
    database().notifications.insert_many(rows)
    first, second, *others = (Notification.objects.get(pk=row["_id"]) for row in rows)
    enter(page, boss)
    page.goto(page_of(first))
    message = notifications.message(first)
    expect(page.get_by_text(message.subject).first).to_be_visible()
    expect(page.frame_locator("iframe").get_by_text("Ben").first).to_be_visible()
    act(page, "Send again", says="Queued to be sent again: 1", reason=None)
    assert [status(row) for row in (first, second, *others)] == ["PENDING", "FAILED", "FAILED", "FAILED"]

    page.goto(NOTIFICATIONS)
    page.locator(f'[name="_selected_action"][value="{second.pk}"]').check()
    page.locator('select[name="action"]').select_option("send_again")
    page.get_by_role("button", name="Run").click()
    expect(page.get_by_text("Queued to be sent again: 1")).to_be_visible()
    assert [status(row) for row in (first, second, *others)] == ["PENDING", "PENDING", "FAILED", "FAILED"]
    act(page, "Retry all failed", says="Queued to be sent again: 2", reason=None)
    assert [status(row) for row in others] == ["PENDING", "PENDING"]
    assert AuditEntry.objects.count() == 3


def test_what_was_posted_is_read_only_on_every_page_and_to_every_form_sent_by_hand(page, boss, asha, ben):
    transaction = pay(asha, ben, 5)
    rows = {TRANSACTIONS: transaction.pk, ENTRIES: transaction.debit_entry}
    before = dump("transactions", "entries")
    enter(page, boss)
    for address, key in rows.items():
        page.goto(address)
        expect(page.get_by_role("link", name=re.compile("^Add "))).to_have_count(0)
        expect(page.locator('select[name="action"]')).to_have_count(0)
        page.goto(f"{address}{key}/change/")
        main = page.locator("#content-main")
        expect(main).to_contain_text("5.00")
        expect(main.get_by_role("button", name=re.compile("Save"))).to_have_count(0)
        expect(page.get_by_role("link", name="Delete")).to_have_count(0)
        expect(main.locator("input:not([type=hidden]), select, textarea")).to_have_count(0)
        for way in ("add/", f"{key}/change/", f"{key}/delete/"):
            assert (
                post(page, address + way, amount_minor="1", status="REVERSED", post="yes", _save="Save").status == 403
            )
        post(page, address, action="delete_selected", _selected_action=str(key), index="0", post="yes")
    assert dump("transactions", "entries") == before


def fill_every_list(boss: Any, payer: Account, payee: Account) -> None:
    """Leave a row in each list of the admin."""
    pay(payer, payee, 5)
    notices.write_due(limit=10)
    approvals.request_funds(staff=boss, account_id=payee.pk, amount=Decimal(1), reason=WHY)
    expires_at = timezone.now() + timedelta(days=1)
    BlacklistedToken.objects.create(jti=uuid4().hex, user=payer.user, expires_at=expires_at)
    boss.groups.create(name="Night shift")
    verify()
    anchors.take_anchor()
    meters.flush()
    rollups.count_heads()
    rollups.roll_up_movements(seconds=60, now=timezone.now() + timedelta(hours=1))
    audit.record_by_system(payee, {"name": ("", "Ben")}, reason=WHY)
    alerts.record([alerts.Found(None, Finding(Code.SUM_NOT_ZERO, "INR", "not zero"))], timezone.now())


def test_every_list_and_a_page_of_each_opens(page, boss, asha, ben):
    fill_every_list(boss, asha, ben)
    enter(page, boss)
    for model in admin.site._registry:
        address = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        page.goto(address)
        page.locator("#result_list tbody tr th a").first.click()
        expect(page).to_have_url(re.compile(f"{address}.+/change/"))
        expect(page.locator(f"#{model._meta.model_name}_form")).to_be_visible()
