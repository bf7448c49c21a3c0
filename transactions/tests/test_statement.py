"""GET /api/accounts/:accountId/statement: a period of an account as JSON, CSV or PDF; it always adds up."""

import csv
import io
import json
import re
import zlib
from base64 import a85decode
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from bson import ObjectId
from hypothesis import given, settings
from hypothesis import strategies as st
from reportlab.pdfbase import pdfmetrics

from accounts.models import GENESIS, Account
from ledger_project.mongo import database
from ledger_project.tests.profiler import profiled
from ledger_project.tests.test_openapi import described_as
from transactions import account_history, ledger
from transactions.invariants import Link
from transactions.models import Entry
from transactions.posting import AccountState, Books, Order, Posting, Transfer, carry_out
from transactions.statement import StatementBroken, statement
from transactions.statement_letters import set_in
from users.models import User

DAY = timedelta(days=1)
START = datetime(2026, 1, 10, 12, tzinfo=UTC)


def state(user, *, may_overdraw=False) -> AccountState:
    return AccountState(ObjectId(), user, "CUSTOMER", "ACTIVE", "INR", may_overdraw, 0, 0, GENESIS)


def postings_of(amounts: list[int], times: list[datetime] | None = None) -> tuple[ObjectId, list[Posting]]:
    """An account's postings by the ledger's own rules: credits for positive amounts, debits for negative ones."""
    one, other = state(ObjectId(), may_overdraw=True), state(ObjectId(), may_overdraw=True)
    books = Books({one.id: one, other.id: other})
    postings = []
    for number, amount in enumerate(amounts):
        payer, payee = (other, one) if amount > 0 else (one, other)
        command = Transfer(payer.user, payer.id, payee.id, Decimal(abs(amount)) / 100, str(number))
        (posting,), books = carry_out(Order((command,)), books, times[number] if times else START)
        postings.append(posting)
    return one.id, postings


def entries_of(amounts: list[int]) -> tuple[ObjectId, list[dict]]:
    """Its entries."""
    key, postings = postings_of(amounts)
    return key, [entry for posting in postings for entry in posting.entries if entry["account"] == key]


def stored_account(user: User) -> Account:
    """Ten entries: a credit of 1.00, 2.00, …, one a day from START on, at noon."""
    times = [START + number * DAY for number in range(10)]
    key, postings = postings_of([100 * (number + 1) for number in range(10)], times)
    entries = [entry for posting in postings for entry in posting.entries if entry["account"] == key]
    document = {
        "_id": key, "user": user.pk, "name": "", "kind": "CUSTOMER", "status": "ACTIVE", "currency": "INR",
        "may_overdraw": False, "balance_minor": entries[-1]["balance_after_minor"], "sequence": 10,
        "chain_head": entries[-1]["hash"], "created_at": START - DAY, "updated_at": START,
    }  # fmt: skip
    database()["accounts"].insert_one(document)
    database()["transactions"].insert_many([posting.transaction for posting in postings])
    database()["entries"].insert_many(entries)
    return Account.objects.get(pk=key)


def made(account, entries, before=None):
    return statement(
        account=account, currency="INR", since=START, until=START + DAY, before=before or Link(), entries=entries
    )


amounts = st.lists(st.integers(-(10**6), 10**6).filter(bool), max_size=12)


@settings(max_examples=60, deadline=None)
@given(amounts, st.data())
def test_it_always_adds_up_wherever_it_is_cut(amounts, data):
    account, entries = entries_of(amounts)
    cut = data.draw(st.integers(0, len(entries)))
    first = made(account, entries[:cut])
    second = made(account, entries[cut:], Link.after(entries[cut - 1]) if cut else Link())

    for found in (first, second):
        assert found.opening_minor + found.credited_minor - found.debited_minor == found.closing_minor
    assert first.closing_minor == second.opening_minor
    assert second.closing_minor == sum(amounts)
    assert second.chain_head == (entries[-1]["hash"] if entries else GENESIS)


@pytest.mark.parametrize(
    "tamper",
    [
        {"amount_minor": 1},
        {"balance_after_minor": 12345},
        {"direction": "DEBIT"},
        {"sequence": 9},
        {"hash": "0" * 64},
        {"currency": "EUR"},
        {"counter_account": ObjectId()},
    ],
)
def test_of_tampered_entries_there_is_no_statement(tamper):
    account, entries = entries_of([500, 200, 300])
    entries[1] |= tamper
    with pytest.raises(StatementBroken):
        made(account, entries)


def test_of_entries_with_one_missing_there_is_no_statement():
    account, entries = entries_of([500, 200, 300])
    with pytest.raises(StatementBroken):
        made(account, [entries[0], entries[2]])


# --- Over HTTP ---------------------------------------------------------------------------------------------------


@pytest.fixture
def account(new_user):
    return stored_account(new_user(name="Asha =Rao"))


@pytest.fixture
def client(client_of, account):
    return client_of(account.user)


def get(client, account, **query):
    return client.get(
        f"/api/accounts/{account.pk}/statement", {name.rstrip("_"): value for name, value in query.items()}
    )


def test_all_of_it(client, account):
    body = described_as(get(client, account), "getStatement")["statement"]

    assert (body["openingBalance"], body["closingBalance"], body["credited"], body["debited"]) == (0, 55, 55, 0)
    assert [entry["sequence"] for entry in body["entries"]] == list(range(1, 11))
    assert body["chainHead"] == account.chain_head


def test_a_period_of_days_holds_both_of_them_in_full(client, account):
    body = get(client, account, from_="2026-01-12", to="2026-01-13").json()["statement"]

    assert [entry["sequence"] for entry in body["entries"]] == [3, 4]
    assert (body["openingBalance"], body["closingBalance"]) == (3, 10)
    assert (body["from"], body["to"]) == ("2026-01-12T00:00:00.000Z", "2026-01-14T00:00:00.000Z")


def test_periods_that_follow_one_another_share_no_entry_and_lose_none(client, account):
    noon = "2026-01-14T12:00:00Z"  # the very time of an entry
    one, two = get(client, account, to=noon).json()["statement"], get(client, account, from_=noon).json()["statement"]

    assert one["closingBalance"] == two["openingBalance"]
    assert [entry["sequence"] for entry in one["entries"] + two["entries"]] == list(range(1, 11))


@pytest.mark.parametrize(("days", "balance"), [(("2025-01-01", "2025-12-31"), 0), (("2027-01-01", "2027-01-02"), 55)])
def test_a_period_without_entries_opens_and_closes_alike(client, account, days, balance):
    body = get(client, account, from_=days[0], to=days[1]).json()["statement"]
    assert (body["openingBalance"], body["closingBalance"], body["entries"]) == (balance, balance, [])


def test_csv(client, account):
    response = get(client, account, from_="2026-01-12", to="2026-01-13", format="csv")

    assert response["Content-Type"] == "text/csv"
    assert f"statement-{account.pk}-2026-01-12" in response["Content-Disposition"]
    rows = list(csv.reader(io.StringIO(response.content.decode("utf-8-sig"))))
    named = {row[0]: row[1] for row in rows if len(row) == 2}
    assert (named["opening balance"], named["closing balance"], named["credited"]) == ("3", "10", "7")
    assert [row[3] for row in rows if len(row) == 8][1:] == ["3", "4"]
    assert named["chain head"] == [row[7] for row in rows if len(row) == 8][-1]


def pdf_text(content: bytes) -> str:
    """What is drawn on the pages."""
    streams = re.findall(rb"stream\r?\n(.*?)endstream", content, re.DOTALL)
    drawn = b"".join(zlib.decompress(a85decode(b"<~" + stream.strip(), adobe=True)) for stream in streams)
    return " ".join(piece.decode("cp1252") for piece in re.findall(rb"\((.*?)\) Tj", drawn))


def test_pdf(client, account):
    response = get(client, account, from_="2026-01-12", to="2026-01-13", format="pdf")

    assert response["Content-Type"] == "application/pdf"
    assert response.content.startswith(b"%PDF-")
    text = pdf_text(response.content)
    for said in ("Asha =Rao", str(account.pk), "Opening balance", "3.00", "Closing balance", "10.00", "Page 1"):
        assert said in text


@pytest.mark.parametrize("name", ["Ελένη Παπαδοπούλου", "Мария Иванова", "अर्जुन शर्मा", "محمد علي", "Łukasz Żółć"])
def test_a_name_in_another_script_is_drawn_with_a_font_that_has_it(name):
    drawn, font = set_in("Helvetica", name, 9)
    assert font == "FiraGO_Regular"
    assert set(map(ord, drawn)) <= set(pdfmetrics.getFont(font).face.charToGlyph)


def test_that_font_is_in_the_file(client, account):
    account.user.name = "Мария Иванова"
    account.user.save(update_fields=["name"])
    assert b"FiraGO" in get(client, account, format="pdf").content


def test_a_name_that_every_reader_can_draw_brings_no_font_along(client, account):
    assert b"FontFile2" not in get(client, account, format="pdf").content


def test_a_long_pdf_goes_on_over_pages(client, new_account, account):
    payee = new_account(account.user)
    payer = new_account(account.user, funds=1000)
    ledger.post_together([Transfer(payer.user_id, payer.pk, payee.pk, Decimal(1), uuid4().hex) for _ in range(120)])

    text = pdf_text(get(client, payee, format="pdf").content)
    assert "Page 3" in text
    assert "120.00" in text


@pytest.mark.parametrize("accept", ["text/csv", "application/pdf", "application/json", "*/*"])
def test_who_accepts_a_file_only_is_not_turned_away(client, account, accept):
    kind = accept.rpartition("/")[2].replace("*", "json")
    response = client.get(f"/api/accounts/{account.pk}/statement?format={kind}", HTTP_ACCEPT=accept)
    assert response.status_code == 200
    refused = client.get(f"/api/accounts/{ObjectId()}/statement?format={kind}", HTTP_ACCEPT=accept)
    assert (refused.status_code, refused["Content-Type"]) == (404, "application/problem+json")


@pytest.mark.parametrize("name", ["statement", "balance", "history"])
def test_not_the_callers_unknown_or_malformed_is_one_404(client_of, new_user, account, name):
    another = client_of(new_user())
    for key in (account.pk, ObjectId(), "nothing", "%00"):
        response = another.get(f"/api/accounts/{key}/{name}")
        assert response.status_code == 404
        assert response.json()["code"] == "account_not_found"
    assert client_of().get(f"/api/accounts/{account.pk}/{name}").status_code == 401


@pytest.mark.parametrize(
    ("name", "query"),
    [
        ("statement", "from=2026-02-30"),
        ("statement", "from=yesterday"),
        ("statement", "from=2026-02-02&to=2026-01-31"),
        ("statement", "from=2026-02-02T00:00:00Z&to=2026-02-02T00:00:00Z"),
        ("statement", "format=xml"),
        ("statement", "from=%00"),
        ("balance", "at=1"),
        ("balance", "at=9999-99-99"),
        ("history", "points=0"),
        ("history", "points=401"),
        ("history", "to=noon"),
    ],
)
def test_a_bad_question_is_a_400_that_names_the_field(client, account, name, query):
    response = client.get(f"/api/accounts/{account.pk}/{name}?{query}")
    assert response.status_code == 400
    assert response.json()["errors"][0]["field"] in ("from", "to", "at", "points", "format")


@pytest.mark.parametrize(
    "moment", ["0001-01-01", "9999-12-31", "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00"]
)
def test_the_ends_of_time_are_times(client, account, moment):
    assert client.get(f"/api/accounts/{account.pk}/balance", {"at": moment}).status_code in (200, 400)
    assert get(client, account, to=moment).status_code in (200, 400)


def test_a_period_too_full_is_refused(client, account, monkeypatch):
    monkeypatch.setattr(account_history, "MAX_ENTRIES", 9)
    response = get(client, account)
    assert (response.status_code, response.json()["code"]) == (400, "statement_too_long")
    (until,) = re.findall(r"ends at (\S+Z) or before", response.json()["message"])
    first, rest = get(client, account, to=until), get(client, account, from_=until)
    assert [answer.status_code for answer in (first, rest)] == [200, 200]
    assert first.json()["statement"]["closingBalance"] == rest.json()["statement"]["openingBalance"]


def test_of_a_ledger_that_was_tampered_with_there_is_no_statement(client, account):
    database()["entries"].update_one({"account": account.pk, "sequence": 5}, {"$inc": {"amount_minor": 1}})

    response = get(client, account)
    assert (response.status_code, response.json()["code"]) == (409, "statement_broken")
    assert get(client, account, to="2026-01-12").status_code == 200


@pytest.mark.parametrize("removed", [1, 5, 8, 10])
def test_where_an_entry_was_removed_nothing_is_claimed_that_needs_it(client, account, removed):
    moment = START + (removed - 1) * DAY + timedelta(seconds=1)  # the entry was the last one then
    database()["entries"].delete_one({"account": account.pk, "sequence": removed})
    asked = {
        "getStatement": get(client, account),
        "getBalanceHistory": client.get(f"/api/accounts/{account.pk}/history"),
        "getBalanceAt": client.get(f"/api/accounts/{account.pk}/balance", {"at": moment.isoformat()}),
    }
    for operation, response in asked.items():
        assert described_as(response, operation)["code"] == "statement_broken"
        assert response.status_code == 409


# --- The balance at a time, and the chart ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "balance", "sequence"),
    [
        ("2026-01-09", 0, 0),
        ("2026-01-10T12:00:00Z", 0, 0),
        ("2026-01-10T12:00:00.001Z", 1, 1),
        ("2026-01-10", 1, 1),
        ("2026-01-15", 21, 6),
        ("2026-01-15T17:30:00+05:30", 15, 5),
        ("2026-03-01", 55, 10),
    ],
)
def test_the_balance_at_a_time(client, account, at, balance, sequence):
    response = client.get(f"/api/accounts/{account.pk}/balance", {"at": at})
    body = described_as(response, "getBalanceAt")
    assert (body["balance"], body["sequence"]) == (balance, sequence)


def test_without_a_time_it_is_the_balance_now(client, account):
    body = client.get(f"/api/accounts/{account.pk}/balance/").json()
    assert (body["balance"], body["sequence"]) == (55, 10)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 300), st.integers(0, 300))
def test_a_moment_is_found_by_halves(length, cut):
    """Against a plain count, over accounts of any length."""
    account = Account(id=ObjectId(), sequence=length)
    asked = []

    def created_at(account_id, sequence):
        assert 1 <= sequence <= length
        asked.append(sequence)
        return START + sequence * DAY

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(account_history, "_created_at", created_at)
        found = account_history.last_before(account, START + cut * DAY + timedelta(seconds=1))

    assert found == min(length, cut)
    assert len(asked) <= length.bit_length()


def test_what_comes_later_does_not_change_the_past(account):
    """Also where two clocks differ: an entry with an earlier time behind one with a later."""
    late = {"created_at": START + 3 * DAY + timedelta(seconds=-1)}
    database()["entries"].update_one({"account": account.pk, "sequence": 5}, {"$set": late})
    moment = START + 4 * DAY
    found = {account_history.last_before(Account(id=account.pk, sequence=n), moment) for n in range(6, 11)}
    assert len(found) == 1


def test_the_points_of_a_chart(client, account):
    body = described_as(client.get(f"/api/accounts/{account.pk}/history", {"points": 3}), "getBalanceHistory")
    assert [(p["sequence"], p["balance"]) for p in body["points"]] == [(3, 6), (6, 21), (10, 55)]


def test_the_points_begin_with_what_was_there_before_the_period(client, account):
    body = client.get(f"/api/accounts/{account.pk}/history", {"from": "2026-01-17", "to": "2026-01-18"}).json()
    assert [point["sequence"] for point in body["points"]] == [7, 8, 9]


def test_an_account_without_entries_has_no_points(client, account, new_account):
    assert client.get(f"/api/accounts/{new_account(account.user).pk}/history").json()["points"] == []


@given(st.integers(0, 10**7), st.integers(0, 10**6), st.integers(1, 400))
def test_few_points_evenly_spread_with_the_last_among_them(first, span, count):
    numbers = account_history.sampled(first, first + span, count)
    assert len(numbers) <= count + 1
    assert numbers == sorted(set(numbers))
    assert (numbers[-1:] or [0]) == [first + span] or not first + span


def test_each_costs_a_look_up_for_every_doubling_and_no_scan(client, account, new_account):
    """On an account with many entries of which few are looked at."""
    payer, payee = new_account(account.user, funds=10_000), new_account(account.user)
    transfers = [Transfer(payer.user_id, payer.pk, payee.pk, Decimal(1), uuid4().hex) for _ in range(600)]
    ledger.post_together(transfers)
    client.get(f"/api/accounts/{payee.pk}/balance")

    for path, most in (("balance?at=2100-01-01", 12), ("history?points=5&to=2100-01-01", 26)):
        with profiled() as commands:
            assert client.get(f"/api/accounts/{payee.pk}/{path}").status_code == 200
        looked_at = [command for command in commands if command["ns"].endswith(".entries")]
        assert sum(command.get("docsExamined", 0) for command in looked_at) <= most
        assert not [command for command in looked_at if "COLLSCAN" in command.get("planSummary", "")]


def test_nothing_is_changed_by_looking(client, account):
    before = [json.dumps(row, default=str) for row in database()["entries"].find()]
    for path in ("statement?format=pdf", "balance", "history"):
        client.get(f"/api/accounts/{account.pk}/{path}")
    assert [json.dumps(row, default=str) for row in database()["entries"].find()] == before
    assert Entry.objects.count() == 10


@pytest.mark.parametrize("path", ["balance", "history"])
@pytest.mark.parametrize("media_type", ["text/csv", "application/pdf"])
def test_only_a_statement_is_a_file(client, account, path, media_type):
    assert client.get(f"/api/accounts/{account.pk}/{path}", headers={"Accept": media_type}).status_code == 406
    assert client.get(f"/api/accounts/{account.pk}/statement", headers={"Accept": media_type}).status_code == 200
