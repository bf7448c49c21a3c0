"""POST /api/accounts/"""

import re

import pytest

from accounts.models import Account
from accounts.opening import ensure_system_account
from ledger_project.tests.dumps import dump

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
KEYS = {"_id", "user", "name", "status", "currency", "balance", "createdAt", "updatedAt"}


@pytest.fixture
def user(new_user):
    return new_user()


@pytest.fixture
def client(client_of, user):
    return client_of(user)


@pytest.mark.parametrize("path", ["/api/accounts", "/api/accounts/"])
def test_an_account_opens_active_empty_and_in_rupees(client, user, path):
    response = client.post(path, {})

    assert response.status_code == 201
    account = response.json()["account"]
    assert account.keys() == KEYS
    stored = Account.objects.get()
    assert account["_id"] == str(stored.pk)
    assert re.fullmatch("[0-9a-f]{24}", account["_id"])
    assert account["user"] == str(user.pk)
    assert (account["status"], account["currency"], account["balance"], account["name"]) == ("ACTIVE", "INR", 0, "")
    assert TIME.fullmatch(account["createdAt"])
    assert account["updatedAt"] == account["createdAt"]
    assert (stored.kind, stored.may_overdraw, stored.sequence) == ("CUSTOMER", False, 0)


def test_no_body_at_all_is_enough(client):
    assert client.post("/api/accounts").status_code == 201
    assert client.generic("POST", "/api/accounts/").status_code == 201
    assert client.generic("POST", "/api/accounts/", b"", content_type="application/json").status_code in {201, 400}


@pytest.mark.parametrize("currency", ["USD", "JPY", "BHD", "EUR", "CLF"])
def test_a_currency_of_iso_4217_may_be_chosen(client, currency):
    response = client.post("/api/accounts", {"currency": currency, "name": "Travel"})
    assert response.status_code == 201
    assert (response.json()["account"]["currency"], response.json()["account"]["name"]) == (currency, "Travel")


def test_any_other_currency_is_400_and_opens_nothing(client):
    before = dump()
    for currency in (
        "inr",
        "Inr",
        "ZZZ",
        "XXX",
        "XAU",
        "XTS",
        "356",
        "",
        "IN",
        "INRR",
        " ",
        None,
        356,
        True,
        ["INR"],
        {},
    ):
        response = client.post("/api/accounts", {"currency": currency})
        assert response.status_code == 400, currency
        assert response["Content-Type"] == "application/problem+json"
    assert client.post("/api/accounts", {"currency": "ZZZ"}).json()["code"] == "unknown_currency"
    assert dump() == before


def test_a_name_of_100_characters_fits_and_one_more_does_not(client):
    assert client.post("/api/accounts", {"name": "न" * 100}).status_code == 201
    before = dump()
    assert client.post("/api/accounts", {"name": "न" * 101}).status_code == 400
    assert dump() == before


def test_a_user_may_have_many_accounts(client):
    ids = {client.post("/api/accounts").json()["account"]["_id"] for _ in range(3)}
    assert len(ids) == Account.objects.count() == 3


def test_a_system_user_has_one_equity_account_a_currency_however_often_it_is_asked_for(system_user):
    first = ensure_system_account(user_id=system_user.pk, currency="INR", kind=Account.Kind.EQUITY)
    again = ensure_system_account(user_id=system_user.pk, currency="INR", kind=Account.Kind.EQUITY)
    dollars = ensure_system_account(user_id=system_user.pk, currency="USD", kind=Account.Kind.EQUITY)
    treasury = ensure_system_account(user_id=system_user.pk, currency="INR", kind=Account.Kind.TREASURY)
    assert first == again
    assert len({first.pk, dollars.pk, treasury.pk}) == 3
    assert first.may_overdraw
    assert not treasury.may_overdraw
