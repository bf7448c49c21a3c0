"""POST /api/transactions/batch and its form for initial funds: the same rules, for many at once."""

import pytest

from accounts.models import Account
from accounts.opening import set_status
from ledger_project.tests.dumps import dump
from transactions.models import Transaction

PATH = "/api/transactions/batch"
FUNDS = "/api/transactions/system/initial-funds/batch"


@pytest.fixture
def asha(new_user):
    return new_user(name="Asha")


@pytest.fixture
def payer(asha, new_account):
    return new_account(asha, funds=100)


@pytest.fixture
def payee(new_user, new_account):
    return new_account(new_user(name="Ben"))


@pytest.fixture
def client(client_of, asha):
    return client_of(asha)


@pytest.fixture
def item(payer, payee):
    """Make an item: `item("key", 10)`."""

    def make(key: str, amount: object = 10, **changes: object) -> dict:
        body = {"fromAccount": str(payer.pk), "toAccount": str(payee.pk), "amount": amount, "idempotencyKey": key}
        return body | changes

    return make


def balances(*accounts: Account) -> list[int]:
    return [Account.objects.get(pk=account.pk).balance_minor for account in accounts]


@pytest.mark.parametrize("slash", ["", "/"])
def test_each_has_its_own_result_in_the_order_they_were_sent(client, item, payer, payee, slash):
    answer = client.post(PATH + slash, {"transfers": [item("a", 60), item("b", 60), item("c", 40), item("a", 60)]})
    assert answer.status_code == 200
    results = answer.json()["results"]
    assert [result["status"] for result in results] == [201, 400, 201, 200]
    assert results[0]["transaction"] == results[3]["transaction"]
    assert results[1]["error"]["code"] == "insufficient_funds"
    assert results[1]["message"] == "Insufficient balance. Current balance is 40. Requested amount is 60"
    assert balances(payer, payee) == [0, 100_00]


def test_a_malformed_item_spoils_no_other(client, item, payer, payee):
    malformed = [None, [], "x", {}, item("k", -1), item("", 1), item("k", 1, toAccount="nobody"), item("k" * 256)]
    answer = client.post(PATH, {"transfers": [*malformed, item("good")]})
    assert answer.status_code == 200
    results = answer.json()["results"]
    assert [result["status"] for result in results] == [400] * len(malformed) + [201]
    assert all(result["error"]["message"] == result["message"] for result in results[:-1])
    assert balances(payer, payee) == [90_00, 10_00]


def test_repeating_a_batch_replays_it_and_moves_nothing(client, item):
    body = {"transfers": [item("a"), item("b")]}
    first = client.post(PATH, body).json()["results"]
    before = dump()
    again = client.post(PATH, body)
    assert again.headers["Idempotent-Replay"] == "true"
    assert [result["status"] for result in again.json()["results"]] == [200, 200]
    assert [r["transaction"] for r in again.json()["results"]] == [r["transaction"] for r in first]
    assert dump() == before


def test_an_atomic_batch_is_posted_as_a_whole(client, item, payer, payee):
    answer = client.post(PATH, {"atomic": True, "transfers": [item(str(n)) for n in range(10)]})
    assert answer.status_code == 201
    assert {result["status"] for result in answer.json()["results"]} == {201}
    assert balances(payer, payee) == [0, 100_00]
    again = client.post(PATH, {"atomic": True, "transfers": [item(str(n)) for n in range(10)]})
    assert (again.status_code, again.headers["Idempotent-Replay"]) == (200, "true")


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"amount": 1000}, "insufficient_funds"),
        ({"amount": 0}, "invalid_request"),
        ({"toAccount": "0" * 24}, "invalid_accounts"),
        ({"toAccount": "x"}, "invalid_accounts"),
        ({"amount": "0.001"}, "invalid_amount"),
        ({"idempotencyKey": None}, "invalid_request"),
    ],
)
def test_an_atomic_batch_with_one_refusal_moves_nothing_and_names_the_first(client, item, wrong, code):
    before = dump()
    answer = client.post(PATH, {"atomic": True, "transfers": [item("a"), item("b", **wrong), item("c"), item("d", 0)]})
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.status_code == 400
    named = 3 if code in {"insufficient_funds", "invalid_amount"} or wrong.get("toAccount") == "0" * 24 else 1
    assert answer.json()["index"] == named
    assert dump() == before
    assert client.post(PATH, {"transfers": [item("a")]}).json()["results"][0]["status"] == 201


def test_what_posting_refuses_in_an_atomic_batch_is_named_too(client, item, payee):
    before = dump()
    answer = client.post(PATH, {"atomic": True, "transfers": [item("a", 60), item("b", 60), item("c", 60)]})
    assert (answer.status_code, answer.json()["code"], answer.json()["index"]) == (400, "insufficient_funds", 1)
    set_status(account_id=payee.pk, status=Account.Status.FROZEN)
    answer = client.post(PATH, {"atomic": True, "transfers": [item("a", 60)]})
    assert (answer.json()["code"], answer.json()["index"]) == ("account_not_active", 0)
    set_status(account_id=payee.pk, status=Account.Status.ACTIVE)
    assert dump()["transactions"] == before["transactions"]
    assert dump()["entries"] == before["entries"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"transfers": []},
        {"transfers": None},
        {"transfers": {}},
        {"transfers": "abc"},
        {"transfers": [{}] * 1001},
        {"atomic": "perhaps", "transfers": [{}]},
        {"atomic": None, "transfers": [{}]},
        [],
        None,
    ],
)
def test_a_malformed_batch_is_refused_as_a_whole(client, body):
    before = dump()
    assert client.post(PATH, body).status_code == 400
    assert dump() == before


def test_a_thousand_go_in_one_request(client, item, payer, payee):
    answer = client.post(PATH, {"atomic": True, "transfers": [item(str(n), 0.1) for n in range(1000)]})
    assert answer.status_code == 201
    assert len(answer.json()["results"]) == 1000
    assert balances(payer, payee) == [0, 100_00]


def test_a_system_user_funds_many_accounts_at_once(system_user, client_of, new_user, new_account):
    accounts = [new_account(new_user()) for _ in range(5)]
    body = {"transfers": [{"toAccount": str(a.pk), "amount": 7, "idempotencyKey": f"f{a.pk}"} for a in accounts]}
    answer = client_of(system_user).post(FUNDS, body)
    assert [result["status"] for result in answer.json()["results"]] == [201] * 5
    assert balances(*accounts) == [7_00] * 5
    assert Transaction.objects.filter(kind="INITIAL_FUNDS").count() == 5


def test_nobody_else_does(client, payee):
    body = {"transfers": [{"toAccount": str(payee.pk), "amount": 7, "idempotencyKey": "f"}]}
    assert client.post(FUNDS, body).status_code == 403
    assert balances(payee) == [0]
