"""Serializer parts that every app uses: they read shape and scalars; what is allowed is for the ledger to say."""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache, cached_property
from typing import Any, TypeVar, cast

from bson import ObjectId
from django.utils.datastructures import MultiValueDict
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.fields import SkipField, empty

from ledger_project import jsonio

S = TypeVar("S", bound=serializers.Serializer)

MISSING = {"required", "null", "blank"}


@extend_schema_field({"type": "string", "pattern": "^[0-9a-f]{24}$", "examples": ["66f0c1b2a4e5d6f708192a3b"]})
class ObjectIdField(serializers.Field):
    """An id as 24 hex digits."""

    default_error_messages = {"invalid": "Not an id: 24 hex digits are."}

    def to_internal_value(self, data: Any) -> ObjectId:
        """The ObjectId, from a string only."""
        if not isinstance(data, str) or not ObjectId.is_valid(data):
            self.fail("invalid")
        return ObjectId(data)

    def to_representation(self, value: ObjectId) -> str:
        """24 hex digits."""
        return str(value)


class YesOrNo(serializers.BooleanField):
    """`true` or `false`, and none of the other words that DRF takes for them."""

    def to_internal_value(self, data: Any) -> bool:
        """The boolean itself."""
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


@extend_schema_field({"type": "number", "examples": [500, 10.5]})
class MoneyField(serializers.Field):
    """Money out: a Decimal in major units, printed exactly as a JSON number by jsonio."""

    def to_representation(self, value: Any) -> Any:
        """The Decimal itself; jsonio prints it."""
        return value


@extend_schema_field(OpenApiTypes.DATETIME)
class TimestampField(serializers.Field):
    """A time in UTC with milliseconds, as JavaScript prints it."""

    def to_internal_value(self, data: Any) -> datetime:
        """Read an ISO 8601 time."""
        return serializers.DateTimeField().to_internal_value(data)

    def to_representation(self, value: datetime) -> str:
        """2026-11-22T09:30:00.123Z."""
        return jsonio.timestamp(value)


class FieldsMissing(serializers.ValidationError):
    """Required fields are missing; `message` is the one sentence for all of them."""

    def __init__(self, detail: dict[str, Any], message: str) -> None:
        super().__init__(detail)
        self.message = message


class AnswerSerializer(serializers.Serializer):
    """An answer's shape: `of(value)` is its JSON. The source of a field is an attribute, a key, or "*", the whole."""

    @classmethod
    def of(cls, value: Any) -> dict[str, Any]:
        """The JSON of `value`."""
        return _shared(cls).to_representation(value)

    def to_representation(self, instance: Any) -> dict[str, Any]:
        """As DRF does, without asking each field anew where its value comes from: a batch answers a thousand times."""
        read = instance.__getitem__ if isinstance(instance, dict) else instance.__getattribute__
        found = {}
        for name, source, represent in self._parts:
            value = instance if source == "*" else read(source)
            found[name] = None if value is None else represent(value)
        return found

    @cached_property
    def _parts(self) -> list[tuple[str, str, Callable[[Any], Any]]]:
        return [(name, str(field.source), field.to_representation) for name, field in self.fields.items()]


class RequestSerializer(serializers.Serializer):
    """A request body. When a required field is missing, `missing_message` is the sentence the client reads."""

    missing_message: str | None = None

    @classmethod
    def read(cls, data: Any) -> dict[str, Any]:
        """The validated fields of `data`. Raises ValidationError with a row for each field that is wrong."""
        try:
            return _shared(cls).run_validation(data)
        except serializers.ValidationError as error:
            fields = cast("dict[str, Any]", error.detail)
            if cls.missing_message and any(map(_is_missing, fields.values())):
                raise FieldsMissing(fields, cls.missing_message) from None
            raise

    def validate_empty_values(self, data: Any) -> tuple[bool, Any]:
        """`null` is not left to DRF, which lists no field for it: it is no JSON object either, and is told so below."""
        return (False, data) if data is None else super().validate_empty_values(data)

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        """As DRF does; a body that is no JSON object is an error of the whole.

        JSON is read without what DRF does for forms, at a third of the cost: a batch is a thousand of these.
        """
        if not isinstance(data, Mapping):
            raise serializers.ValidationError({"non_field_errors": ["A JSON object is expected."]}, code="invalid")
        if not isinstance(data, dict) or isinstance(data, MultiValueDict):
            return super().to_internal_value(data)
        found, errors = {}, {}
        for name, field in self._readers:
            try:
                found[name] = field.run_validation(data.get(name, empty))
            except serializers.ValidationError as error:
                errors[name] = error.detail
            except SkipField:
                pass
        if errors:
            raise serializers.ValidationError(errors)
        return found

    @cached_property
    def _readers(self) -> list[tuple[str, serializers.Field]]:
        return list(self.fields.items())


def _is_missing(detail: Any) -> bool:
    return isinstance(detail, list) and any(getattr(row, "code", None) in MISSING for row in detail)


@cache
def _shared(cls: type[S]) -> S:
    """One instance of a serializer for all requests. A new one copies every field, which costs more than the work."""
    return cls()
