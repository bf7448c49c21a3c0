"""One key, one transaction: however often it is asked for, in the body or in the header."""

import pytest

from accounts.models import Account
from accounts.opening import set_status
from ledger_project.tests.dumps import dump
from transactions.models import Transaction

PATH = "/api/transactions"


@pytest.fixture
def asha(new_user):
    return new_user(name="Asha")


@pytest.fixture
def payer(asha, new_account):
    return new_account(asha, funds=500)


@pytest.fixture
def payee(new_user, new_account):
    return new_account(new_user(name="Ben"))


@pytest.fixture
def client(client_of, asha):
    return client_of(asha)


@pytest.fixture
def body(payer, payee):
    return {"fromAccount": str(payer.pk), "toAccount": str(payee.pk), "amount": 500, "idempotencyKey": "key"}


def assert_replay(response, first) -> None:
    assert response.status_code == 200
    assert response["Idempotent-Replay"] == "true"
    assert response.json() == {
        "message": "Transaction already processed",
        "transaction": first.json()["transaction"],
    }


@pytest.mark.parametrize("amount", [500, "500", "500.00", 500.0, "5e2"])
def test_the_same_request_again_answers_the_same_transaction_and_moves_nothing(client, body, amount):
    first = client.post(PATH, body)
    before = dump()
    assert_replay(client.post(PATH, body | {"amount": amount}), first)
    assert_replay(client.post(f"{PATH}/", body | {"amount": amount}), first)
    assert dump() == before


def test_also_when_the_payer_has_nothing_left(client, body, payer):
    first = client.post(PATH, body)
    assert Account.objects.get(pk=payer.pk).balance_minor == 0
    assert_replay(client.post(PATH, body), first)


@pytest.mark.parametrize("side", ["fromAccount", "toAccount"])
def test_also_when_an_account_was_frozen_since(client, body, side):
    from bson import ObjectId

    first = client.post(PATH, body)
    set_status(account_id=ObjectId(body[side]), status=Account.Status.FROZEN)
    before = dump()
    assert_replay(client.post(PATH, body), first)
    assert dump() == before


def test_also_when_the_payers_account_was_closed_since(client, body, payer):
    first = client.post(PATH, body)
    set_status(account_id=payer.pk, status=Account.Status.CLOSED)
    assert_replay(client.post(PATH, body), first)


def test_another_request_with_the_key_is_422(client, body, asha, new_account, new_user):
    client.post(PATH, body)
    mine, other = new_account(asha, funds=600), new_account(new_user())
    before = dump()
    for changes in (
        {"amount": 499},
        {"amount": "500.01"},
        {"toAccount": str(other.pk)},
        {"fromAccount": str(mine.pk)},
        {"fromAccount": body["toAccount"], "toAccount": body["fromAccount"]},
    ):
        response = client.post(PATH, body | changes)
        assert response.status_code == 422, changes
        assert response["Content-Type"] == "application/problem+json"
        assert response.json()["code"] == "idempotency_key_reused"
        assert "Idempotent-Replay" not in response
    assert dump() == before


def test_another_key_is_another_transfer(client, body):
    ids = {
        client.post(PATH, body | {"amount": 1, "idempotencyKey": str(n)}).json()["transaction"]["_id"] for n in "abc"
    }
    assert len(ids) == 3


def test_keys_are_told_apart_by_case_and_by_spaces(client, body):
    for key in ("key", "KEY", " key", "key ", " "):
        assert client.post(PATH, body | {"amount": 1, "idempotencyKey": key}).status_code == 201
    assert set(Transaction.objects.filter(kind="TRANSFER").values_list("idempotency_key", flat=True)) == {
        *("key", "KEY", " key", "key ", " "),
    }


def test_a_key_belongs_to_the_user_who_sent_it(client, client_of, body, payee, asha, new_account):
    """Ben uses Asha's key for a transfer of his own: neither sees nor blocks the other's."""
    first = client.post(PATH, body)
    theirs = {"fromAccount": str(payee.pk), "toAccount": body["fromAccount"], "amount": 5, "idempotencyKey": "key"}

    second = client_of(payee.user).post(PATH, theirs)

    assert second.status_code == 201
    assert second.json()["transaction"]["_id"] != first.json()["transaction"]["_id"]
    assert_replay(client_of(payee.user).post(PATH, theirs), second)
    assert_replay(client.post(PATH, body), first)


def test_the_key_may_come_in_the_header_alone(client, body):
    del body["idempotencyKey"]
    first = client.post(PATH, body, HTTP_IDEMPOTENCY_KEY="from-the-header")
    assert first.status_code == 201
    assert first.json()["transaction"]["idempotencyKey"] == "from-the-header"
    assert_replay(client.post(PATH, body, HTTP_IDEMPOTENCY_KEY="from-the-header"), first)
    assert_replay(client.post(PATH, body | {"idempotencyKey": "from-the-header"}), first)


@pytest.mark.parametrize("empty", ["", None])
def test_an_empty_key_in_the_body_leaves_it_to_the_header(client, body, empty):
    response = client.post(PATH, body | {"idempotencyKey": empty}, HTTP_IDEMPOTENCY_KEY="header")
    assert response.status_code == 201
    assert response.json()["transaction"]["idempotencyKey"] == "header"


def test_both_may_come_when_they_agree(client, body):
    assert client.post(PATH, body, HTTP_IDEMPOTENCY_KEY="key").status_code == 201


@pytest.mark.parametrize("header", ["another", "KEY", "key1", "ke"])
def test_both_that_differ_are_400(client, body, header):
    before = dump()
    response = client.post(PATH, body, HTTP_IDEMPOTENCY_KEY=header)
    assert response.status_code == 400
    assert response.json()["code"] == "idempotency_keys_differ"
    assert dump() == before


@pytest.mark.parametrize("in_header", [True, False])
def test_a_key_has_1_to_255_characters(client, body, in_header):
    def post(key: str):
        if not in_header:
            return client.post(PATH, body | {"idempotencyKey": key, "amount": 1})
        rest = {name: value for name, value in body.items() if name != "idempotencyKey"}
        return client.post(PATH, rest | {"amount": 1}, HTTP_IDEMPOTENCY_KEY=key)

    before = dump()
    for key in ("", "k" * 256, "k" * 5000):
        response = post(key)
        assert response.status_code == 400
        assert [row["field"] for row in response.json()["errors"]] == ["idempotencyKey"]
    assert dump() == before
    assert post("k").status_code == 201
    assert post("k" * 255).status_code == 201


def test_a_key_of_255_characters_that_take_four_bytes_each_fits(client, body):
    assert client.post(PATH, body | {"idempotencyKey": "🔑" * 255}).status_code == 201


def test_a_numeric_key_is_the_same_as_its_text(client, body):
    first = client.post(PATH, body | {"idempotencyKey": 123})
    assert first.status_code == 201
    assert first.json()["transaction"]["idempotencyKey"] == "123"
    assert_replay(client.post(PATH, body | {"idempotencyKey": "123"}), first)
    assert_replay(client.post(PATH, body | {"idempotencyKey": 123}, HTTP_IDEMPOTENCY_KEY="123"), first)


@pytest.mark.parametrize("key", [True, False, [], ["k"], {}, {"$ne": ""}, "k\x00", 1.5])
def test_what_is_no_key_is_400(client, body, key):
    before = dump()
    assert client.post(PATH, body | {"idempotencyKey": key}).status_code == 400
    assert dump() == before


def test_a_key_that_looks_like_an_operator_is_just_a_key(client, body):
    for key in ("$ne", '{"$ne": ""}', "a.b", "../x", "<b>"):
        assert client.post(PATH, body | {"idempotencyKey": key, "amount": 1}).status_code == 201


def test_a_key_that_is_reused_with_accounts_that_nobody_knows_is_told_as_reused(client, body):
    client.post(PATH, body)
    answer = client.post(PATH, body | {"fromAccount": "0" * 24, "toAccount": "1" * 24})
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
