"""The page of an account in the admin, what finds it, and its statement."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from playwright.sync_api import expect

from accounts.models import Account
from accounts.opening import set_status
from ledger_project.mongo import database
from office.tests.entering import enter
from transactions import account_history, ledger
from transactions.posting import Transfer
from transactions.tests.test_statement import stored_account
from users.models import AuditEntry
from users.tests.browsing import browser, cheap, ids, said

LIST = "/admin/accounts/account/"


@pytest.fixture
def boss(new_user):
    return new_user(is_staff=True, is_superuser=True)


@pytest.fixture
def account(new_user, new_account):
    payer = new_account(new_user(name="Asha Rao", email="asha@example.com"), funds=1000)
    payee = new_account(new_user())
    ledger.post(Transfer(payer.user_id, payer.pk, payee.pk, Decimal("250.50"), uuid4().hex))
    payer.refresh_from_db()
    return payer


def page_of(account):
    return f"{LIST}{account.pk}/change/"


def statement_of(account, query=""):
    return f"{LIST}{account.pk}/statement/{query}"


def test_the_page_shows_balance_owner_course_and_latest_entries(page, boss, account):
    enter(page, boss)
    page.goto(page_of(account))

    glance = page.get_by_label("At a glance")
    expect(glance).to_contain_text("749.50 INR")
    expect(glance.get_by_role("link", name="Asha Rao")).to_be_visible()
    expect(glance.locator("canvas")).to_be_visible()
    points = json.loads(glance.locator("canvas").get_attribute("data-chart"))["values"]
    assert [point["y"] for point in points] == [0, 1000, 749.5, 749.5]
    expect(page.locator("#submit-row")).to_have_count(0)  # there is nothing to save, and it would lie over the entries
    expect(page.get_by_text("250.50").first).to_be_visible()


def test_the_chart_is_drawn(page, boss, account):
    enter(page, boss)
    page.goto(page_of(account))
    drawn = (
        """canvas => new Set(canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data).size > 5"""
    )
    page.locator("canvas").wait_for()

    page.wait_for_function(f"({drawn})(document.querySelector('canvas'))")


@pytest.mark.parametrize("kind", ["PDF", pytest.param("CSV", marks=pytest.mark.slow)])
def test_a_statement_is_one_click(page, boss, account, kind):
    enter(page, boss)
    page.goto(page_of(account))
    with page.expect_download() as download:
        page.get_by_label("At a glance").get_by_role("button", name=kind).click()

    assert download.value.suggested_filename.endswith(kind.lower())
    content = download.value.path().read_bytes()
    assert content.startswith(b"%PDF-") if kind == "PDF" else b"closing balance,749.5" in content


def test_a_period_that_ends_before_it_begins_is_told_on_the_page(page, boss, account):
    enter(page, boss)
    page.goto(page_of(account))
    page.get_by_label("From").fill("2026-02-02T00:00:00")
    page.get_by_label("To").fill("2026-01-01T00:00:00")
    page.get_by_role("button", name="PDF").click()

    expect(page.get_by_text("Choose a period that ends after it begins")).to_be_visible()


@pytest.mark.slow
def test_a_part_of_a_day_can_be_had_where_a_day_is_too_long(page, boss, new_user, monkeypatch):
    busy = stored_account(new_user())
    monkeypatch.setattr(account_history, "MAX_ENTRIES", 4)
    enter(page, boss)
    page.goto(page_of(busy))
    page.get_by_label("From").fill("2026-01-10T00:00:00")
    page.get_by_role("button", name="CSV").click()
    expect(page.get_by_text("This period has 10 entries")).to_contain_text("ends at 2026-01-14T12:00:00.000Z or before")
    page.get_by_label("From").fill("2026-01-10T00:00:00")
    page.get_by_label("To").fill("2026-01-14T12:00:00")
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV").click()
    assert b"closing balance,10\r\n" in download.value.path().read_bytes()  # of 1, 2, 3 and 4


@pytest.mark.parametrize("query", ["", "?format=json", "?format=xml", "?format="])
def test_only_files_are_given_out(boss, account, query):
    response = browser(boss).get(statement_of(account, query), follow=True)

    assert response.redirect_chain == [(page_of(account), 302)]
    assert "and CSV or PDF" in said(response)


def test_the_statement_adds_up(boss, account):
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    yesterday = f"{datetime.now(UTC) - timedelta(days=1):%Y-%m-%d}"
    response = browser(boss).get(statement_of(account, f"?from={yesterday}&to={today}&format=csv"))

    rows = {row[0]: row[1] for row in csv.reader(io.StringIO(response.content.decode("utf-8-sig"))) if len(row) == 2}
    names = ("opening balance", "credited", "debited", "closing balance")
    opening, credited, debited, closing = (Decimal(rows[name]) for name in names)
    assert opening + credited - debited == closing == Decimal("749.5")
    assert rows["chain head"] == account.chain_head
    assert rows["owner"] == "Asha Rao"


def test_who_takes_a_statement_is_in_the_audit_log(boss, account):
    client = browser(boss)
    client.get(statement_of(account, "?from=2026-02-02&to=2026-01-01&format=csv"))  # refused: nothing is taken
    assert not AuditEntry.objects.exists()
    day = f"{account.created_at:%Y-%m-%d}"
    next_day = f"{account.created_at + timedelta(days=1):%Y-%m-%d}"
    client.get(statement_of(account, f"?from={day}&to={day}&format=csv"), REMOTE_ADDR="10.1.2.3")

    (entry,) = AuditEntry.objects.all()
    assert (entry.actor, entry.remote_addr, entry.get_action_display()) == (boss, "10.1.2.3", "access")
    assert (entry.object_pk, entry.content_type.model) == (str(account.pk), "account")
    taken = f"statement as csv, {day}T00:00:00.000Z to {next_day}T00:00:00.000Z"
    assert entry.changes == {"file": ["None", taken]}


def test_a_statement_that_cannot_be_logged_is_not_given_out(boss, account, fail_command):
    client = browser(boss)
    fail_command("insert", times="alwaysOn", errorCode=121)
    response = client.get(statement_of(account, "?format=csv"))
    fail_command("insert", times="off")
    assert response.status_code == 503
    assert b"749.5" not in response.content


@pytest.mark.parametrize("missing", ["accounts.view_account", "transactions.view_entry"])
def test_a_statement_takes_both_permissions(new_user, account, missing):
    both = {"accounts.view_account", "transactions.view_entry"}
    client = browser(new_user(is_staff=True), *(both - {missing}))
    assert client.get(statement_of(account)).status_code == 403
    assert browser(new_user(is_staff=True), *both).get(statement_of(account, "?format=csv")).status_code == 200


def test_who_may_not_see_entries_sees_no_course_of_the_balance(new_user, account):
    client = browser(new_user(is_staff=True), "accounts.view_account")
    page = client.get(page_of(account)).content.decode()
    assert "749.50" in page
    assert "Balance over time" not in page


def test_funds_are_asked_for_from_the_page_by_who_may_for_what_can_have_them(boss, account, new_user):
    way = f"/admin/transactions/approvalrequest/request_funds/?account={account.pk}"
    assert way in browser(boss).get(page_of(account)).content.decode()
    without = browser(new_user(is_staff=True), "accounts.view_account")
    assert "Request funds" not in without.get(page_of(account)).content.decode()
    set_status(account_id=account.pk, status=Account.Status.FROZEN)
    equity = Account.objects.get(kind=Account.Kind.EQUITY)
    for each in (account, equity):
        assert "Request funds" not in browser(boss).get(page_of(each)).content.decode()


def test_a_visitor_is_sent_to_the_door(client, new_user, account):
    assert client.get(statement_of(account)).status_code == 302
    assert browser(new_user()).get(statement_of(account)).status_code == 302


@pytest.mark.parametrize("key", ["nothing", "f" * 24])
def test_of_no_account_there_is_no_statement(boss, key):
    assert browser(boss).get(f"{LIST}{key}/statement/").status_code == 404


@pytest.mark.parametrize("removed", [1, 2])
def test_an_account_with_a_removed_entry_has_a_page_that_says_so(boss, account, removed):
    database()["entries"].delete_one({"account": account.pk, "sequence": removed})
    response = browser(boss).get(page_of(account))
    page = response.content.decode()
    assert response.status_code == 200
    assert "do not add up" in page
    assert "<canvas" not in page
    assert "749.50" in page
    response = browser(boss).get(f"{statement_of(account)}?format=pdf", follow=True)
    assert response.redirect_chain == [(page_of(account), 302)]
    assert "do not add up" in said(response)


def test_tampered_entries_are_told_of_on_the_page(boss, account):
    database()["entries"].update_one({"account": account.pk, "sequence": 1}, {"$inc": {"amount_minor": 1}})
    response = browser(boss).get(f"{statement_of(account)}?format=pdf", follow=True)
    assert "do not add up" in response.content.decode()


@pytest.mark.parametrize("term", ["asha@example.com", "ASHA@example.com ", "Asha Rao", "asha r"])
def test_an_account_is_found_by_its_owner(boss, account, term):
    assert ids(cheap(browser(boss), f"{LIST}?q={term}")) == [account.pk]


def test_and_by_its_id(boss, account):
    assert ids(cheap(browser(boss), f"{LIST}?q={account.pk}")) == [account.pk]


@pytest.mark.parametrize("term", ["sha", ".*", "Asha Raos", "$ne", "%"])
def test_a_pattern_finds_nothing(boss, account, term):
    assert ids(browser(boss).get(f"{LIST}?q={term}")) == []


def test_accounts_are_filtered_by_status_currency_and_kind(boss, account, new_account):
    yen = new_account(account.user, currency="JPY")
    set_status(account_id=yen.pk, status=Account.Status.FROZEN)
    client = browser(boss)

    assert ids(cheap(client, f"{LIST}?currency=JPY")) == [yen.pk]
    assert yen.pk not in ids(client.get(f"{LIST}?currency=INR"))
    assert ids(cheap(client, f"{LIST}?status__exact=FROZEN")) == [yen.pk]
    assert {row.kind for row in cheap(client, f"{LIST}?kind__exact=EQUITY").context["cl"].result_list} == {"EQUITY"}
    assert ids(client.get(f"{LIST}?currency=JPY&status__exact=ACTIVE")) == []
    assert ids(client.get(f"{LIST}?currency=XXX")) == []


@pytest.mark.parametrize("width", [390, pytest.param(1440, marks=pytest.mark.slow)])
def test_it_fits_every_screen(page, boss, account, width):
    enter(page, boss)
    page.set_viewport_size({"width": width, "height": 844})
    page.goto(page_of(account))
    assert page.evaluate("document.documentElement.scrollWidth") <= width
