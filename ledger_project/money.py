"""Money: integers of a currency's minor unit inside, exact decimal numbers of its major unit outside.

The number of decimals of a currency is that of ISO 4217 (INR 2, JPY 0, BHD 3).
"""

import re
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, InvalidOperation
from functools import cache
from http import HTTPStatus
from typing import Any

from iso4217 import Currency

from ledger_project.errors import LedgerError

# JavaScript clients read JSON numbers as doubles: up to 2**53 an integer number of minor units is exact there too.
MAX_AMOUNT_MINOR = 10**15
# Decimal's own arithmetic rounds past 28 digits; what is let in stays exact.
MAX_DIGITS = 28
# What a string must look like to be read as an amount: no spaces, no plus, no underscores, ASCII digits.
_NUMERIC = re.compile(r"-?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
# Int64, what MongoDB can hold without turning it into a double.
MAX_BALANCE_MINOR = 2**63 - 1


class InvalidAmount(LedgerError):
    """Not an amount that can be moved: not a number, not positive, too fine for the currency, or absurdly large."""

    code = "invalid_amount"
    message = "amount must be a positive number"


class UnknownCurrency(LedgerError):
    """Not an ISO 4217 code of a currency that has a minor unit."""

    status = HTTPStatus.BAD_REQUEST
    code = "unknown_currency"
    message = "currency must be an ISO 4217 code"


@cache
def decimals(currency: str) -> int:
    """How many decimals `currency` has. Raises UnknownCurrency (also for gold: it has no minor unit)."""
    try:
        exponent = Currency(currency).exponent
    except ValueError:
        exponent = None
    if exponent is None:
        raise UnknownCurrency
    return exponent


def parse_amount(raw: Any) -> Decimal:
    """Read an amount in major units from JSON: an int, a Decimal or a numeric string; positive, finite, not absurd.

    Raises InvalidAmount. Whether it has too many decimals depends on the currency and is `to_minor`'s to say.
    """
    if isinstance(raw, bool) or not isinstance(raw, (int, Decimal, str)):
        raise InvalidAmount
    if isinstance(raw, str) and (len(raw) > 40 or not _NUMERIC.fullmatch(raw)):
        raise InvalidAmount
    try:
        amount = Decimal(raw)
    except InvalidOperation:
        raise InvalidAmount from None
    if not amount.is_finite() or amount <= 0:
        raise InvalidAmount("amount must be greater than zero")
    # A huge negative exponent would be rounded to zero by arithmetic, and fill the memory when printed digit for digit.
    if amount > MAX_AMOUNT_MINOR or amount.adjusted() < -MAX_DIGITS or len(amount.as_tuple().digits) > MAX_DIGITS:
        raise InvalidAmount("amount is out of range")
    return amount


def to_minor(amount: Decimal, currency: str) -> int:
    """`amount` in major units as an integer of minor units. Raises InvalidAmount when it does not fit exactly."""
    places = decimals(currency)
    scaled = amount.scaleb(places)
    amount_minor = int(scaled)
    if amount_minor != scaled:
        raise InvalidAmount(f"amount has more decimals than {currency} has ({places})")
    if amount_minor > MAX_AMOUNT_MINOR:
        raise InvalidAmount("amount is out of range")
    return amount_minor


def to_major(amount_minor: int, currency: str) -> Decimal:
    """`amount_minor` in major units, exactly."""
    return Decimal(amount_minor).scaleb(-decimals(currency))


@cache
def currencies_by_decimals() -> dict[int, list[str]]:
    """Every currency's code, by its number of decimals."""
    found: dict[int, list[str]] = {}
    for currency in Currency:
        if currency.exponent is not None:
            found.setdefault(currency.exponent, []).append(currency.code)
    return found


def minor_range(low: Decimal | None, high: Decimal | None, places: int) -> dict[str, int]:
    """A MongoDB range over minor units of a currency with `places` decimals, for `low` to `high` in major units.

    A bound past every balance becomes the largest one, for MongoDB takes no larger integer.
    """
    found = {}
    if low is not None:
        found["$gte"] = min(int(low.scaleb(places).to_integral_value(ROUND_CEILING)), MAX_BALANCE_MINOR)
    if high is not None:
        found["$lte"] = min(int(high.scaleb(places).to_integral_value(ROUND_FLOOR)), MAX_BALANCE_MINOR)
    return found
