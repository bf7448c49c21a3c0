"""The staff's pages for transactions and entries: to look at, found by an index, and changed by nobody."""

from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from bson import ObjectId
from django.test import Client

from accounts.models import Account
from ledger_project.mongo import database
from transactions import ledger
from transactions.models import Entry, Transaction
from transactions.posting import Transfer
from users.tests.browsing import browser, cheap, ids

TRANSACTIONS = "/admin/transactions/transaction/"
ENTRIES = "/admin/transactions/entry/"
ACCOUNTS = "/admin/accounts/account/"


@pytest.fixture
def root(new_user) -> Client:
    return browser(new_user(is_staff=True, is_superuser=True))


@pytest.fixture
def asha(new_user, new_account) -> Account:
    """Her account, with 500."""
    return new_account(new_user(email="asha@example.com"), funds=500)


@pytest.fixture
def ben(new_user, new_account) -> Account:
    """His account, with nothing."""
    return new_account(new_user(email="ben@example.com"))


def pay(payer: Account, payee: Account, amount: str = "1", key: str | None = None) -> Transaction:
    transfer = Transfer(
        initiator=payer.user_id,
        from_account=payer.pk,
        to_account=payee.pk,
        amount=Decimal(amount),
        idempotency_key=key or uuid4().hex,
    )
    return ledger.post(transfer).transaction


def stored() -> dict[str, list]:
    return {name: list(database()[name].find()) for name in ("transactions", "entries", "accounts")}


def test_lists_are_newest_first_with_amounts_in_major_units(root, asha, ben) -> None:
    first, second = pay(asha, ben, "12.50"), pay(asha, ben)
    page = cheap(root, TRANSACTIONS)
    assert ids(page)[:2] == [second.pk, first.pk]
    assert "12.50\N{NO-BREAK SPACE}INR" in page.content.decode()
    newest = ids(cheap(root, ENTRIES))
    assert {first.debit_entry, first.credit_entry, second.debit_entry, second.credit_entry} == set(newest[:4])


def test_a_list_reads_no_more_than_the_page_it_shows(root, asha, ben, monkeypatch) -> None:
    """The newest rows come off the end of an index: what lies before them is not read, and nothing is sorted."""
    for _ in range(5):
        pay(asha, ben)
    for address, model in ((TRANSACTIONS, Transaction), (ENTRIES, Entry)):
        monkeypatch.setattr(f"transactions.admin.{model.__name__}Admin.list_per_page", 3)
        assert len(ids(cheap(root, address, most=3))) == 3
        assert len(ids(cheap(root, f"{address}?q={asha.pk}", most=3))) == 3


def test_transactions_are_found_by_all_that_names_them(root, asha, ben, new_user, new_account) -> None:
    other = new_account(new_user(), funds=1)
    funded = Transaction.objects.get(parties__contains=[asha.pk])
    paid = pay(asha, ben, key="invoice 7")
    pay(other, new_account(new_user()))
    for term in (asha.pk, asha.user_id, "asha@example.com"):
        assert ids(cheap(root, f"{TRANSACTIONS}?q={term}")) == [paid.pk, funded.pk]
    for term in (ben.pk, ben.user_id, "ben@example.com", paid.pk, "invoice 7"):
        assert ids(cheap(root, f"{TRANSACTIONS}?q={term}")) == [paid.pk]
    for term in ("invoice", ".*", "nobody@example.com", ObjectId()):
        assert ids(cheap(root, f"{TRANSACTIONS}?q={term}")) == []


def test_nobody_hides_anothers_transactions_behind_a_key(root, asha, ben, new_user, new_account) -> None:
    paid = pay(asha, ben)
    eve = new_account(new_user(), funds=9)
    for key in (str(ben.pk), "ben@example.com"):
        pay(eve, new_account(new_user()), key=key)
        assert ids(cheap(root, f"{TRANSACTIONS}?q={key}")) == [paid.pk]


def test_a_key_may_look_like_an_id(root, asha, ben) -> None:
    key = str(ObjectId())
    paid = pay(asha, ben, key=key)
    assert ids(cheap(root, f"{TRANSACTIONS}?q={key}")) == [paid.pk]


def test_entries_are_found_by_account_and_transaction_and_by_their_own_id(root, asha, ben) -> None:
    paid, again = pay(asha, ben), pay(asha, ben)
    both = {paid.debit_entry, paid.credit_entry}
    assert ids(cheap(root, f"{ENTRIES}?q={ben.pk}")) == [again.credit_entry, paid.credit_entry]
    assert set(ids(cheap(root, f"{ENTRIES}?q={paid.pk}"))) == both
    assert ids(cheap(root, f"{ENTRIES}?q={paid.debit_entry}")) == [paid.debit_entry]
    for term in ("asha@example.com", "DEBIT", ".*", ObjectId()):
        assert ids(cheap(root, f"{ENTRIES}?q={term}")) == []


def test_filters_walk_an_index(root, asha, ben) -> None:
    paid = pay(asha, ben)
    assert ids(cheap(root, TRANSACTIONS + "?kind__exact=TRANSFER")) == [paid.pk]
    assert ids(cheap(root, TRANSACTIONS + f"?kind__exact=TRANSFER&q={asha.pk}")) == [paid.pk]
    assert ids(cheap(root, TRANSACTIONS + "?status__exact=REVERSED")) == []
    assert paid.credit_entry not in ids(cheap(root, ENTRIES + "?direction__exact=DEBIT"))
    for question in ("amount_minor__gt=1", "idempotency_key__regex=.*", "from_account__user__email=x"):
        assert root.get(f"{TRANSACTIONS}?{question}").status_code == 400


def test_a_transaction_shows_both_accounts_both_entries_and_who_asked(root, asha, ben) -> None:
    paid = pay(asha, ben, "12.50", key="<script>")
    page = cheap(root, f"{TRANSACTIONS}{paid.pk}/change/").content.decode()
    for address in (f"{ACCOUNTS}{asha.pk}/", f"{ACCOUNTS}{ben.pk}/", f"/admin/users/user/{asha.user_id}/"):
        assert f'href="{address}change/"' in page
    for entry in (paid.debit_entry, paid.credit_entry):
        assert f'href="{ENTRIES}{entry}/change/"' in page
    assert "12.50\N{NO-BREAK SPACE}INR" in page
    assert "487.50\N{NO-BREAK SPACE}INR" in page
    assert "&lt;script&gt;" in page


def test_an_entry_shows_account_transaction_and_the_balance_it_left(root, asha, ben) -> None:
    paid = pay(asha, ben, "12.50")
    page = cheap(root, f"{ENTRIES}{paid.debit_entry}/change/").content.decode()
    for address in (f"{ACCOUNTS}{asha.pk}/", f"{ACCOUNTS}{ben.pk}/", f"{TRANSACTIONS}{paid.pk}/"):
        assert f'href="{address}change/"' in page
    assert "487.50\N{NO-BREAK SPACE}INR" in page


def test_an_account_shows_its_latest_20_entries_newest_first(root, asha, ben) -> None:
    entries = [pay(asha, ben).credit_entry for _ in range(22)]
    page = cheap(root, f"{ACCOUNTS}{ben.pk}/change/", most=23).content.decode()
    shown = [entry for entry in entries if f"{ENTRIES}{entry}/change/" in page]
    assert shown == entries[2:]
    assert page.index(str(entries[21])) < page.index(str(entries[2]))


def test_who_may_not_see_entries_sees_none_on_the_page_of_an_account(new_user, asha) -> None:
    client = browser(new_user(is_staff=True), "accounts.view_account")
    assert "Latest 20 entries" not in cheap(client, f"{ACCOUNTS}{asha.pk}/change/").content.decode()


@pytest.mark.parametrize("page", ["add/", "{key}/change/", "{key}/delete/"])
def test_not_even_a_superuser_writes_the_ledger(root, asha, ben, page: str) -> None:
    paid = pay(asha, ben)
    before = stored()
    form: dict[str, Any] = {"amount_minor": "1", "post": "yes", "status": "REVERSED", "_save": "Save"}
    for address, key in ((TRANSACTIONS, paid.pk), (ENTRIES, paid.debit_entry)):
        assert root.post(address + page.format(key=key), form).status_code == 403
        root.post(address, {"action": "delete_selected", "_selected_action": [str(key)], "index": "0", "post": "yes"})
        root.post(address, form | {"form-TOTAL_FORMS": "1", "form-INITIAL_FORMS": "1", "form-0-id": str(key)})
    assert stored() == before


def test_entries_cannot_be_slipped_in_through_the_page_of_an_account(root, asha, ben) -> None:
    paid = pay(asha, ben)
    before = stored()
    rows = {"__prefix__": "", "form-TOTAL_FORMS": "1", "entry_set-TOTAL_FORMS": "1", "entry_set-INITIAL_FORMS": "0"}
    for address in (f"{ACCOUNTS}{asha.pk}/change/", f"{TRANSACTIONS}{paid.pk}/change/"):
        assert root.post(address, rows | {"entry_set-0-amount_minor": "1"}).status_code == 403
    assert stored() == before


@pytest.mark.parametrize("address", [TRANSACTIONS, ENTRIES])
@pytest.mark.parametrize("key", ["xyz", "0" * 24, "%00", "1"])
def test_a_malformed_or_unknown_id_leads_to_the_index(root, address: str, key: str) -> None:
    answer = root.get(f"{address}{key}/change/")
    assert (answer.status_code, answer["Location"]) == (302, "/admin/")


def test_staff_look_with_the_permission_to_and_not_without(new_user, asha, ben) -> None:
    paid = pay(asha, ben)
    viewer = browser(new_user(is_staff=True), "transactions.view_transaction")
    assert cheap(viewer, TRANSACTIONS)
    assert cheap(viewer, f"{TRANSACTIONS}{paid.pk}/change/")
    assert viewer.get(ENTRIES).status_code == 403
    assert browser(new_user(is_staff=True)).get(TRANSACTIONS).status_code == 403
