"""The console from logging in to logging out, and what it shows when there is nothing, no answer, or no network."""

import json
import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from playwright.sync_api import Page, Route, expect

from accounts.models import Account
from ledger_project.tests.console import PASSWORD, fill_in, log_in
from transactions import account_history, ledger
from transactions.models import Entry, Transaction
from transactions.posting import Reversal, Transfer
from transactions.reversing import reverse
from transactions.tests.test_statement import stored_account
from users.models import User
from users.tests.waiting import wait_until


@pytest.fixture
def asha(new_user: Callable[..., Any]) -> Any:
    return new_user(name="Asha", password=PASSWORD)


@pytest.fixture
def account(asha: Any, new_account: Callable[..., Account]) -> Account:
    return new_account(asha, funds=1000, name="Everyday")


@pytest.fixture
def pay(asha: Any, account: Account, new_user: Callable[..., Any], new_account: Callable[..., Account]):
    """Pay amounts from Asha's account, one transaction each."""
    payee = new_account(new_user(name="Ben"))

    def paid(*amounts: int) -> None:
        ledger.post_together([Transfer(asha.pk, account.pk, payee.pk, Decimal(a), uuid4().hex) for a in amounts])

    return paid


def rows(page: Page) -> list[str]:
    """The amounts of the statement."""
    amounts = page.locator("#statement-rows tr:not(.day) td:nth-child(3)").all_inner_texts()
    return [amount.replace("\N{MINUS SIGN}", "-") for amount in amounts]


def open_statement(page: Page, account: Account) -> None:
    page.get_by_role("link", name="Everyday").click()
    expect(page.locator(".balance.large")).to_be_visible()


def test_a_customer_registers_opens_an_account_and_logs_out(page: Page):
    page.goto("/console/")
    page.get_by_role("tab", name="Register").click()
    page.locator("#register-name").fill("Asha Rao")
    page.locator("#register-email").fill("asha@example.com")
    page.locator("#register-password").fill(PASSWORD)
    page.locator("#panel-register button").click()
    expect(page.get_by_role("heading", name="No account yet")).to_be_visible()

    page.get_by_role("button", name="Open your first account").click()
    page.get_by_role("dialog").get_by_label("Name").fill("Savings")
    page.get_by_role("dialog").get_by_label("Currency").fill("eur")
    page.get_by_role("button", name="Open it").click()
    expect(page.get_by_role("link", name="Savings")).to_be_visible()
    expect(page.locator(".account")).to_contain_text("€0.00")
    opened = Account.objects.get(user=User.objects.get(email="asha@example.com").pk)
    assert (opened.name, opened.currency) == ("Savings", "EUR")

    page.get_by_role("navigation").get_by_role("link", name="Profile").click()
    expect(page.locator("#profile-body")).to_contain_text("asha@example.com")
    token = json.loads(page.evaluate("sessionStorage.getItem('ledger.session')"))["token"]
    page.get_by_role("button", name="Log out", exact=True).click()
    expect(page.get_by_role("heading", name="Your money, entry by entry")).to_be_visible()
    assert page.evaluate("sessionStorage.getItem('ledger.session')") is None
    refused = page.request.get("/api/auth/me", headers={"Authorization": f"Bearer {token}"})
    assert refused.status == 401


def test_a_wrong_password_is_told_and_lets_nobody_in(page: Page, asha: Any):
    page.expected = ["401"]
    page.goto("/console/")
    page.get_by_label("E-mail").first.fill(asha.email)
    page.get_by_label("Password").first.fill("not-hers-at-all")
    page.locator("#panel-login button").click()
    expect(page.get_by_role("alert")).to_contain_text("Email or password is INVALID")
    assert page.evaluate("sessionStorage.length") == 0


def test_what_is_wrong_with_a_registration_is_said_beside_its_field(page: Page):
    page.expected = ["400"]
    page.goto("/console/")
    page.get_by_role("tab", name="Register").click()
    page.locator("#register-name").fill("Asha")
    page.locator("#register-email").fill("asha@example.com")
    page.locator("#register-password").fill("password1")
    page.locator("#panel-register button").click()
    expect(page.locator("#register-password-wrong")).to_contain_text("too common")
    expect(page.locator("#register-password")).to_be_focused()
    assert not User.objects.filter(email="asha@example.com").exists()


def test_an_account_shows_its_balance_its_chart_and_the_entries_behind_them(
    page: Page, asha: Any, account: Account, pay
):
    pay(100, 50)
    log_in(page, asha)
    expect(page.locator(".account .sparkline")).to_be_visible()
    open_statement(page, account)
    expect(page.locator(".balance.large")).to_have_text("₹850.00")
    in_words = re.compile("from ₹0.00 .* to ₹850.00")
    expect(page.get_by_role("img", name=in_words)).to_be_visible()
    assert page.locator(".scale span").all_inner_texts() == ["₹1,000.00", "₹500.00", "₹0.00"]
    expect(page.locator("#statement-foot")).to_contain_text("That is all.")
    assert rows(page) == ["-₹50.00", "-₹100.00", "+₹1,000.00"]
    assert page.locator("#statement-rows .after").all_inner_texts() == ["₹850.00", "₹900.00", "₹1,000.00"]

    page.locator("#statement-rows .link").first.click()
    receipt = page.get_by_role("dialog")
    expect(receipt).to_contain_text("₹50.00")
    mine = Entry.objects.get(account=account.pk, sequence=3)
    expect(receipt).to_contain_text(mine.hash[:16])
    receipt.get_by_role("button", name="Close").click()
    expect(receipt).to_be_hidden()


def test_a_dialog_goes_with_its_view_and_with_the_session(page: Page, asha: Any, account: Account):
    page.expected = ["401"]
    log_in(page, asha)
    open_statement(page, account)
    page.locator("#statement-rows .link").first.click()
    expect(page.get_by_role("dialog")).to_contain_text("₹1,000.00")
    page.go_back()
    expect(page.get_by_role("heading", name="Accounts")).to_be_visible()
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page.locator("#receipt")).to_be_empty()

    page.get_by_role("button", name="Open an account").click()
    User.objects.filter(pk=asha.pk).update(is_active=False)
    page.get_by_role("button", name="Open it").click()
    expect(page.get_by_text("Your session has ended.")).to_be_visible()
    expect(page.get_by_role("dialog")).to_be_hidden()


@pytest.mark.slow
def test_a_reversal_says_so_and_leads_to_what_it_reversed(page: Page, asha: Any, account: Account, pay):
    pay(100)
    original = Transaction.objects.get(from_account=account)
    staff = User.objects.create_superuser(email="staff@example.com", name="Staff", password=None)
    reverse(staff=staff, reversal=Reversal(staff.pk, original.pk, "Complaint of a neighbour", "case-5512"))
    log_in(page, asha)
    open_statement(page, account)
    expect(page.locator("#statement-rows tr:not(.day)")).to_have_count(3)
    marked = page.locator("#statement-rows tr", has_text="Reversal")
    expect(marked).to_have_count(1)
    expect(marked).to_contain_text("+₹100.00")

    marked.get_by_role("button").click()
    receipt = page.get_by_role("dialog")
    expect(receipt.get_by_role("heading", name="Reversal")).to_be_visible()
    expect(receipt).to_contain_text("moved back the money of an earlier payment")
    receipt.get_by_role("button", name=str(original.pk)).click()
    expect(receipt.get_by_role("heading", name="Payment")).to_be_focused()
    expect(receipt).to_contain_text("This payment was reversed")
    original.refresh_from_db()
    receipt.get_by_role("button", name=str(original.reversed_by)).click()
    expect(receipt.get_by_role("heading", name="Reversal")).to_be_focused()
    said = page.locator("body").inner_text()
    assert "neighbour" not in said
    assert "case-5512" not in said

    receipt.get_by_role("button", name="Close").click()
    page.get_by_label("At least").fill("1")
    page.get_by_label("At least").blur()
    expect(page.locator("#statement.without-balance tr", has_text="Reversal")).to_have_count(1)


@pytest.mark.slow
def test_a_long_statement_goes_on_as_one_scrolls(page: Page, asha: Any, account: Account, pay):
    pay(*[1] * 120)
    log_in(page, asha)
    open_statement(page, account)
    expect(page.locator("#statement-rows tr:not(.day)").nth(49)).to_be_attached()
    assert len(rows(page)) < 121
    wait_until(lambda: page.mouse.wheel(0, 4000) or page.get_by_text("That is all.").count())
    assert len(rows(page)) == 121
    assert rows(page)[-1] == "+₹1,000.00"


def test_the_statement_is_narrowed_down_by_direction_amount_and_period(page: Page, asha: Any, account: Account, pay):
    pay(5, 20, 300)
    log_in(page, asha)
    open_statement(page, account)
    expect(page.locator("#statement-rows tr:not(.day)")).to_have_count(4)
    page.get_by_label("Show").select_option("Money out")
    expect(page.locator("#statement-rows tr:not(.day)")).to_have_count(3)
    page.get_by_label("At least").fill("20")
    page.get_by_label("At least").blur()
    expect(page.locator("#statement-rows tr:not(.day)")).to_have_count(2)
    assert rows(page) == ["-₹300.00", "-₹20.00"]
    page.get_by_label("At least").fill("1,000")
    page.get_by_label("At least").blur()
    expect(page.locator("#filter-least-wrong")).to_contain_text("a point for decimals")
    expect(page.get_by_label("At least")).not_to_be_focused()
    assert rows(page) == ["-₹300.00", "-₹20.00"]
    page.get_by_label("At least").fill("20")
    page.locator("#filter-to").fill("2001-01-01")
    page.locator("#filter-to").blur()
    expect(page.get_by_text("No entry is like that.")).to_be_visible()
    page.get_by_role("button", name="Clear").click()
    expect(page.locator("#statement-rows tr:not(.day)")).to_have_count(4)


@pytest.mark.slow
def test_a_filter_that_little_fits_looks_so_far_and_no_further_until_told(page: Page, asha: Any, account: Account, pay):
    pay(*[1] * 520)
    log_in(page, asha)
    open_statement(page, account)
    page.get_by_label("Show").select_option("Money in")
    page.get_by_role("button", name="Look further back").click()
    expect(page.locator("#statement-rows tr:not(.day)")).to_have_count(1)
    assert rows(page) == ["+₹1,000.00"]


@pytest.mark.parametrize(
    ("file_format", "begins"), [("csv", b"\xef\xbb\xbfaccount,"), pytest.param("pdf", b"%PDF-", marks=pytest.mark.slow)]
)
def test_the_statement_is_downloaded_as_a_file(
    page: Page, asha: Any, account: Account, pay, tmp_path: Path, file_format: str, begins: bytes
):
    pay(100, 50)
    log_in(page, asha)
    open_statement(page, account)
    page.get_by_role("button", name="Download").click()
    page.get_by_label("As", exact=True).select_option(file_format)
    with page.expect_download() as started:
        page.get_by_role("button", name="Save it").click()
    assert started.value.suggested_filename == f"statement-{account.pk}.{file_format}"
    saved = tmp_path / "statement"
    started.value.save_as(saved)
    assert saved.read_bytes().startswith(begins)
    if file_format == "csv":
        written = saved.read_text()
        assert all(entry.hash in written for entry in Entry.objects.filter(account=account.pk))
    expect(page.get_by_role("dialog")).to_be_hidden()


def test_a_period_that_ends_before_it_begins_is_refused_where_it_was_asked(page: Page, asha: Any, account: Account):
    page.expected = ["400"]
    log_in(page, asha)
    open_statement(page, account)
    page.get_by_role("button", name="Download").click()
    page.get_by_role("dialog").get_by_label("From", exact=True).fill("2026-02-02")
    page.get_by_role("dialog").get_by_label("To", exact=True).fill("2026-01-01")
    page.get_by_role("button", name="Save it").click()
    expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text("ends before it begins")


@pytest.mark.slow
def test_a_period_that_is_too_long_is_cut_where_the_ledger_says(
    page: Page, asha: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setattr(account_history, "MAX_ENTRIES", 4)
    page.expected = ["400"]
    busy = stored_account(asha)
    log_in(page, asha)
    page.goto(f"/console/#/accounts/{busy.pk}")
    page.get_by_role("button", name="Download").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("To, before")).to_be_hidden()
    dialog.get_by_label("As", exact=True).select_option("csv")
    dialog.get_by_role("button", name="Save it").click()
    expect(dialog.get_by_role("alert")).to_contain_text("This period has 10 entries")
    expect(dialog.get_by_role("alert")).not_to_contain_text("2026-01-14T")  # in the reader's own words instead
    expect(dialog.get_by_label("To", exact=True)).to_have_value("2026-01-14")
    expect(dialog.get_by_label("To, before")).not_to_have_value("")
    dialog.get_by_label("From, at").fill("12:00:00")
    dialog.get_by_role("button", name="Save it").click()
    expect(dialog.get_by_text("Of which day is that time?")).to_be_visible()
    dialog.get_by_label("From, at").fill("")
    with page.expect_download() as started:
        dialog.get_by_role("button", name="Save it").click()
    started.value.save_as(tmp_path / "statement")
    assert "closing balance,10\r\n" in (tmp_path / "statement").read_bytes().decode()  # of 1, 2, 3 and 4


def test_an_account_without_entries_says_so(page: Page, asha: Any, new_account: Callable[..., Account]):
    new_account(asha, name="Everyday")
    log_in(page, asha)
    expect(page.get_by_text("No movement yet")).to_be_visible()
    page.get_by_role("link", name="Everyday").click()
    expect(page.get_by_text("Nothing has moved on this account yet.")).to_be_visible()


@pytest.mark.slow
def test_while_it_loads_it_says_so_and_after_a_failure_one_may_try_again(page: Page, asha: Any, account: Account):
    page.expected = ["503"]
    log_in(page, asha)
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/api/accounts/?*", hold)
    with page.expect_request("**/api/accounts/?*"):
        page.reload()
    expect(page.locator("#account-list .skeleton").first).to_be_visible()
    expect(page.locator("#account-list")).to_have_attribute("aria-busy", "true")
    held[0].fulfill(status=503, json={"code": "unavailable", "message": "Come back later.", "retryable": True})
    expect(page.get_by_role("alert").filter(has_text="Come back later.")).to_be_visible()
    page.unroute("**/api/accounts/?*")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("link", name="Everyday")).to_be_visible()


@pytest.mark.slow
def test_a_statement_that_breaks_off_is_taken_up_where_it_was(page: Page, asha: Any, account: Account, pay):
    page.expected = ["ERR_FAILED"]
    pay(*[1] * 60)
    log_in(page, asha)
    page.route("**/entries?*cursor=*", lambda route: route.abort())
    open_statement(page, account)
    page.get_by_role("button", name="Show more").click()
    expect(page.get_by_text("The statement could not be read on.")).to_be_visible()
    page.unroute("**/entries?*cursor=*")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("#statement-rows tr:not(.day)")).to_have_count(61)


@pytest.mark.slow
def test_offline_it_says_so_and_goes_on_when_the_network_is_back(page: Page, asha: Any, account: Account):
    page.expected = ["ERR_INTERNET_DISCONNECTED"]
    log_in(page, asha)
    page.context.set_offline(True)
    expect(page.locator("#offline")).to_be_visible()
    page.get_by_role("link", name="Everyday").click()
    expect(page.get_by_role("alert").filter(has_text="You are offline.")).to_be_visible()
    page.context.set_offline(False)
    expect(page.locator("#offline")).to_be_hidden()
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(".balance.large")).to_have_text("₹1,000.00")


def test_an_account_that_is_not_yours_is_not_there(
    page: Page, asha: Any, new_user: Callable[..., Any], new_account: Callable[..., Account]
):
    page.expected = ["404"]
    others = new_account(new_user(), funds=777)
    log_in(page, asha)
    page.goto(f"/console/#/accounts/{others.pk}")
    expect(page.get_by_role("alert").filter(has_text="Account not found")).to_be_visible()
    assert "777" not in page.locator("main").inner_text()


@pytest.mark.slow
def test_a_session_that_was_ended_elsewhere_leads_back_to_the_door(page: Page, asha: Any, account: Account):
    page.expected = ["401"]
    log_in(page, asha)
    expect(page.locator(".sparkline")).to_be_visible()
    User.objects.filter(pk=asha.pk).update(is_active=False)
    page.get_by_role("navigation").get_by_role("link", name="Profile").click()
    expect(page.get_by_text("Your session has ended.")).to_be_visible()
    expect(page.get_by_role("button", name="Log out", exact=True)).to_be_hidden()
    assert page.evaluate("sessionStorage.getItem('ledger.session')") is None


@pytest.mark.slow
def test_logging_out_without_a_network_forgets_the_token_and_says_what_it_could_not_do(
    page: Page, asha: Any, account: Account
):
    page.expected = ["ERR_FAILED"]
    log_in(page, asha)
    page.get_by_role("navigation").get_by_role("link", name="Profile").click()
    expect(page.locator("#profile-body")).to_contain_text(asha.email)
    page.route("**/api/auth/logout", lambda route: route.abort())
    page.get_by_role("button", name="Log out", exact=True).click()
    expect(page.get_by_text("the ledger could not be told")).to_be_visible()
    assert "#" not in page.url
    assert page.evaluate("sessionStorage.getItem('ledger.session')") is None


def test_a_frozen_account_is_marked_and_cannot_be_sent_from(
    page: Page, asha: Any, account: Account, new_account: Callable[..., Account]
):
    new_account(asha, name="Savings")
    Account.objects.filter(pk=account.pk).update(status=Account.Status.FROZEN)
    log_in(page, asha)
    expect(page.locator(".account", has_text="Everyday")).to_contain_text("frozen")
    open_statement(page, account)
    expect(page.get_by_role("main").get_by_role("link", name="Send money")).to_have_count(0)
    page.get_by_role("navigation").get_by_role("link", name="Send money").click()
    expect(page.get_by_label("From").locator("option")).to_have_count(1)


def test_a_visitor_enters_the_demo_with_one_click(page: Page, settings: Any):
    settings.DEMO = True
    page.goto("/console/")
    page.get_by_role("button", name="Enter as Asha, with money").click()
    expect(page.locator(".account")).to_contain_text("₹1,000.00")
    page.get_by_role("navigation").get_by_role("link", name="Send money").click()
    page.get_by_role("button", name="Ben, Everyday").click()
    ben = Account.objects.get(balance_minor=25000)
    expect(page.get_by_label("To account")).to_have_value(str(ben.pk))


def test_a_late_no_to_the_one_before_does_not_end_the_session_of_the_next(
    page: Page, asha: Any, account: Account, new_user: Callable[..., Any]
):
    ben = new_user(name="Ben", password=PASSWORD)
    page.expected = ["401"]  # type: ignore[attr-defined]
    held: list[Route] = []
    page.route("**/history?*", lambda route: held.append(route))  # noqa: PLW0108  (Playwright cannot wrap a built-in)
    log_in(page, asha)
    wait_until(lambda: page.wait_for_timeout(20) or held)  # Playwright hands over only while it is asked something
    page.get_by_role("button", name="Log out", exact=True).click()
    fill_in(page, ben)
    expect(page.locator("#who")).to_have_text("Ben")

    with page.expect_response("**/history?*"):
        held[0].fulfill(status=401, json={"code": "token_revoked", "message": "Unauthorized access, token is revoked"})
    page.get_by_role("navigation").get_by_role("link", name="Profile").click()
    expect(page.get_by_text(ben.email)).to_be_visible()
    expect(page.locator("#who")).to_have_text("Ben")


def test_a_young_account_shows_each_entry_beside_the_one_before(page: Page, asha: Any, account: Account, pay):
    pay(100, 200)
    log_in(page, asha)
    open_statement(page, account)
    drawn = page.locator(".chart path.line").get_attribute("d") or ""
    assert re.findall(r"H([0-9.]+)", drawn) == ["180.0", "360.0", "540.0", "720.0"]
