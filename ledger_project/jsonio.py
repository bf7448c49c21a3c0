"""JSON in and out for money: numbers are read as Decimal and printed digit for digit, never through a binary float."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import IO, Any

import orjson
from bson import ObjectId
from django.conf import settings
from rest_framework import parsers, renderers
from rest_framework.exceptions import APIException, ParseError
from rest_framework.negotiation import DefaultContentNegotiation


def dumps(value: Any) -> bytes:
    """Encode `value`: Decimal as an exact number, ObjectId as 24 hex digits, a datetime as UTC milliseconds with Z."""
    return orjson.dumps(value, default=_encode, option=orjson.OPT_PASSTHROUGH_DATETIME)


def _encode(value: Any) -> Any:
    if isinstance(value, Decimal):
        return orjson.Fragment(plain(value))
    if isinstance(value, ObjectId):
        return str(value)
    if isinstance(value, datetime):
        return timestamp(value)
    if isinstance(value, dict):  # DRF's ReturnDict and other subclasses
        return dict(value)
    if isinstance(value, (list, tuple)):
        return list(value)
    if isinstance(value, str):  # ErrorDetail, lazy strings
        return str(value)
    raise TypeError(f"not JSON: {type(value).__name__}")


def plain(amount: Decimal) -> str:
    """`amount` with neither exponent nor trailing zeros: 500, 10.5, -0.01."""
    text = format(amount, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


@lru_cache(maxsize=1024)  # a group's transactions have one time, and each names it twice
def timestamp(moment: datetime) -> str:
    """`moment` as JavaScript prints it: 2026-11-22T09:30:00.123Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class PayloadTooLarge(APIException):
    """The body is larger than MAX_REQUEST_BYTES, or that of a batch than MAX_BATCH_BYTES."""

    status_code = 413
    default_code = "payload_too_large"
    default_detail = "The request body is too large."


class JSONParser(parsers.BaseParser):
    """Read application/json, numbers as Decimal; refuse NaN, Infinity, repeated names, and what is not UTF-8."""

    media_type = "application/json"

    def limit(self) -> int:
        """How many bytes a body may have."""
        return settings.MAX_REQUEST_BYTES

    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        """Return the decoded body. Raises ParseError for what is not JSON, PayloadTooLarge past `limit`."""
        raw = stream.read(self.limit() + 1)
        if len(raw) > self.limit():
            raise PayloadTooLarge
        try:
            return json.loads(
                raw.decode("utf-8"),
                parse_float=Decimal,
                parse_constant=_refuse_constant,
                object_pairs_hook=_unique_names,
            )
        except (ValueError, ArithmeticError, RecursionError):  # an exponent past what Decimal holds is Arithmetic
            raise ParseError("The request body is not valid JSON.") from None


class BatchParser(JSONParser):
    """The same for bodies of many transfers."""

    def limit(self) -> int:
        """MAX_BATCH_BYTES."""
        return settings.MAX_BATCH_BYTES


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def _unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is repeated")
    return found


class JSONRenderer(renderers.BaseRenderer):
    """Write application/json."""

    media_type = "application/json"
    format = "json"
    charset = None

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Mapping[str, Any] | None = None
    ) -> bytes:
        """Encode `data`; nothing for an empty answer."""
        return b"" if data is None else dumps(data)


class JSONNegotiation(DefaultContentNegotiation):
    """JSON, at once, for whoever asks for it or does not care; DRF's way with any other Accept header."""

    def select_renderer(self, request: Any, renderers: Any, format_suffix: str | None = None) -> Any:
        """The renderer and its media type. Raises NotAcceptable."""
        first = renderers[0]
        if isinstance(first, JSONRenderer) and request.META.get("HTTP_ACCEPT", "*/*") in ("*/*", first.media_type):
            return first, first.media_type
        return super().select_renderer(request, renderers, format_suffix)
