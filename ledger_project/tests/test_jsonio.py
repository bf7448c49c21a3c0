"""JSON in and out: numbers digit for digit, and no bytes that make the parser fall over."""

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from io import BytesIO

import pytest
from bson import ObjectId
from hypothesis import given
from hypothesis import strategies as st
from rest_framework.exceptions import ErrorDetail, ParseError

from ledger_project.jsonio import JSONParser, JSONRenderer, PayloadTooLarge, dumps, plain, timestamp


def parse(raw: bytes):
    return JSONParser().parse(BytesIO(raw))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("500", b"500"),
        ("500.00", b"500"),
        ("10.5", b"10.5"),
        ("10.50", b"10.5"),
        ("0.01", b"0.01"),
        ("0", b"0"),
        ("0.00", b"0"),
        ("-0.01", b"-0.01"),
        ("1E+3", b"1000"),
        ("1E-3", b"0.001"),
        ("90071992547409.91", b"90071992547409.91"),
        ("9007199254740993", b"9007199254740993"),
        ("92233720368547758.07", b"92233720368547758.07"),
    ],
)
def test_decimals_are_printed_exactly_as_json_numbers(value, text):
    assert dumps(Decimal(value)) == text


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**17), max_value=10**17, places=4))
def test_a_printed_decimal_reads_back_as_the_same_number(number):
    assert json.loads(dumps(number), parse_float=Decimal, parse_int=Decimal) == number


@given(st.integers(1, 10**15), st.integers(0, 4))
def test_equal_amounts_have_one_plain_form(minor, zeros):
    amount = Decimal(minor).scaleb(-2)
    assert plain(amount) == plain(Decimal(f"{amount}{'0' * zeros}" if "." in str(amount) else amount))


def test_ids_times_and_lazy_strings_have_their_json_form():
    moment = datetime(2026, 11, 22, 15, 0, 0, 123456, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    oid = ObjectId("66f0c1b2a4e5d6f708192a3b")
    value = {"_id": oid, "at": moment, "why": ErrorDetail("no", code="no"), "list": (1, 2)}
    assert json.loads(dumps(value)) == {
        "_id": "66f0c1b2a4e5d6f708192a3b",
        "at": "2026-11-22T09:30:00.123Z",
        "why": "no",
        "list": [1, 2],
    }


def test_a_time_is_printed_as_javascript_prints_it():
    assert timestamp(datetime(2026, 1, 2, tzinfo=UTC)) == "2026-01-02T00:00:00.000Z"


def test_what_has_no_json_form_is_a_defect_not_a_guess():
    with pytest.raises(TypeError):
        dumps({"what": object()})


def test_an_empty_answer_has_no_body():
    assert JSONRenderer().render(None) == b""


def test_numbers_are_read_as_decimals_never_as_floats():
    assert parse(b"[0.1, 10.50, 1e2, 7]") == [Decimal("0.1"), Decimal("10.50"), Decimal("1e2"), 7]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"{]",
        b"not json",
        b"{'a': 1}",
        b'{"a": 1,}',
        b'{"a": 1} {"b": 2}',
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": -Infinity}',
        b'{"a": 1, "a": 2}',
        b'{"a": {"b": 1, "b": 1}}',
        b'{"a": ' + b"9" * 5000 + b"}",
        b'{"a": 1e999999999999999999999}',
        b'{"a": "\xff"}',
        b'{"a": "\xed\xa0\x80"}',
        b"\xef\xbb\xbf{}",
        '{"a": 1}'.encode("utf-16"),
        b'{"a": "\x00"}',
        b"[" * 60_000,
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    ],
    ids=lambda raw: f"{raw[:24]!r} {len(raw)}",
)
def test_what_is_not_proper_json_is_refused_with_one_sentence(raw):
    with pytest.raises(ParseError) as refused:
        parse(raw)
    assert str(refused.value.detail) == "The request body is not valid JSON."


def test_a_body_of_exactly_the_limit_is_read_and_one_byte_more_is_not(settings):
    settings.MAX_REQUEST_BYTES = 100
    body = b'{"a": "' + b"x" * 91 + b'"}'
    assert len(body) == 100
    assert parse(body)["a"] == "x" * 91
    with pytest.raises(PayloadTooLarge):
        parse(body + b" ")
