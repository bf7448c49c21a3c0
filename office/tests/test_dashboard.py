"""The dashboard at /admin/: right figures, in a real browser; cheap on any ledger; each tile for those who may."""

import re
from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from bson import ObjectId
from django.utils import timezone
from playwright.sync_api import expect

from accounts.models import Account
from accounts.opening import set_status
from ledger_project.mongo import database
from ledger_project.tests.profiler import profiled
from office import rollups
from office.tests.entering import enter
from transactions import approvals, ledger, notices
from transactions.meters import meters
from transactions.models import Transaction
from transactions.posting import Reversal, Transfer
from transactions.refusals import InsufficientFunds
from transactions.verification import verify
from users.models import Notification
from users.tests.browsing import browser, ids

SECONDS = timedelta(seconds=200)


@pytest.fixture
def boss(new_user):
    return new_user(is_staff=True, is_superuser=True)


@pytest.fixture
def busy(new_user, new_account):
    """A ledger in which something happened, rolled up."""
    meters.begin_anew()
    payer, payee = new_account(new_user(), funds=1000), new_account(new_user(), currency="INR")
    for amount in ("10.50", "2"):
        ledger.post(Transfer(payer.user_id, payer.pk, payee.pk, Decimal(amount), uuid4().hex))
    with pytest.raises(InsufficientFunds):
        ledger.post(Transfer(payer.user_id, payer.pk, payee.pk, Decimal(5000), uuid4().hex))
    set_status(account_id=new_account(payee.user).pk, status=Account.Status.FROZEN)
    notices.write_due(limit=100)
    Notification.objects.filter(user=payee.user).update(status=Notification.Status.FAILED)
    verify()
    meters.flush()
    rollups.roll_up_movements(seconds=60, now=timezone.now() + SECONDS)
    rollups.count_heads()
    return payer


def tile(page, title):
    return page.locator(".office-tile").filter(has=page.get_by_text(title, exact=True))


def test_it_shows_what_happened(page, boss, busy):
    enter(page, boss)
    page.goto("/admin/")

    expect(tile(page, "Transfers").locator("strong")).to_have_text("2")
    expect(tile(page, "Volume").locator("strong")).to_have_text("12.50 INR")
    expect(tile(page, "Money issued")).to_contain_text("1,000.00 INR")
    expect(tile(page, "Money issued")).to_contain_text("in circulation")
    expect(tile(page, "Refusals by reason")).to_contain_text(re.compile(r"Insufficient funds\s*1"))
    counted = r"Active\s*2\s*Frozen\s*1\s*Closed\s*0\s*Equity of the system\s*1"
    expect(tile(page, "Accounts")).to_contain_text(re.compile(counted))
    expect(tile(page, "Users")).to_contain_text(re.compile(r"Active customers\s*2\s*Disabled\s*0\s*Staff\s*1"))
    expect(tile(page, "E-mail queue")).to_contain_text(re.compile(r"Waiting\s*3\s*Failed\s*2"))
    expect(tile(page, "Ledger verification")).to_contain_text(re.compile("The ledger was whole (now|.* ago)"))
    expect(tile(page, "Ledger verification")).to_contain_text(re.compile(r"Every account verified within\s*0\sminutes"))
    expect(tile(page, "Ledger verification")).to_contain_text(re.compile(r"Open findings\s*none"))
    expect(tile(page, "Engine")).to_contain_text(re.compile(r"Transfers a commit\s*1\.0"))
    expect(page.locator("canvas")).to_have_count(2)


@pytest.mark.parametrize("days", [1, *(pytest.param(days, marks=pytest.mark.slow) for days in (7, 30, 90))])
def test_every_period_can_be_chosen(page, boss, busy, days):
    enter(page, boss)
    page.goto("/admin/")
    page.get_by_label("Period").get_by_role("link", name="Today" if days == 1 else f"{days} days").click()

    expect(page).to_have_url(re.compile(f"period={days}&currency=INR"))
    expect(tile(page, "Transfers").locator("strong")).to_have_text("2")


def test_another_currency_is_counted_by_itself(page, boss, busy, new_user, new_account):
    new_account(new_user(), funds=7, currency="JPY")
    rollups.roll_up_movements(seconds=60, now=timezone.now() + SECONDS)
    rollups.count_heads()
    enter(page, boss)
    page.goto("/admin/")
    page.get_by_role("link", name="JPY").click()

    expect(tile(page, "Money issued").locator("strong")).to_have_text("7 JPY")
    expect(tile(page, "Transfers").locator("strong")).to_have_text("0")


@pytest.mark.parametrize(
    ("title", "address"),
    [
        ("Transfers", "/admin/transactions/transaction/?kind__exact=TRANSFER&currency=INR&{days}"),
        ("Volume", "/admin/office/hourlymovement/?kind__exact=TRANSFER&currency=INR&{days}"),
        (
            "Money issued",
            "/admin/transactions/transaction/?kind__exact=INITIAL_FUNDS&currency=INR&{days}",
        ),
        ("Refusals", "/admin/office/enginehour/?{days}"),
        ("Engine", "/admin/office/enginehour/?{days}"),
        ("Ledger verification", "/admin/office/verification/"),
        ("Frozen", "/admin/accounts/account/?status__exact=FROZEN&kind__exact=CUSTOMER&currency=INR"),
        ("Disabled", "/admin/users/user/?is_active__exact=0&is_staff__exact=0&is_system__exact=0"),
        ("E-mail queue", "/admin/users/notification/"),
        ("Failed", "/admin/users/notification/?status__exact=FAILED"),
        ("Refusals by reason", "/admin/office/enginehour/?{days}"),
    ],
)
def test_each_tile_leads_to_the_list_behind_it(page, boss, busy, title, address):
    enter(page, boss)
    page.goto("/admin/?period=30")
    today = timezone.now().date()
    page.locator(".office").get_by_text(title, exact=True).first.click()

    page.wait_for_url(f"**{address.format(days=f'from={today - timedelta(days=29)}&to={today}')}")
    expect(page.locator("#changelist, #result_list").first).to_be_visible()


def test_whoever_sees_approvals_is_told_how_many_wait_and_is_led_to_them(boss, busy, new_user):
    requests = [
        approvals.request_funds(staff=boss, account_id=busy.pk, amount=Decimal(1), reason="Case 5512") for _ in range(3)
    ]
    checker = new_user(is_staff=True, is_superuser=True)
    approvals.reject(request_id=requests[0].pk, staff=checker, reason="No")
    client = browser(checker)

    page = client.get("/admin/")
    assert page.context["approvals"] == 2
    assert 'href="/admin/transactions/approvalrequest/?status__exact=PENDING"' in page.content.decode()
    waiting = ids(client.get("/admin/transactions/approvalrequest/?status__exact=PENDING"))
    assert set(waiting) == {each.pk for each in requests[1:]}
    assert "approval" not in browser(new_user(is_staff=True), "users.view_user").get("/admin/").content.decode().lower()


def test_the_lists_of_accounts_hold_what_is_counted(boss, busy, new_user, new_account):
    new_account(new_user(), funds=7, currency="JPY")
    rollups.count_heads()
    client = browser(boss)

    shown = client.get("/admin/?currency=JPY").context["accounts"]
    assert {row["label"]: row["count"] for row in shown}.items() >= {"Active": 1, "Equity of the system": 1}.items()
    assert [len(ids(client.get(row["href"]))) for row in shown] == [row["count"] for row in shown]


def test_the_lists_behind_the_figures_hold_what_is_counted(boss, busy, new_user, new_account):
    new_account(new_user(), funds=7, currency="JPY")
    newest = database()["transactions"].find_one({"kind": "TRANSFER"})
    before = timezone.now() - timedelta(days=8)
    old = {"_id": ObjectId.from_datetime(before), "created_at": before, "idempotency_key": "old"}
    database()["transactions"].insert_one(newest | old)
    rollups.roll_up_movements(seconds=60, now=timezone.now() + SECONDS)
    client = browser(boss)

    shown = client.get("/admin/").context
    transfers, volume, issued, refusals = (client.get(figure["href"]).context["cl"] for figure in shown["figures"])
    assert shown["figures"][0]["value"] == "2"
    assert {row.kind for row in transfers.result_list} == {"TRANSFER"}
    assert len(transfers.result_list) == sum(row.transactions for row in volume.result_list) == 2
    assert sum(row.volume for row in volume.result_list) == sum(row.amount for row in transfers.result_list)
    assert [(row.amount, row.currency) for row in issued.result_list] == [(1000, "INR")]
    assert [row.refusals for row in refusals.result_list] == [{"insufficient_funds": 1}]
    (reason,) = shown["refusals"]
    assert "Insufficient funds: 1" in client.get(reason["href"]).content.decode()
    page = client.get(f"/admin/office/enginehour/{refusals.result_list[0].pk}/change/").content.decode()
    assert "<li>Insufficient funds: 1</li>" in page
    assert re.search(r"<li>1: \d</li>", page)  # groups of one
    assert ids(client.get("/admin/office/enginehour/?refusal=too_busy")) == []


def test_the_age_of_what_was_verified_is_plain(boss, busy, settings):
    client = browser(boss)
    month = timezone.now() - timedelta(days=28)
    database()["verifications"].update_many({}, {"$set": {"began_at": month}})

    page = " ".join(client.get("/admin/").content.decode().split())
    assert "The ledger was whole 4 weeks ago" in page
    assert "verified</span> The ledger" not in page
    assert "<dd>0 minutes</dd>" in page
    settings.AUDIT_PERIOD_SECONDS = 0
    assert '<dd class="office-down">0\N{NO-BREAK SPACE}minutes</dd>' in client.get("/admin/").content.decode()


def test_the_lists_of_users_hold_who_is_counted(boss, busy, new_user):
    new_user(is_active=False), new_user(is_staff=True, is_active=False), new_user(is_system=True)
    rollups.count_heads()
    client = browser(boss)

    shown = client.get("/admin/").context["users"]
    assert [(row["label"], row["count"]) for row in shown] == [
        ("Active customers", 2),
        ("Disabled", 1),
        ("Staff", 2),
        ("System users", 2),
    ]
    assert [len(ids(client.get(row["href"]))) for row in shown] == [row["count"] for row in shown]


def test_reversals_are_shown_apart_from_transfers(page, boss, busy):
    original = Transaction.objects.filter(kind="TRANSFER").first()
    ledger.post(Reversal(boss.pk, original.pk, "wrong"))
    rollups.roll_up_movements(seconds=60, now=timezone.now() + SECONDS)
    enter(page, boss)
    page.goto("/admin/")

    expect(tile(page, "Transfers").locator("strong")).to_have_text("2")
    expect(tile(page, "Transfers")).to_contain_text("1 reversal")
    expect(tile(page, "Volume").locator("strong")).to_have_text("12.50 INR")
    expect(tile(page, "Money issued").locator("strong")).to_have_text("1,000.00 INR")


@pytest.mark.parametrize("width", [390, pytest.param(1440, marks=pytest.mark.slow)])
@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.slow)])
def test_it_fits_every_screen(page, boss, busy, width, scheme):
    enter(page, boss)
    page.set_viewport_size({"width": width, "height": 844})
    page.emulate_media(color_scheme=scheme)
    page.goto("/admin/")

    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_an_empty_ledger_says_so(page, boss):
    enter(page, boss)
    page.goto("/admin/")

    expect(page.get_by_text("Nothing is counted yet")).to_be_visible()
    expect(page.get_by_text("No transfers in this period.").first).to_be_visible()
    expect(page.get_by_text("Not verified yet.")).to_be_visible()


@pytest.mark.parametrize("query", ["?period=abc", "?period=-1", "?currency=", "?currency=XXXX", "?currency=%00|~"])
def test_an_address_made_by_hand_shows_the_default(boss, query):
    response = browser(boss).get(f"/admin/{query}")

    assert response.status_code == 200
    assert b'aria-current="true">7 days' in response.content


def test_staff_see_only_the_tiles_of_what_they_may_see(new_user, busy):
    nobody, support = (browser(new_user(is_staff=True), *names) for names in ((), ("accounts.view_account",)))

    assert "office-tile" not in nobody.get("/admin/").content.decode()
    page = support.get("/admin/").content.decode()
    assert "Accounts" in page
    for hidden in ("Volume", "E-mail queue", "Active customers", "Ledger verification"):
        assert hidden not in page


def test_no_large_collection_is_touched(boss, busy):
    """Transactions and entries not at all; of the outbox, no more than is waiting."""
    client = browser(boss)
    client.get("/admin/")
    with profiled() as commands:
        assert client.get("/admin/?period=90").status_code == 200

    touched = {command["ns"].partition(".")[2] for command in commands}
    assert not touched & {"transactions", "entries"}
    # The first account tells since when there are any.
    assert all(command["docsExamined"] <= 1 for command in commands if command["ns"].endswith(".accounts"))
    waiting = database()["notifications"].count_documents({"status": "PENDING"})
    outbox = [command for command in commands if command["ns"].endswith(".notifications")]
    assert outbox
    assert all(command["docsExamined"] <= waiting for command in outbox)


def test_what_a_worker_has_yet_to_write_is_in_the_queue(page, boss, new_user, new_account):
    new_account(new_user(), funds=5)
    enter(page, boss)
    page.goto("/admin/")

    expect(tile(page, "E-mail queue")).to_contain_text(re.compile(r"Waiting\s*0.*Groups to be told of\s*1", re.DOTALL))
