"""GET /api/transactions/"""

from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from bson import ObjectId

from ledger_project.jsonio import timestamp
from transactions import ledger
from transactions.models import Transaction
from transactions.posting import Transfer

PATH = "/api/transactions"


@pytest.fixture
def asha(new_user):
    return new_user(name="Asha")


@pytest.fixture
def ben(new_user):
    return new_user(name="Ben")


@pytest.fixture
def wallet(asha, new_account):
    return new_account(asha, funds=1000)


@pytest.fixture
def shop(ben, new_account):
    return new_account(ben)


@pytest.fixture
def client(client_of, asha):
    return client_of(asha)


def pay(payer, payee, amount="1") -> str:
    transfer = Transfer(
        initiator=payer.user_id,
        from_account=payer.pk,
        to_account=payee.pk,
        amount=Decimal(amount),
        idempotency_key=uuid4().hex,
    )
    return str(ledger.post(transfer).transaction.pk)


def ids(response) -> list[str]:
    assert response.status_code == 200, response.content
    return [transaction["_id"] for transaction in response.json()["transactions"]]


def walk(client, **query) -> list[str]:
    """The ids of all pages."""
    seen = []
    while True:
        response = client.get(PATH, query)
        seen += ids(response)
        query["cursor"] = response.json()["nextCursor"]
        if query["cursor"] is None:
            return seen


@pytest.mark.parametrize("path", [PATH, f"{PATH}/"])
def test_newest_first_what_the_caller_paid_and_received(client, wallet, shop, new_user, new_account, path):
    paid = pay(wallet, shop, "10.5")
    back = pay(shop, wallet, "0.5")
    pay(new_account(new_user(), funds=5), shop)

    response = client.get(path)

    issued = str(Transaction.objects.get(kind="INITIAL_FUNDS", to_account=wallet).pk)
    assert ids(response) == [back, paid, issued]
    assert response.json().keys() == {"transactions", "nextCursor"}
    assert response.json()["nextCursor"] is None
    keys = {
        "_id",
        "fromAccount",
        "toAccount",
        "amount",
        "currency",
        "status",
        "idempotencyKey",
        "createdAt",
        "updatedAt",
        "kind",
    }
    assert all(transaction.keys() == keys for transaction in response.json()["transactions"])
    assert b'"amount":10.5,' in response.content


def test_of_others_nothing_shows(client_of, wallet, shop, new_user):
    pay(wallet, shop)
    assert client_of(new_user()).get(PATH).json() == {"transactions": [], "nextCursor": None}


def test_a_transfer_between_ones_own_accounts_shows_once(client, asha, wallet, new_account):
    moved = pay(wallet, new_account(asha))
    assert ids(client.get(PATH)).count(moved) == 1


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8])
def test_pages_hold_every_row_once(client, wallet, shop, limit):
    made = [pay(wallet, shop) for _ in range(7)]
    assert walk(client, limit=limit)[:-1] == made[::-1]


def test_rows_that_arrive_while_paging_neither_repeat_nor_hide_others(client, wallet, shop):
    made = [pay(wallet, shop) for _ in range(6)]
    first = client.get(PATH, {"limit": 3})
    newer = [pay(wallet, shop) for _ in range(3)]
    second = client.get(PATH, {"limit": 3, "cursor": first.json()["nextCursor"]})
    assert ids(first) + ids(second) == made[::-1]
    assert ids(client.get(PATH, {"limit": 3})) == newer[::-1]


def test_a_full_last_page_has_no_cursor(client, wallet, shop):
    pay(wallet, shop)
    response = client.get(PATH, {"limit": 2})
    assert len(ids(response)) == 2
    assert response.json()["nextCursor"] is None


@pytest.mark.parametrize(
    ("limit", "status"), [("1", 200), ("200", 200), ("0", 400), ("201", 400), ("-1", 400), ("1.5", 400), ("x", 400)]
)
def test_a_page_has_1_to_200_rows(client, limit, status):
    assert client.get(PATH, {"limit": limit}).status_code == status


def test_without_a_limit_a_page_has_50_rows(client, wallet, shop):
    for _ in range(50):
        pay(wallet, shop)
    response = client.get(PATH)
    assert len(ids(response)) == 50
    assert response.json()["nextCursor"] is not None


@pytest.mark.parametrize("cursor", ["x", "g" * 24, "0" * 23, "66f0c1b2a4  e5d6f708192a", "\x00", "[]", '{"$gt":""}'])
def test_a_malformed_cursor_is_400(client, cursor):
    assert client.get(PATH, {"cursor": cursor}).status_code == 400


def test_of_one_account(client, asha, wallet, shop, new_account):
    savings = new_account(asha)
    pay(wallet, shop)
    moved = pay(wallet, savings)
    assert ids(client.get(PATH, {"account": str(savings.pk)})) == [moved]
    assert len(ids(client.get(PATH, {"account": str(wallet.pk)}))) == 3


def test_anothers_an_unknown_and_a_malformed_account_are_one_404(client, wallet, shop):
    pay(wallet, shop)
    for account in (str(shop.pk), str(ObjectId()), "nothing", "\x00a", '{"$ne":""}'):
        response = client.get(PATH, {"account": account})
        assert response.status_code in ({404} if "\x00" not in account else {400, 404}), account
    assert client.get(PATH, {"account": str(shop.pk)}).json()["message"] == "Account not found"


@pytest.mark.parametrize(("status", "number"), [("COMPLETED", 2), ("REVERSED", 0)])
def test_by_status(client, wallet, shop, status, number):
    pay(wallet, shop)
    assert len(ids(client.get(PATH, {"status": status}))) == number


@pytest.mark.parametrize("status", ["completed", "PENDING", "x", "$ne"])
def test_an_unknown_status_is_400(client, status):
    assert client.get(PATH, {"status": status}).status_code == 400


def test_by_time_from_included_until_not(client, wallet, shop):
    made = [pay(wallet, shop) for _ in range(3)]
    moments = [Transaction.objects.get(pk=ObjectId(pk)).created_at for pk in made]
    a_bit = timedelta(milliseconds=1)
    assert ids(client.get(PATH, {"createdAfter": timestamp(moments[2])}))[0] == made[2]
    assert made[2] not in ids(client.get(PATH, {"createdAfter": timestamp(moments[2] + a_bit)}))
    assert made[2] not in ids(client.get(PATH, {"createdBefore": timestamp(moments[2])}))
    assert made[2] in ids(client.get(PATH, {"createdBefore": timestamp(moments[2] + a_bit)}))
    query = {"createdAfter": timestamp(moments[1]), "createdBefore": timestamp(moments[1] + a_bit)}
    assert made[1] in ids(client.get(PATH, query))


@pytest.mark.parametrize(
    ("query", "number"),
    [
        ({"createdAfter": "0001-01-01T00:00:00Z"}, 1),
        ({"createdAfter": "1969-12-31T23:59:59Z"}, 1),
        ({"createdAfter": "2020-01-01"}, 1),
        ({"createdAfter": "2020-01-01T00:00:00+05:30"}, 1),
        ({"createdAfter": "2106-02-07T06:28:16Z"}, 0),
        ({"createdAfter": "9999-12-31T23:59:59Z"}, 0),
        ({"createdBefore": "0001-01-01T00:00:00Z"}, 0),
        ({"createdBefore": "1970-01-01T00:00:00Z"}, 0),
        ({"createdBefore": "2106-02-07T06:28:16Z"}, 1),
        ({"createdBefore": "9999-12-31T23:59:59.999Z"}, 1),
        ({"createdAfter": "2099-01-01", "createdBefore": "2020-01-01"}, 0),
    ],
)
def test_times_as_far_away_as_can_be_written_are_compared_like_any_other(client, wallet, query, number):
    assert len(ids(client.get(PATH, query))) == number


@pytest.mark.parametrize(
    "moment", ["yesterday", "2026-13-01", "2026-02-30T00:00:00Z", "0001-01-01T00:00:00+14:00", "1"]
)
@pytest.mark.parametrize("name", ["createdAfter", "createdBefore"])
def test_what_is_no_time_is_400(client, name, moment):
    assert client.get(PATH, {name: moment}).status_code == 400


@pytest.fixture
def amounts(asha, ben, new_account):
    """The caller's transactions in three currencies with 0, 2 and 3 decimals; 1 and 2 of each, besides the funding."""
    made = {}
    for currency in ("JPY", "INR", "BHD"):
        payer, payee = new_account(asha, funds=1000, currency=currency), new_account(ben, currency=currency)
        made |= {(currency, amount): pay(payer, payee, amount) for amount in ("1", "2")}
    return made


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"minAmount": "1", "maxAmount": "1"}, {"1"}),
        ({"minAmount": "1.5", "maxAmount": "2"}, {"2"}),
        ({"minAmount": "0.001", "maxAmount": "1.999"}, {"1"}),
        ({"maxAmount": "2.0"}, {"1", "2"}),
        ({"minAmount": "2.0001", "maxAmount": "999.9999"}, set()),
        ({"minAmount": "3", "maxAmount": "2"}, set()),
        ({"maxAmount": "0.5"}, set()),
    ],
)
def test_an_amount_is_of_major_units_whatever_the_currency(client, amounts, query, expected):
    wanted = {pk for (_, amount), pk in amounts.items() if amount in expected}
    assert set(ids(client.get(PATH, query))) == wanted


@pytest.mark.parametrize("bound", ["1e15", "999999999999999.9999"])
def test_a_bound_past_every_amount_is_compared_like_any_other(client, amounts, bound):
    assert ids(client.get(PATH, {"minAmount": bound})) == []
    assert len(ids(client.get(PATH, {"maxAmount": bound}))) == 9


@pytest.mark.parametrize("amount", ["x", "0", "-1", "NaN", "Infinity", "1e400", "1e-1000100", "1,5", " 5 ", "9" * 41])
@pytest.mark.parametrize("name", ["minAmount", "maxAmount"])
def test_what_is_no_amount_is_400(client, name, amount):
    assert client.get(PATH, {name: amount}).status_code == 400


def test_filters_and_pages_go_together(client, wallet, shop):
    made = [pay(wallet, shop, amount) for amount in ("5", "7", "5", "7", "5", "7")]
    seen = walk(client, minAmount="7", maxAmount="7", account=str(wallet.pk), status="COMPLETED", limit=2)
    assert seen == made[1::2][::-1]
