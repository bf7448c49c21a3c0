"""GET /api/accounts/:accountId/entries: the statement of an account."""

import json
import random
from decimal import Decimal
from uuid import uuid4

import pytest
from bson import ObjectId

from accounts.models import GENESIS, Account
from ledger_project.mongo import database
from ledger_project.tests.test_openapi import described_as
from transactions import ledger
from transactions.posting import Transfer, entry_hash


@pytest.fixture
def account(new_user, new_account):
    return new_account(new_user(), funds=1000)


@pytest.fixture
def other(new_user, new_account):
    return new_account(new_user())


@pytest.fixture
def client(client_of, account):
    return client_of(account.user)


def pay(payer, payee, amount="1") -> None:
    ledger.post(
        Transfer(
            initiator=payer.user_id,
            from_account=payer.pk,
            to_account=payee.pk,
            amount=Decimal(amount),
            idempotency_key=uuid4().hex,
        )
    )


def entries(client, account, **query) -> dict:
    response = client.get(f"/api/accounts/{account.pk}/entries", query)
    assert response.status_code == 200, response.content
    return json.loads(response.content, parse_float=Decimal)


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_statement_newest_first(client, account, other, slash):
    pay(account, other, "10.50")
    pay(other, account, "0.50")

    response = client.get(f"/api/accounts/{account.pk}/entries{slash}")

    assert response.status_code == 200
    body = response.json()
    assert body.keys() == {"entries", "nextCursor"}
    assert body["nextCursor"] is None
    assert [entry["sequence"] for entry in body["entries"]] == [3, 2, 1]
    assert [entry["direction"] for entry in body["entries"]] == ["CREDIT", "DEBIT", "CREDIT"]
    assert [entry["amount"] for entry in body["entries"]] == [0.5, 10.5, 1000]
    assert [entry["balanceAfter"] for entry in body["entries"]] == [990, 989.5, 1000]
    equity = Account.objects.get(kind=Account.Kind.EQUITY)
    assert [entry["counterAccount"] for entry in body["entries"]] == [str(other.pk), str(other.pk), str(equity.pk)]
    assert all(entry["account"] == str(account.pk) for entry in body["entries"])
    assert body["entries"][0].keys() == {
        *("_id", "account", "sequence", "direction", "amount", "currency", "balanceAfter", "counterAccount"),
        *("transaction", "createdAt", "hash", "kind"),
    }
    assert [entry["kind"] for entry in body["entries"]] == ["TRANSFER", "TRANSFER", "INITIAL_FUNDS"]


def test_each_balance_follows_from_the_one_before_and_the_last_is_the_accounts(client, account, other):
    dice = random.Random(7)
    for _ in range(12):
        pay(account, other, str(Decimal(dice.randint(1, 5000)).scaleb(-2)))
        pay(other, account, "0.01")
    balance = Decimal(0)
    rows = entries(client, account)["entries"][::-1]
    for number, entry in enumerate(rows, start=1):
        assert entry["sequence"] == number
        balance += Decimal(entry["amount"]) * (1 if entry["direction"] == "CREDIT" else -1)
        assert entry["balanceAfter"] == balance
    account.refresh_from_db()
    assert (account.balance, account.sequence, account.chain_head) == (balance, len(rows), rows[-1]["hash"])


def test_the_hashes_chain_from_the_first_entry_to_the_head_of_the_account(account, other):
    for _ in range(5):
        pay(account, other)
    head = GENESIS
    for entry in database()["entries"].find({"account": account.pk}).sort("sequence", 1):
        head = entry_hash(head, entry)
        assert entry["hash"] == head
    account.refresh_from_db()
    assert account.chain_head == head


def test_pages_hold_every_entry_once_even_when_new_ones_arrive(client, account, other):
    for _ in range(6):
        pay(account, other)
    seen, query = [], {"limit": 3}
    while True:
        answer = entries(client, account, **query)
        seen += [entry["sequence"] for entry in answer["entries"]]
        if answer["nextCursor"] is None:
            break
        query["cursor"] = answer["nextCursor"]
        pay(account, other)
    assert seen == [7, 6, 5, 4, 3, 2, 1]


def test_a_full_last_page_has_no_cursor(client, account, other):
    pay(account, other)
    assert entries(client, account, limit=2)["nextCursor"] is None
    assert entries(client, account, limit=1)["nextCursor"] == "2"


def test_a_new_account_has_no_entries(client_of, other):
    assert entries(client_of(other.user), other) == {"entries": [], "nextCursor": None}


@pytest.mark.parametrize(
    "query",
    [
        *({"limit": "0"}, {"limit": "201"}, {"limit": "x"}, {"cursor": "0"}, {"cursor": "-1"}, {"cursor": "x"}),
        *({"cursor": "9223372036854775808"}, {"cursor": "1" + "0" * 30}, {"cursor": "9" * 2000}, {"cursor": "\x00"}),
    ],
)
def test_a_malformed_limit_or_cursor_is_400(client, account, query):
    assert client.get(f"/api/accounts/{account.pk}/entries", query).status_code == 400


def test_the_largest_cursor_there_is_shows_everything(client, account):
    assert len(entries(client, account, cursor=2**63 - 1)["entries"]) == 1


def test_anothers_an_unknown_and_a_malformed_account_are_one_404(client, other):
    answers = set()
    for account_id in (other.pk, ObjectId(), "nothing", "g" * 24, "%00"):
        response = client.get(f"/api/accounts/{account_id}/entries", HTTP_X_REQUEST_ID="request-1")
        assert response.status_code == 404
        answers.add(response.content)
    assert len(answers) == 1
    assert b'"message":"Account not found"' in answers.pop()


def test_where_a_transaction_was_removed_nothing_is_claimed_of_its_entry(client, account):
    database()["transactions"].delete_one({"to_account": account.pk})
    response = client.get(f"/api/accounts/{account.pk}/entries")
    assert response.status_code == 409
    assert described_as(response, "listEntries")["code"] == "statement_broken"
