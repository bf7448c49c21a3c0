"""The page of a transaction in the admin: its entries and accounts, who asked for it, who was told; what finds it."""

from decimal import Decimal

import pytest
from playwright.sync_api import expect

from office.tests.entering import enter
from transactions import ledger, notices
from transactions.posting import Transfer
from users.models import Notification
from users.tests.browsing import browser, cheap, ids

LIST = "/admin/transactions/transaction/"


@pytest.fixture
def boss(new_user):
    return new_user(is_staff=True, is_superuser=True)


@pytest.fixture
def parties(new_user, new_account):
    payer = new_account(new_user(name="Asha", email="asha@example.com"), funds=1000)
    return payer, new_account(new_user(name="Ben", email="ben@example.com"))


def pay(parties, key="lunch"):
    payer, payee = parties
    transaction = ledger.post(Transfer(payer.user_id, payer.pk, payee.pk, Decimal("12.50"), key)).transaction
    notices.write_due(limit=100)
    return transaction


def test_all_about_it_is_on_the_page(page, boss, parties):
    transaction = pay(parties)
    pay(parties, key="dinner")
    enter(page, boss)
    page.goto(f"{LIST}{transaction.pk}/change/")

    main = page.locator("#content-main")
    expect(main).to_contain_text("12.50 INR")
    for account in parties:
        expect(main.locator(f'a[href="/admin/accounts/account/{account.pk}/change/"]').first).to_be_visible()
    for entry in (transaction.debit_entry, transaction.credit_entry):
        expect(main.locator(f'a[href="/admin/transactions/entry/{entry}/change/"]')).to_be_visible()
    expect(main.get_by_role("link", name="asha@example.com").first).to_be_visible()
    expect(main.get_by_text("lunch")).to_be_visible()
    expect(main).to_contain_text("Transfer Sent to asha@example.com, pending")
    expect(main).to_contain_text("Transfer Received to ben@example.com, pending")
    expect(main.get_by_role("link", name="Transfer Sent")).to_have_count(1)


def test_its_notifications_are_its_own(boss, parties):
    first, second = pay(parties), pay(parties, key="dinner")
    client = browser(boss)
    for transaction in (first, second):
        page = cheap(client, f"{LIST}{transaction.pk}/change/").content.decode()
        for notice in Notification.objects.all():
            is_its_own = notice.payload["transaction"] == str(transaction.pk)
            assert (f"/admin/users/notification/{notice.pk}/change/" in page) == is_its_own


def test_a_transaction_whose_notices_are_deleted_has_a_page(boss, parties):
    transaction = pay(parties)
    Notification.objects.all().delete()
    assert browser(boss).get(f"{LIST}{transaction.pk}/change/").status_code == 200


def test_it_is_found_by_id_key_account_and_initiator(boss, parties):
    transaction = pay(parties)
    client = browser(boss)
    for term in (transaction.pk, "lunch", parties[1].pk, "ben@example.com"):
        assert ids(cheap(client, f"{LIST}?q={term}")) == [transaction.pk]
    assert transaction.pk in ids(cheap(client, f"{LIST}?q={parties[0].pk}"))
    assert ids(cheap(client, f"{LIST}?q=lunc")) == []


@pytest.mark.parametrize("width", [390, pytest.param(1440, marks=pytest.mark.slow)])
def test_it_fits_every_screen(page, boss, parties, width):
    transaction = pay(parties)
    enter(page, boss)
    page.set_viewport_size({"width": width, "height": 844})
    page.goto(f"{LIST}{transaction.pk}/change/")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
