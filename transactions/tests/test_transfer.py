"""POST /api/transactions/"""

import json
import re

import pytest
from bson import ObjectId

from accounts.models import Account
from accounts.opening import set_status
from ledger_project.mongo import database
from ledger_project.tests.dumps import dump
from transactions.models import Entry, Transaction

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
KEYS = {
    *("_id", "fromAccount", "toAccount", "amount", "currency", "status", "idempotencyKey", "createdAt", "updatedAt"),
}
REQUIRED = "FromAccount, toAccount, amount and idempotencyKey are required"
INVALID = "Invalid fromAccount or toAccount"
NOT_ACTIVE = "Both fromAccount and toAccount must be ACTIVE to process transaction"


class Scene:
    """Asha, who has 500 and a client, and Ben, who has nothing."""

    def __init__(self, new_user, new_account, client_of) -> None:
        self.asha, self.ben = new_user(name="Asha"), new_user(name="Ben")
        self.payer, self.payee = new_account(self.asha, funds=500), new_account(self.ben)
        self.client = client_of(self.asha)

    def body(self, **changes) -> dict:
        body = {
            "fromAccount": str(self.payer.pk),
            "toAccount": str(self.payee.pk),
            "amount": 200,
            "idempotencyKey": "k",
        }
        return body | changes

    def post(self, path: str = "/api/transactions/", **changes):
        return self.client.post(path, self.body(**changes))

    def post_raw(self, amount: str):
        """The amount as it stands in the bytes of the request."""
        raw = json.dumps(self.body(amount="@@")).replace('"@@"', amount)
        return self.client.post("/api/transactions", raw.encode(), content_type="application/json")

    def assert_refused(self, response, status: int, message: str | None = None, code: str | None = None) -> None:
        assert response.status_code == status, response.content
        assert response["Content-Type"] == "application/problem+json"
        assert message is None or response.json()["message"] == message
        assert code is None or response.json()["code"] == code


@pytest.fixture
def scene(new_user, new_account, client_of) -> Scene:
    return Scene(new_user, new_account, client_of)


def balances(*accounts: Account) -> list[int]:
    return [Account.objects.get(pk=account.pk).balance_minor for account in accounts]


@pytest.mark.parametrize("path", ["/api/transactions", "/api/transactions/"])
def test_money_moves(scene, path):
    response = scene.post(path)

    assert response.status_code == 201
    assert response["Content-Type"] == "application/json"
    assert "Idempotent-Replay" not in response
    body = response.json()
    assert body.keys() == {"message", "transaction"}
    assert body["message"] == "Transaction completed successfully"
    shown = body["transaction"]
    assert shown.keys() == KEYS
    assert re.fullmatch("[0-9a-f]{24}", shown["_id"])
    assert (shown["fromAccount"], shown["toAccount"]) == (str(scene.payer.pk), str(scene.payee.pk))
    assert (shown["amount"], shown["currency"], shown["status"]) == (200, "INR", "COMPLETED")
    assert shown["idempotencyKey"] == "k"
    assert TIME.fullmatch(shown["createdAt"])
    assert TIME.fullmatch(shown["updatedAt"])
    assert balances(scene.payer, scene.payee) == [30000, 20000]


def test_a_transfer_is_one_transaction_two_entries_and_a_word_for_the_outbox(scene):
    before = {name: len(rows) for name, rows in dump().items()}
    scene.post()
    after = {name: len(rows) for name, rows in dump().items()}
    grown = {name: after[name] - before[name] for name in after}
    assert {name: number for name, number in grown.items() if number} == {
        "transactions": 1,
        "entries": 2,
        "notices_due": 1,
    }


def test_the_entries_are_equal_and_opposite_and_carry_the_balance_after_them(scene):
    transaction = Transaction.objects.get(pk=ObjectId(scene.post().json()["transaction"]["_id"]))
    debit, credit = Entry.objects.get(pk=transaction.debit_entry), Entry.objects.get(pk=transaction.credit_entry)
    assert (debit.direction, debit.account_id, debit.counter_account_id) == ("DEBIT", scene.payer.pk, scene.payee.pk)
    assert (credit.direction, credit.account_id, credit.counter_account_id) == (
        "CREDIT",
        scene.payee.pk,
        scene.payer.pk,
    )
    assert debit.amount_minor == credit.amount_minor == 20000
    assert (debit.balance_after_minor, credit.balance_after_minor) == (30000, 20000)
    assert (debit.sequence, credit.sequence) == (2, 1)
    assert debit.transaction_id == credit.transaction_id == transaction.pk


@pytest.mark.parametrize(
    ("amount", "printed", "minor"),
    [
        ("500", b"500", 50000),
        ("500.0", b"500", 50000),
        ('"500"', b"500", 50000),
        ("10.5", b"10.5", 1050),
        ('"10.50"', b"10.5", 1050),
        ("0.01", b"0.01", 1),
        ("1e2", b"100", 10000),
        ("1.5E+1", b"15", 1500),
        ('"1e2"', b"100", 10000),
        ("499.99", b"499.99", 49999),
    ],
)
def test_an_amount_moves_and_is_printed_digit_for_digit(scene, amount, printed, minor):
    response = scene.post_raw(amount)
    assert response.status_code == 201
    assert b'"amount":%s,' % printed in response.content
    assert balances(scene.payer, scene.payee) == [50000 - minor, minor]


BAD_AMOUNTS = [
    *("0", "-0", "0.00", "-1", "-500", "-0.01", "1e400", "-1e400", "1e-400", "1e-1000100", "0.001", "0.009", "100.005"),
    *("true", "false", "[]", "[500]", "{}", '{"$gt": 0}', "NaN", "Infinity", "-Infinity", "1_000", "+5", "0x10", "05"),
    *('""', '" "', '"abc"', '"NaN"', '"sNaN"', '"Infinity"', '"-Infinity"', '"1_000"', '" 5 "', '"5 "', '"+5"', '"-5"'),
    *('"0"', '"1e400"', '"1e-400"', '"0.001"', '"1,000"', '"0x10"', '"true"', '"\\uff15"', '"\\u0665"', '"\\ud800"'),
    *(
        '"5\\u0000"',
        '"%s"' % ("9" * 40),
        '"%s1"' % ("0" * 40),
        "9" * 40,
        "1" * 4400,
        "1" + "0" * 16,
        "10000000000000.01",
    ),
    *("1e999999999999999999999", '"1e999999999999999999999"', "1." + "0" * 27 + "1"),
]


def test_what_is_no_amount_is_400_and_moves_nothing(scene):
    before = dump()
    for amount in BAD_AMOUNTS:
        response = scene.post_raw(amount)
        assert response.status_code == 400, amount
        assert response["Content-Type"] == "application/problem+json"
        assert dump() == before, amount
    assert scene.post().status_code == 201  # the key is still free


@pytest.mark.parametrize(
    ("currency", "funds", "good", "bad"),
    [("JPY", "1000", "500", ["0.5", "500.1", '"0.01"']), ("BHD", "10", "0.001", ["0.0001", '"1.2345"'])],
)
def test_a_currency_has_its_own_decimals(scene, new_account, currency, funds, good, bad):
    scene.payer = new_account(scene.asha, funds=funds, currency=currency)
    scene.payee = new_account(scene.ben, currency=currency)
    before = dump()
    for amount in bad:
        scene.assert_refused(scene.post_raw(amount), 400, code="invalid_amount")
    assert dump() == before
    response = scene.post_raw(good)
    assert response.status_code == 201
    assert b'"amount":%s,"currency":"%s"' % (good.encode(), currency.encode()) in response.content


@pytest.mark.parametrize("field", ["fromAccount", "toAccount", "amount", "idempotencyKey"])
def test_a_missing_field_is_400(scene, field):
    before = dump()
    without = {name: value for name, value in scene.body().items() if name != field}
    for body in (without, without | {field: None}, {}):
        scene.assert_refused(scene.client.post("/api/transactions", body), 400, REQUIRED)
    assert dump() == before


@pytest.mark.parametrize("field", ["fromAccount", "toAccount", "idempotencyKey"])
def test_an_empty_string_is_as_good_as_missing(scene, field):
    before = dump()
    scene.assert_refused(scene.post(**{field: ""}), 400, REQUIRED)
    assert dump() == before


@pytest.mark.parametrize("field", ["fromAccount", "toAccount"])
def test_an_unknown_or_malformed_account_is_400_word_for_word(scene, field):
    before = dump()
    for account_id in (
        *(str(ObjectId()), "nothing", "0" * 23, "0" * 25, "g" * 24, "x" * 300, "\x00" * 24, "66f0c1b2a4  e5d6f708192a"),
        *(7, True, [], ["x"], {}, {"$ne": ""}, {"$gt": ""}, {"$oid": "66f0c1b2a4e5d6f708192a3b"}),
    ):
        scene.assert_refused(scene.post(**{field: account_id}), 400, INVALID, "invalid_accounts")
    assert dump() == before


def test_anothers_account_as_payer_is_word_for_word_the_answer_for_an_unknown_one(scene, new_user, new_account):
    rich = new_account(new_user(), funds=1000)
    frozen = new_account(new_user(), funds=1000)
    set_status(account_id=frozen.pk, status=Account.Status.FROZEN)
    dollars = new_account(new_user(), funds=1000, currency="USD")
    equity = Account.objects.filter(kind=Account.Kind.EQUITY).first()
    before = dump()

    answers = {
        scene.client.post(
            "/api/transactions", scene.body(fromAccount=str(account_id)), HTTP_X_REQUEST_ID="request-1"
        ).content
        for account_id in (rich.pk, frozen.pk, dollars.pk, equity.pk, scene.payee.pk, ObjectId(), "malformed")
    }

    assert len(answers) == 1
    assert INVALID.encode() in answers.pop()
    assert dump() == before


def test_not_even_a_system_user_spends_from_anothers_account(scene, client_of, system_user):
    scene.client = client_of(system_user)
    before = dump()
    scene.assert_refused(scene.post(), 400, INVALID)
    assert dump() == before


@pytest.mark.parametrize("status", [Account.Status.FROZEN, Account.Status.CLOSED])
@pytest.mark.parametrize("side", ["payer", "payee"])
def test_an_account_that_is_not_active_neither_pays_nor_receives(scene, new_account, side, status):
    if side == "payer" and status == Account.Status.CLOSED:
        scene.payer = new_account(scene.asha)  # only an empty account closes
    set_status(account_id=getattr(scene, side).pk, status=status)
    before = dump()
    scene.assert_refused(scene.post(), 400, NOT_ACTIVE, "account_not_active")
    assert dump() == before


@pytest.mark.parametrize(
    ("funds", "amount", "message"),
    [
        ("500", 1000, "Insufficient balance. Current balance is 500. Requested amount is 1000"),
        ("10.5", 11, "Insufficient balance. Current balance is 10.5. Requested amount is 11"),
        ("10.50", "11.00", "Insufficient balance. Current balance is 10.5. Requested amount is 11"),
        ("0.01", "0.02", "Insufficient balance. Current balance is 0.01. Requested amount is 0.02"),
        (0, "0.01", "Insufficient balance. Current balance is 0. Requested amount is 0.01"),
        ("100", "1e3", "Insufficient balance. Current balance is 100. Requested amount is 1000"),
    ],
)
def test_more_than_the_balance_is_refused_with_both_numbers(scene, new_account, funds, amount, message):
    scene.payer = new_account(scene.asha, funds=funds)
    before = dump()
    response = scene.post(amount=amount)
    scene.assert_refused(response, 400, message, "insufficient_funds")
    assert response.json()["retryable"] is False
    assert dump() == before


def test_the_whole_balance_may_go_and_not_a_paisa_more(scene):
    scene.assert_refused(scene.post(amount="500.01"), 400)
    assert scene.post(amount="500.00").status_code == 201
    assert balances(scene.payer, scene.payee) == [0, 50000]


def test_an_account_does_not_pay_itself(scene):
    before = dump()
    scene.assert_refused(scene.post(toAccount=str(scene.payer.pk)), 400, code="same_account")
    scene.assert_refused(scene.post(toAccount=str(scene.payer.pk).upper()), 400, code="same_account")
    assert dump() == before


def test_between_ones_own_two_accounts_money_moves(scene, new_account):
    savings = new_account(scene.asha)
    assert scene.post(toAccount=str(savings.pk)).status_code == 201
    assert balances(scene.payer, savings) == [30000, 20000]


def test_accounts_of_two_currencies_do_not_pay_each_other(scene, new_account):
    dollars = new_account(scene.ben, currency="USD")
    before = dump()
    scene.assert_refused(scene.post(toAccount=str(dollars.pk)), 400, code="currency_mismatch")
    assert dump() == before


def test_a_refusal_does_not_use_up_its_key(scene):
    for changes in (
        {"amount": 501},
        {"amount": 0},
        {"toAccount": str(ObjectId())},
        {"toAccount": str(scene.payer.pk)},
        {"fromAccount": str(scene.payee.pk)},
    ):
        assert scene.post(**changes).status_code == 400
    response = scene.post()
    assert response.status_code == 201
    assert "Idempotent-Replay" not in response


def test_an_id_in_upper_case_is_the_same_account(scene):
    response = scene.post(fromAccount=str(scene.payer.pk).upper())
    assert response.status_code == 201
    assert response.json()["transaction"]["fromAccount"] == str(scene.payer.pk)


def test_names_that_the_contract_does_not_know_change_nothing(scene, new_user):
    other = new_user()
    response = scene.post(initiator=str(other.pk), currency="USD", status="REVERSED", kind="INITIAL_FUNDS", _id="x")
    assert response.status_code == 201
    transaction = Transaction.objects.get(idempotency_key="k")
    assert transaction.initiator_id == scene.asha.pk
    assert (transaction.currency, transaction.status, transaction.kind) == ("INR", "COMPLETED", "TRANSFER")


def test_balances_are_kept_as_integers_the_large_ones_too(scene, new_user, new_account):
    new_account(new_user(), funds=10**12)
    types = database()["accounts"].aggregate([{"$project": {"type": {"$type": "$balance_minor"}}}])
    assert {row["type"] for row in types} == {"int", "long"}  # never a double
