"""GET /api/accounts/balance/:accountId"""

import json
from decimal import Decimal

import pytest
from bson import ObjectId

from accounts.models import Account
from accounts.opening import set_status


@pytest.fixture
def user(new_user):
    return new_user()


@pytest.fixture
def client(client_of, user):
    return client_of(user)


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_new_account_has_nothing(client, user, new_account, slash):
    account = new_account(user)
    response = client.get(f"/api/accounts/balance/{account.pk}{slash}")
    assert response.status_code == 200
    assert response.json() == {"accountId": str(account.pk), "balance": 0}


@pytest.mark.parametrize(
    ("funds", "currency", "printed"),
    [
        ("500", "INR", b"500"),
        ("10.5", "INR", b"10.5"),
        ("10.50", "INR", b"10.5"),
        ("0.01", "INR", b"0.01"),
        ("0.1", "INR", b"0.1"),
        ("1000", "INR", b"1000"),
        ("9999999999999.99", "INR", b"9999999999999.99"),
        ("500", "JPY", b"500"),
        ("999999999999999", "JPY", b"999999999999999"),
        ("0.001", "BHD", b"0.001"),
        ("1.234", "BHD", b"1.234"),
        ("2.500", "BHD", b"2.5"),
    ],
)
def test_a_balance_is_printed_digit_for_digit(client, user, new_account, funds, currency, printed):
    account = new_account(user, funds=funds, currency=currency)
    response = client.get(f"/api/accounts/balance/{account.pk}")
    assert response.content == b'{"accountId":"%s","balance":%s}' % (str(account.pk).encode(), printed)


def test_tenths_add_up(client, client_of, user, system_user, new_account):
    """0.1 + 0.2 in binary floats is 0.30000000000000004."""
    account = new_account(user, funds="0.1")
    body = {"toAccount": str(account.pk), "amount": 0.2, "idempotencyKey": "more"}
    assert client_of(system_user).post("/api/transactions/system/initial-funds", body).status_code == 201
    assert client.get(f"/api/accounts/balance/{account.pk}").content.endswith(b'"balance":0.3}')


def test_a_balance_past_what_a_double_holds_is_exact(client, client_of, user, system_user, new_account):
    account = new_account(user, funds="1", currency="JPY")
    for number in range(10):
        amount = 10**15 if number < 9 else 7199254740992
        body = {"toAccount": str(account.pk), "amount": amount, "idempotencyKey": str(number)}
        assert client_of(system_user).post("/api/transactions/system/initial-funds", body).status_code == 201
    response = client.get(f"/api/accounts/balance/{account.pk}")
    assert json.loads(response.content, parse_int=Decimal)["balance"] == 9007199254740993


def test_an_equity_account_shows_what_it_has_issued_as_a_negative_number(client_of, system_user, user, new_account):
    new_account(user, funds="10.5")
    equity = Account.objects.get(kind=Account.Kind.EQUITY)
    response = client_of(system_user).get(f"/api/accounts/balance/{equity.pk}")
    assert response.content.endswith(b'"balance":-10.5}')


@pytest.mark.parametrize("status", [Account.Status.FROZEN, Account.Status.ACTIVE])
def test_a_frozen_account_still_tells_its_balance(client, user, new_account, status):
    account = new_account(user, funds=500)
    set_status(account_id=account.pk, status=status)
    assert client.get(f"/api/accounts/balance/{account.pk}").json()["balance"] == 500


def test_not_the_callers_unknown_or_malformed_is_one_404_word_for_word(client, new_user, new_account):
    another = new_account(new_user(), funds=500)
    answers = set()
    for account_id in (another.pk, ObjectId(), "nothing", "1", "g" * 24, "0" * 25, "%00", "%7B%22$ne%22:%22%22%7D"):
        response = client.get(f"/api/accounts/balance/{account_id}", HTTP_X_REQUEST_ID="request-1")
        assert response.status_code == 404
        assert response.json()["message"] == "Account not found"
        assert response.json()["code"] == "account_not_found"
        answers.add(response.content)
    assert len(answers) == 1
