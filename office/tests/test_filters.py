"""Filters of staff's lists: whichever is offered can be followed, and none walks through all there is."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from html import unescape
from typing import Any
from uuid import uuid4

import pytest
from bson import ObjectId
from django.contrib import admin
from django.utils import timezone
from playwright.sync_api import expect

from accounts.models import Account
from ledger_project.admin import LedgerModelAdmin
from ledger_project.mongo import database, first_id
from office import rollups
from office.tests.entering import enter
from transactions import ledger, notices
from transactions.meters import meters
from transactions.models import Transaction
from transactions.posting import Reversal, Transfer
from transactions.refusals import InsufficientFunds
from users.audit import record_by_command
from users.models import AuditEntry, Notification, User
from users.tests.browsing import browser, cheap, ids

TRANSACTIONS, ENTRIES = "/admin/transactions/transaction/", "/admin/transactions/entry/"
NOTIFICATIONS, LOG = "/admin/users/notification/", "/admin/users/auditentry/"
HOURS, MOVEMENTS = "/admin/office/enginehour/", "/admin/office/hourlymovement/"
LISTS = {
    f"/admin/{model._meta.app_label}/{model._meta.model_name}/": model_admin
    for model, model_admin in admin.site._registry.items()
    if isinstance(model_admin, LedgerModelAdmin)
}
CROWD = 300


@pytest.fixture
def boss(new_user) -> User:
    return new_user(is_staff=True, is_superuser=True, email="boss@example.com")


@pytest.fixture
def root(boss):
    return browser(boss)


@pytest.fixture
def asha(new_user, new_account) -> Account:
    return new_account(new_user(), funds=500)


@pytest.fixture
def ben(new_user, new_account) -> Account:
    return new_account(new_user())


def pay(payer: Account, payee: Account, amount: int = 1) -> Transaction:
    return ledger.post(Transfer(payer.user_id, payer.pk, payee.pk, Decimal(amount), uuid4().hex)).transaction


def copies(collection: str, key: ObjectId, *, made_at: datetime, count: int = 1) -> list[ObjectId]:
    """The ids of copies of a row, as they would be had they been made at `made_at`."""
    row = database()[collection].find_one({"_id": key})
    made = [row | unlike(collection) | {"_id": id_at(made_at), "created_at": made_at} for _ in range(count)]
    database()[collection].insert_many(made)
    return [each["_id"] for each in made]


def unlike(collection: str) -> dict[str, Any]:
    """What no two rows may share."""
    return {"transactions": {"idempotency_key": uuid4().hex}, "entries": {"account": ObjectId()}}.get(collection, {})


def id_at(moment: datetime) -> ObjectId:
    return ObjectId(first_id(moment.timestamp()).binary[:4] + ObjectId().binary[4:])


@pytest.fixture
def busy(root, boss, asha, ben) -> None:
    """A row, and more, in every list."""
    meters.begin_anew()
    ledger.post(Reversal(boss.pk, pay(asha, ben).pk, "wrong"))
    with pytest.raises(InsufficientFunds):
        pay(ben, asha, 5000)
    root.post(f"/admin/accounts/account/{ben.pk}/freeze_this/", {"reason": "x", "_form_submitted": "True"})
    meters.flush()
    notices.write_due(limit=10)
    rollups.roll_up_movements(seconds=60, now=timezone.now() + timedelta(seconds=200))
    rollups.count_heads()


@pytest.mark.usefixtures("busy")
def test_every_filter_that_is_offered_can_be_followed(root):
    for address, model_admin in LISTS.items():
        links = re.findall(r'href="(\?[^"]+)"', root.get(address).content.decode())
        assert links or not model_admin.list_filter, address
        for link in map(unescape, links):
            assert root.get(address + link).status_code == 200, address + link


def test_the_few_that_are_no_transfers_are_found_among_many_that_are(root, boss, asha, ben):
    original = pay(asha, ben)
    reversal = ledger.post(Reversal(boss.pk, original.pk, "wrong")).transaction
    funded = Transaction.objects.get(kind="INITIAL_FUNDS")
    copies("transactions", pay(asha, ben).pk, made_at=timezone.now(), count=CROWD)
    today = f"from={timezone.now():%Y-%m-%d}"

    for more in ("", f"&{today}", "&currency=INR", f"&currency=INR&{today}"):
        for query, found in {
            "kind__exact=INITIAL_FUNDS": funded,
            "kind__exact=REVERSAL": reversal,
            "status__exact=REVERSED": original,
        }.items():
            assert ids(cheap(root, f"{TRANSACTIONS}?{query}{more}", most=5)) == [found.pk], query + more


def test_what_waits_is_found_among_much_that_was_sent(root, asha, ben):
    notices.write_due(limit=10)
    waiting = list(Notification.objects.order_by("due_at").values_list("pk", flat=True))
    now = timezone.now()
    sent = Notification.objects.create(user=ben.user, kind="WELCOME", status="SENT", due_at=now, created_at=now)
    copies("notifications", sent.pk, made_at=now, count=CROWD)

    assert waiting
    assert ids(cheap(root, f"{NOTIFICATIONS}?status__exact=PENDING", most=5)) == waiting


def test_transactions_of_some_days_are_listed_and_exported(root, asha, ben):
    now = pay(asha, ben)
    january = datetime(2026, 1, 31, 23, 59, 59, 999000, tzinfo=UTC)
    (last,) = copies("transactions", now.pk, made_at=january)
    (first,) = copies("transactions", now.pk, made_at=datetime(2026, 1, 1, tzinfo=UTC))
    (before,) = copies("transactions", now.pk, made_at=datetime(2025, 12, 31, 23, 59, 59, tzinfo=UTC))
    copies("transactions", now.pk, made_at=datetime(2026, 2, 2, tzinfo=UTC), count=CROWD)

    query = "?from=2026-01-01&to=2026-01-31"
    assert ids(cheap(root, TRANSACTIONS + query, most=5)) == [last, first]
    assert ids(cheap(root, f"{TRANSACTIONS}{query}&q={asha.pk}", most=5)) == [last, first]
    assert ids(cheap(root, f"{TRANSACTIONS}?to=2025-12-31", most=5)) == [before]
    exported = root.get(f"{TRANSACTIONS}export/csv/{query}").getvalue().decode()
    assert re.findall("[0-9a-f]{24}(?=,2026)", exported) == [str(last), str(first)]


def test_a_transaction_is_of_the_day_of_its_posting_though_its_id_was_made_on_the_next(root, asha, ben):
    midnight = datetime(2026, 2, 1, tzinfo=UTC)
    (late,) = copies("transactions", pay(asha, ben).pk, made_at=midnight + timedelta(seconds=1))
    database()["transactions"].update_one({"_id": late}, {"$set": {"created_at": midnight - timedelta(seconds=1)}})

    assert ids(root.get(f"{TRANSACTIONS}?from=2026-01-31&to=2026-01-31")) == [late]
    assert ids(root.get(f"{TRANSACTIONS}?from=2026-02-01&to=2026-02-01")) == []


def test_entries_have_days_too(root, asha, ben):
    now = pay(asha, ben)
    (old,) = copies("entries", now.debit_entry, made_at=datetime(2026, 1, 5, tzinfo=UTC))

    assert ids(cheap(root, f"{ENTRIES}?to=2026-01-05", most=5)) == [old]
    assert old not in ids(root.get(f"{ENTRIES}?from=2026-01-06"))
    assert ids(root.get(f"{ENTRIES}?from={timezone.now():%Y-%m-%d}&q={now.pk}"))


@pytest.mark.parametrize("nonsense", ["from=yesterday", "to=2026-02-30", "from=2026-01-01T00:00", "to=%00"])
def test_days_that_are_none_lead_back_to_the_list(root, nonsense):
    assert root.get(f"{TRANSACTIONS}?{nonsense}")["Location"] == f"{TRANSACTIONS}?e=1"
    assert root.get(f"{TRANSACTIONS}export/csv/?{nonsense}").status_code == 302


@pytest.mark.parametrize("query", ["from=&to=", "from=0001-01-01&to=9999-12-31", "from=2026-02-01&to=2026-01-01"])
def test_days_at_the_end_of_the_calendar_are_no_error(root, busy, query):
    for address in (TRANSACTIONS, ENTRIES, LOG, HOURS, MOVEMENTS):
        assert root.get(f"{address}?{query}").status_code == 200


def test_a_currency_that_few_hold_is_found_among_much_of_another(root, asha, ben, new_user, new_account):
    yen = new_account(new_user(), funds=7, currency="JPY")
    copies("transactions", pay(asha, ben).pk, made_at=timezone.now(), count=CROWD)
    database()["transactions"].update_many({"kind": "TRANSFER"}, {"$set": {"parties": [ObjectId()]}})

    issued = Transaction.objects.get(to_account=yen)
    assert ids(cheap(root, f"{TRANSACTIONS}?currency=JPY", most=5)) == [issued.pk]
    assert ids(root.get(f"{TRANSACTIONS}?currency=XXX")) == []


def test_a_currency_that_many_hold_is_found_as_well(root, asha, ben, monkeypatch):
    monkeypatch.setattr("transactions.admin.FEW_ACCOUNTS", 1)
    paid = pay(asha, ben)
    assert ids(cheap(root, f"{TRANSACTIONS}?currency=INR", most=5))[0] == paid.pk


def test_the_audit_log_is_filtered_by_who_what_and_when(root, boss, asha, ben, new_user):
    colleague = new_user(is_staff=True, is_superuser=True, email="colleague@example.com")
    reason = {"reason": "x", "_form_submitted": "True"}
    root.post(f"/admin/accounts/account/{ben.pk}/freeze_this/", reason)
    browser(colleague).post(f"/admin/users/user/{asha.user_id}/revoke_this/", reason)
    record_by_command(asha.user, {"second factor": ("on", "off")}, command="reset_second_factor")
    by_command, revoked, frozen = AuditEntry.objects.order_by("-pk")
    (old,) = copies("audit_log", frozen.pk, made_at=timezone.now())
    database()["audit_log"].update_one({"_id": old}, {"$set": {"timestamp": datetime(2026, 1, 5, tzinfo=UTC)}})

    page = root.get(LOG).content.decode()
    links = {text: unescape(link) for link, text in re.findall(r'<a href="(\?[^"]+)" title="([^"]+)"', page)}
    assert ids(root.get(LOG + links["colleague@example.com"])) == [revoked.pk]
    assert ids(root.get(LOG + links["boss@example.com"])) == [old, frozen.pk]
    assert ids(root.get(LOG + links["Nobody: a command, or the service"])) == [by_command.pk]
    assert ids(root.get(LOG + links["account"])) == [old, frozen.pk]
    assert ids(root.get(LOG + links["user"])) == [by_command.pk, revoked.pk]
    assert ids(root.get(f"{LOG}?from=2026-01-05&to=2026-01-05")) == [old]
    assert ids(root.get(LOG + links["Today"])) == [by_command.pk, revoked.pk, frozen.pk]


def test_days_are_chosen_with_the_mouse_and_the_other_filters_stay(page, boss, asha, ben):
    paid = pay(asha, ben)
    enter(page, boss)
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{TRANSACTIONS}?kind__exact=TRANSFER&q={asha.pk}")
    page.get_by_text("Filters filter_list").click()
    page.get_by_label("From").fill("2026-01-01")
    page.get_by_label("To", exact=True).fill(f"{timezone.now():%Y-%m-%d}")
    page.get_by_role("button", name="Show these days").click()

    expect(page).to_have_url(re.compile(rf"kind__exact=TRANSFER&q={asha.pk}&from=2026-01-01&to="))
    expect(page.locator("#result_list tbody tr")).to_have_count(1)
    assert str(paid.pk) in page.locator("#result_list").inner_html()
