"""The shapes of statements, balances of the past and the points of a chart."""

from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day
from typing import Any

from django.utils import timezone
from django.utils.dateparse import parse_date
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from ledger_project.serializers import AnswerSerializer, MoneyField, ObjectIdField, RequestSerializer, TimestampField
from transactions.account_history import MAX_POINTS
from transactions.serializers import EntryAnswer

FORMATS = {"json": "application/json", "csv": "text/csv", "pdf": "application/pdf"}
FIRST_MOMENT = datetime(1970, 1, 1, tzinfo=UTC)
LAST_MOMENT = datetime(9999, 12, 30, tzinfo=UTC)


@extend_schema_field(
    {"anyOf": [{"type": "string", "format": "date"}, {"type": "string", "format": "date-time"}]},
)
class MomentField(serializers.DateTimeField):
    """A time, or a day in UTC: its beginning, or with `end_of_day` its end."""

    def __init__(self, *, end_of_day: bool = False, **kwargs: Any) -> None:
        super().__init__(default_timezone=UTC, **kwargs)
        self.end_of_day = end_of_day

    def to_internal_value(self, value: Any) -> datetime:
        """The moment in UTC."""
        moment = (
            self._of_day(value) if isinstance(value, str) and len(value) == 10 else super().to_internal_value(value)
        )
        try:
            return min(max(moment.astimezone(UTC), FIRST_MOMENT), LAST_MOMENT)
        except OverflowError:  # the first or last day there is, in another zone
            self.fail("invalid", format="ISO 8601")

    def _of_day(self, value: str) -> datetime:
        try:
            day: date | None = parse_date(value)
        except ValueError:
            day = None
        if day is None:
            self.fail("invalid", format="YYYY-MM-DD")
        if self.end_of_day and day < LAST_MOMENT.date():
            day += timedelta(days=1)
        return datetime.combine(day, time_of_day(), tzinfo=UTC)


class PeriodQuery(RequestSerializer):
    """`?from=&to=`: without them, from the account's opening until now."""

    since = MomentField(required=False)
    until = MomentField(required=False, end_of_day=True)

    def get_fields(self) -> dict[str, Any]:
        """`from` is no name that Python lets a class have."""
        fields = super().get_fields()
        renamed = {"from": fields.pop("since"), "to": fields.pop("until")}
        renamed["from"].help_text = "A time, included, or a day in UTC. The account's opening by default."
        renamed["to"].help_text = "A time, excluded, or a day in UTC, all of it. Now by default."
        return {**renamed, **fields}

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """The period ends after it begins."""
        if "from" in attrs and "to" in attrs and attrs["to"] <= attrs["from"]:
            raise serializers.ValidationError({"to": "The period ends before it begins."}, code="invalid")
        return attrs

    @staticmethod
    def period(query: dict[str, Any], opened_at: datetime) -> dict[str, datetime]:
        """`since` and `until` of a validated query, for an account that was opened at `opened_at`."""
        until = query.get("to") or timezone.now()
        return {"since": query.get("from") or min(opened_at, until), "until": until}


class StatementQuery(PeriodQuery):
    """A period, and what the statement is written in."""

    format = serializers.ChoiceField(choices=list(FORMATS), default="json")


class HistoryQuery(PeriodQuery):
    """A period, and how many points the chart has."""

    points = serializers.IntegerField(
        min_value=1, max_value=MAX_POINTS, default=100, help_text="At most so many; 100 by default."
    )


class BalanceAtQuery(RequestSerializer):
    """`?at=`: a moment, or a day in UTC at its end."""

    at = MomentField(required=False, end_of_day=True, help_text="A time, or a day in UTC: its end. Now by default.")


class BalanceAtAnswer(AnswerSerializer):
    """`{accountId, balance, at, sequence}`: `sequence` is the number of the entry that left it, 0 before the first."""

    accountId = ObjectIdField()
    balance = MoneyField()
    at = TimestampField()
    sequence = serializers.IntegerField(help_text="The number of the entry that left this balance; 0 before the first.")


class StatementAnswer(AnswerSerializer):
    """Entries between two balances that they explain."""

    account = ObjectIdField()
    currency = serializers.CharField()
    openingBalance = MoneyField()
    credited = MoneyField(help_text="All credits together.")
    debited = MoneyField(help_text="All debits together.")
    closingBalance = MoneyField(help_text="openingBalance + credited - debited.")
    chainHead = serializers.CharField(help_text="The hash of the last entry up to the end of the period.")
    entries = EntryAnswer(many=True)

    def get_fields(self) -> dict[str, Any]:
        """`from` is no name that Python lets a class have."""
        fields = super().get_fields()
        account, currency = fields.pop("account"), fields.pop("currency")
        period = {"from": TimestampField(), "to": TimestampField()}
        return {"account": account, "currency": currency, **period, **fields}


class StatementEnvelope(AnswerSerializer):
    """`{statement}`."""

    statement = StatementAnswer()


class PointAnswer(AnswerSerializer):
    """The balance that an entry left."""

    at = TimestampField()
    balance = MoneyField()
    sequence = serializers.IntegerField()


class HistoryAnswer(AnswerSerializer):
    """`{accountId, currency, points}`: oldest first."""

    accountId = ObjectIdField()
    currency = serializers.CharField()
    points = PointAnswer(many=True)
