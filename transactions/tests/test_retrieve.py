"""GET /api/transactions/:id"""

import json
from decimal import Decimal

import pytest
from bson import ObjectId

from accounts.models import Account
from ledger_project.mongo import database
from ledger_project.tests.test_openapi import described_as
from transactions.models import Entry, Transaction

KEYS = {
    *("_id", "fromAccount", "toAccount", "amount", "currency", "status", "idempotencyKey", "createdAt", "updatedAt"),
    *("kind", "reverses", "reversedBy", "entries"),
}
ENTRY_KEYS = {
    *("_id", "account", "sequence", "direction", "amount", "currency", "balanceAfter", "counterAccount", "transaction"),
    *("createdAt", "hash"),
}
HIDDEN = ("sequence", "balanceAfter", "hash")


@pytest.fixture
def asha(new_user):
    return new_user(name="Asha")


@pytest.fixture
def payer(asha, new_account):
    return new_account(asha, funds=500)


@pytest.fixture
def payee(new_user, new_account):
    return new_account(new_user(name="Ben"), funds="77.25")


@pytest.fixture
def transaction(payer, payee, client_of):
    body = {"fromAccount": str(payer.pk), "toAccount": str(payee.pk), "amount": "10.50", "idempotencyKey": "k"}
    return client_of(payer.user).post("/api/transactions", body).json()["transaction"]


def retrieved(client, transaction) -> dict:
    response = client.get(f"/api/transactions/{transaction['_id']}")
    assert response.status_code == 200
    return json.loads(response.content, parse_float=Decimal)["transaction"]


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_transaction_with_its_debit_and_its_credit(client_of, payer, payee, transaction, slash):
    response = client_of(payer.user).get(f"/api/transactions/{transaction['_id']}{slash}")

    assert response.status_code == 200
    shown = response.json()["transaction"]
    assert shown.keys() == KEYS
    assert {name: shown[name] for name in transaction} == transaction
    assert shown["kind"] == "TRANSFER"
    debit, credit = shown["entries"]
    assert debit.keys() == credit.keys() == ENTRY_KEYS
    assert (debit["direction"], debit["account"]) == ("DEBIT", str(payer.pk))
    assert (credit["direction"], credit["account"]) == ("CREDIT", str(payee.pk))
    assert debit["counterAccount"] == credit["account"]
    assert credit["counterAccount"] == debit["account"]
    assert debit["amount"] == credit["amount"] == 10.5


@pytest.mark.parametrize("side", [0, 1], ids=["payer", "payee"])
def test_each_party_sees_how_its_own_account_stands_and_not_how_the_others_does(
    client_of, payer, payee, transaction, side
):
    shown = retrieved(client_of((payer, payee)[side].user), transaction)
    own, theirs = shown["entries"][side], shown["entries"][1 - side]
    entry = Entry.objects.get(pk=ObjectId(own["_id"]))
    assert (own["sequence"], own["hash"], own["balanceAfter"]) == (2, entry.hash, entry.balance_after)
    assert {name: theirs[name] for name in HIDDEN} == dict.fromkeys(HIDDEN)
    assert all(theirs[name] is not None for name in ENTRY_KEYS - set(HIDDEN))


def test_the_others_balance_is_nowhere_in_the_answer(client_of, payer, payee, transaction):
    other = Entry.objects.get(account=payee, sequence=2)
    content = client_of(payer.user).get(f"/api/transactions/{transaction['_id']}").content.decode()
    assert "87.75" not in content
    assert other.hash not in content


def test_between_ones_own_accounts_everything_shows(client_of, asha, payer, new_account):
    savings = new_account(asha)
    client = client_of(asha)
    body = {"fromAccount": str(payer.pk), "toAccount": str(savings.pk), "amount": 1, "idempotencyKey": "k"}
    shown = retrieved(client, client.post("/api/transactions", body).json()["transaction"])
    assert [entry["balanceAfter"] for entry in shown["entries"]] == [499, 1]
    assert all(entry["hash"] and entry["sequence"] for entry in shown["entries"])


def test_who_was_issued_funds_does_not_see_how_much_was_issued_in_all(client_of, payer, system_user):
    issued = Transaction.objects.get(to_account=payer)
    for user, visible in ((payer.user, "CREDIT"), (system_user, "DEBIT")):
        shown = retrieved(client_of(user), {"_id": str(issued.pk)})
        assert shown["kind"] == "INITIAL_FUNDS"
        assert [entry["direction"] for entry in shown["entries"] if entry["hash"]] == [visible]
    assert Account.objects.filter(kind=Account.Kind.EQUITY).exists()


def test_anothers_an_unknown_and_a_malformed_id_are_word_for_word_the_same_404(client_of, new_user, transaction):
    client = client_of(new_user())
    answers = set()
    for transaction_id in (transaction["_id"], ObjectId(), "nothing", "g" * 24, "0" * 23, "%00", "system"):
        response = client.get(f"/api/transactions/{transaction_id}", HTTP_X_REQUEST_ID="request-1")
        assert response.status_code == 404
        assert response["Content-Type"] == "application/problem+json"
        answers.add(response.content)
    assert len(answers) == 1
    assert b'"code":"not_found"' in answers.pop()


def test_a_system_user_does_not_see_transactions_of_others_either(client_of, system_user, transaction):
    assert client_of(system_user).get(f"/api/transactions/{transaction['_id']}").status_code == 404


@pytest.mark.parametrize("side", ["DEBIT", "CREDIT"])
def test_where_an_entry_was_removed_nothing_is_claimed_of_the_transaction(client_of, asha, transaction, side):
    found = {"transaction": ObjectId(transaction["_id"]), "direction": side}
    assert database()["entries"].delete_one(found).deleted_count == 1
    response = client_of(asha).get(f"/api/transactions/{transaction['_id']}")
    assert response.status_code == 409
    assert described_as(response, "getTransaction")["code"] == "statement_broken"
