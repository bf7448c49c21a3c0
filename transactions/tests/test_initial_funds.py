"""POST /api/transactions/system/initial-funds"""

import pytest
from bson import ObjectId
from django.db.models import Sum

from accounts.models import Account
from accounts.opening import open_account, set_status
from ledger_project.tests.dumps import dump
from transactions.models import Transaction

PATHS = ["/api/transactions/system/initial-funds", "/api/transactions/system/initial-funds/"]
PATH = PATHS[0]


@pytest.fixture
def account(new_user, new_account):
    return new_account(new_user())


@pytest.fixture
def client(client_of, system_user):
    return client_of(system_user)


@pytest.fixture
def body(account):
    return {"toAccount": str(account.pk), "amount": 10000, "idempotencyKey": "unique_key_456"}


def assert_refused(response, status: int, message: str) -> None:
    assert response.status_code == status
    assert response["Content-Type"] == "application/problem+json"
    assert response.json()["message"] == message


@pytest.mark.parametrize("path", PATHS)
def test_a_system_user_issues_funds(client, body, account, path):
    response = client.post(path, body)

    assert response.status_code == 201
    assert response.json().keys() == {"message", "transaction"}
    assert response.json()["message"] == "Initial funds transaction completed successfully"
    equity = Account.objects.get(kind=Account.Kind.EQUITY)
    shown = response.json()["transaction"]
    assert (shown["fromAccount"], shown["toAccount"]) == (str(equity.pk), str(account.pk))
    assert (shown["amount"], shown["currency"], shown["status"]) == (10000, "INR", "COMPLETED")
    assert shown["idempotencyKey"] == "unique_key_456"
    assert Transaction.objects.get().kind == "INITIAL_FUNDS"


def test_the_equity_account_goes_below_zero_and_the_currency_sums_to_zero(client, body, account):
    client.post(PATH, body)
    equity = Account.objects.get(kind=Account.Kind.EQUITY)
    account.refresh_from_db()
    assert (equity.balance_minor, account.balance_minor) == (-1000000, 1000000)
    assert Account.objects.aggregate(total=Sum("balance_minor"))["total"] == 0


@pytest.mark.parametrize("fields", [{}, {"is_staff": True}, {"is_staff": True, "is_superuser": True}])
@pytest.mark.parametrize("valid", [True, False])
def test_whoever_is_no_system_user_is_403_whatever_the_body(client_of, new_user, body, fields, valid):
    client = client_of(new_user(**fields))
    before = dump()
    response = client.post(PATH, body if valid else {})
    assert_refused(response, 403, "Forbidden access, not a system user")
    assert response.json()["code"] == "not_system_user"
    assert dump() == before


@pytest.mark.parametrize("field", ["toAccount", "amount", "idempotencyKey"])
def test_a_missing_field_is_400(client, body, field):
    before = dump()
    without = {name: value for name, value in body.items() if name != field}
    for wrong in (without, without | {field: None}, {}):
        assert_refused(client.post(PATH, wrong), 400, "toAccount, amount and idempotencyKey are required")
    assert dump() == before


def test_an_unknown_or_malformed_account_is_400(client, body):
    before = dump()
    for account_id in (str(ObjectId()), "nothing", "g" * 24, "x" * 300, 7, {"$ne": ""}, ["x"], True):
        assert_refused(client.post(PATH, body | {"toAccount": account_id}), 400, "Invalid toAccount")
    assert dump() == before


def test_without_an_equity_account_of_the_currency_it_is_400(client, client_of, body, account, new_user):
    dollars = open_account(user_id=account.user_id, currency="USD")
    another = client_of(new_user(is_system=True))
    before = dump()
    message = "System user account not found"
    assert_refused(client.post(PATH, body | {"toAccount": str(dollars.pk)}), 400, message)
    # another system user's equity account does not help
    assert_refused(another.post(PATH, body), 400, message)
    assert dump() == before


def test_an_account_that_is_not_active_receives_nothing(client, body, account):
    set_status(account_id=account.pk, status=Account.Status.FROZEN)
    before = dump()
    message = "Both fromAccount and toAccount must be ACTIVE to process transaction"
    assert_refused(client.post(PATH, body), 400, message)
    assert dump() == before


def test_money_is_not_issued_to_where_it_comes_from(client, body):
    equity = Account.objects.get(kind=Account.Kind.EQUITY)
    before = dump()
    assert client.post(PATH, body | {"toAccount": str(equity.pk)}).json()["code"] == "same_account"
    assert dump() == before


def test_what_is_no_amount_issues_nothing(client, body):
    before = dump()
    for amount in (0, -1, "0.001", True, "abc", "", [], {}, "1e400", "1e-1000100", "NaN", " 5 ", "+5", 10**16):
        assert client.post(PATH, body | {"amount": amount}).status_code == 400
    assert dump() == before


def test_the_same_request_again_is_a_replay(client, body, account):
    first = client.post(PATH, body)
    before = dump()

    again = client.post(PATH, body | {"amount": "10000.00"})

    assert (again.status_code, again["Idempotent-Replay"]) == (200, "true")
    assert again.json() == {"message": "Transaction already processed", "transaction": first.json()["transaction"]}
    assert dump() == before


def test_the_key_with_another_request_is_422(client, body, new_account, account):
    client.post(PATH, body)
    another = new_account(account.user)
    before = dump()
    for changes in ({"amount": 9999}, {"toAccount": str(another.pk)}):
        response = client.post(PATH, body | changes)
        assert response.status_code == 422
        assert response.json()["code"] == "idempotency_key_reused"
    assert dump() == before


def test_a_transfer_from_the_equity_account_with_the_same_key_is_another_request(client, body):
    client.post(PATH, body)
    equity = Account.objects.get(kind=Account.Kind.EQUITY)
    before = dump()
    response = client.post("/api/transactions", body | {"fromAccount": str(equity.pk)})
    assert response.status_code == 422
    assert dump() == before


def test_the_header_may_carry_the_key(client, body):
    key = body.pop("idempotencyKey")
    response = client.post(PATH, body, HTTP_IDEMPOTENCY_KEY=key)
    assert response.status_code == 201
    assert response.json()["transaction"]["idempotencyKey"] == key


def test_a_balance_never_leaves_the_range_of_an_int64(client, account):
    """Issued by the largest amount there is; the posting that would overflow is refused."""
    from ledger_project.mongo import database

    almost = 2**63 - 1 - 10**15 // 2
    database()["accounts"].update_one({"_id": account.pk}, {"$set": {"balance_minor": almost}})
    before = dump()
    response = client.post(PATH, {"toAccount": str(account.pk), "amount": 10**13, "idempotencyKey": "k"})
    assert response.status_code == 400
    assert response.json()["code"] == "balance_out_of_range"
    assert dump() == before
