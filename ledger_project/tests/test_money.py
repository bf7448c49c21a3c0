"""Major units outside, integers of the minor unit inside, and not a digit lost on the way."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger_project.money import (
    MAX_AMOUNT_MINOR,
    MAX_BALANCE_MINOR,
    InvalidAmount,
    UnknownCurrency,
    currencies_by_decimals,
    decimals,
    minor_range,
    parse_amount,
    to_major,
    to_minor,
)

NOT_AMOUNTS = [
    *(0, -1, -500, Decimal(0), Decimal("-0.01"), Decimal("-0"), Decimal("0E+5")),
    *(Decimal("NaN"), Decimal("sNaN"), Decimal("Infinity"), Decimal("-Infinity")),
    *(True, False, None, [], [500], {}, {"$gt": 0}, b"500", 1.5),
    *("", " ", "abc", "500abc", "0x10", "1,000", "1_000", " 5 ", "5 ", "\n5", "+5", "-5", "--5", "5-", ".", "e5", "1e"),
    *("NaN", "nan", "sNaN", "Infinity", "-inf", "0", "0.00", "-0"),
    *("\uff15\uff10\uff10", "\u0665\u0660\u0660", "\u096b\u0966\u0966", "\u00bd", "\ud800", "5\x00"),
    *("9" * 40, "9" * 41, "0." + "0" * 37 + "1", "1" + "0" * 16, "1e16", "1e400", "1e-400", "1e-1000100"),
    *(10**16, 10**5000, Decimal("1e400"), Decimal("1e-400"), Decimal("1e-1000100"), Decimal("1e-999999999999999999")),
    Decimal("1." + "1" * 28),
]


def test_what_is_no_positive_finite_sensible_number_is_no_amount():
    for raw in NOT_AMOUNTS:
        with pytest.raises(InvalidAmount):
            parse_amount(raw)


@pytest.mark.parametrize(
    ("raw", "amount"),
    [
        (500, "500"),
        (Decimal("10.5"), "10.5"),
        (Decimal("1e2"), "100"),
        ("500", "500"),
        ("10.50", "10.50"),
        ("0.01", "0.01"),
        (".5", "0.5"),
        ("5.", "5"),
        ("007", "7"),
        ("1e2", "100"),
        ("1E+2", "100"),
        ("50e-1", "5.0"),
        (10**15, "1000000000000000"),
        ("90071992547409.91", "90071992547409.91"),
    ],
)
def test_numbers_and_numeric_strings_are_read_digit_for_digit(raw, amount):
    assert parse_amount(raw) == Decimal(amount)


@pytest.mark.parametrize(("currency", "places"), [("INR", 2), ("USD", 2), ("JPY", 0), ("BHD", 3), ("CLF", 4)])
def test_a_currency_has_the_decimals_of_iso_4217(currency, places):
    assert decimals(currency) == places


def test_what_has_no_minor_unit_is_no_currency():
    for currency in ("", "inr", "INRR", "ZZZ", "356", "XAU", "XTS", "XXX", "IN\x00", "\ud800NR"):
        with pytest.raises(UnknownCurrency):
            decimals(currency)


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [
        ("500", "INR", 50000),
        ("10.5", "INR", 1050),
        ("0.01", "INR", 1),
        ("500.000", "INR", 50000),
        ("500", "JPY", 500),
        ("500.0", "JPY", 500),
        ("1e3", "JPY", 1000),
        ("0.001", "BHD", 1),
        ("10000000000000", "INR", MAX_AMOUNT_MINOR),
    ],
)
def test_an_amount_becomes_minor_units(amount, currency, minor):
    assert to_minor(Decimal(amount), currency) == minor


@pytest.mark.parametrize(
    ("amount", "currency"),
    [("0.001", "INR"), ("10.505", "INR"), ("0.5", "JPY"), ("0.0001", "BHD"), ("1e-28", "INR"), ("0.009", "INR")],
)
def test_more_decimals_than_the_currency_has_are_refused_not_rounded(amount, currency):
    with pytest.raises(InvalidAmount, match=f"more decimals than {currency} has"):
        to_minor(Decimal(amount), currency)


def test_one_minor_unit_over_the_largest_amount_is_refused():
    with pytest.raises(InvalidAmount, match="out of range"):
        to_minor(Decimal("10000000000000.01"), "INR")


@given(st.integers(1, MAX_AMOUNT_MINOR), st.sampled_from(["INR", "JPY", "BHD", "CLF"]))
def test_minor_to_major_and_back_is_the_same_number(minor, currency):
    assert to_minor(to_major(minor, currency), currency) == minor


@given(st.integers(-MAX_BALANCE_MINOR, MAX_BALANCE_MINOR))
def test_every_balance_that_fits_an_int64_is_printed_exactly(minor):
    assert int(to_major(minor, "INR") * 100) == minor


@pytest.mark.parametrize(
    ("low", "high", "places", "bounds"),
    [
        ("1", "2", 2, {"$gte": 100, "$lte": 200}),
        ("1.005", "1.995", 2, {"$gte": 101, "$lte": 199}),
        ("0.5", None, 0, {"$gte": 1}),
        (None, "0.5", 0, {"$lte": 0}),
        ("1e15", "1e15", 4, {"$gte": MAX_BALANCE_MINOR, "$lte": MAX_BALANCE_MINOR}),
    ],
)
def test_a_range_of_amounts_keeps_within_its_bounds(low, high, places, bounds):
    assert minor_range(low and Decimal(low), high and Decimal(high), places) == bounds


def test_the_currencies_are_grouped_by_their_decimals():
    groups = currencies_by_decimals()
    assert "INR" in groups[2]
    assert "JPY" in groups[0]
    assert "BHD" in groups[3]
    assert not any("XAU" in codes for codes in groups.values())
