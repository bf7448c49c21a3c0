"""The filter that staff's lists of what happened share: by days."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters, ModelAdmin
from django.contrib.admin.views.main import ERROR_FLAG, PAGE_VAR, ChangeList
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils import timezone

FROM, TO = "from", "to"


class DaysFilter(admin.ListFilter):
    """The rows of some days in UTC, the first and the last among them: `?from=2026-01-01&to=2026-01-31`."""

    title = "day (UTC)"
    template = "office/days_filter.html"
    parameter_names = (FROM, TO)
    field = "created_at"

    def __init__(self, request: HttpRequest, params: dict[str, Any], model: type[Model], admin_: ModelAdmin) -> None:
        super().__init__(request, params, model, admin_)
        self.first, self.last = (_day(params.pop(name, [""])[-1]) for name in self.parameter_names)

    def since(self, moment: datetime) -> dict[str, Any]:
        """The look-ups of the rows from `moment` on."""
        return {f"{self.field}__gte": moment}

    def until(self, moment: datetime) -> dict[str, Any]:
        """The look-ups of the rows before `moment`."""
        return {f"{self.field}__lt": moment}

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        """The rows of the chosen days."""
        since = self.since(_midnight(self.first)) if self.first else {}
        until = self.until(_midnight(self.last) + timedelta(days=1)) if self.last else {}
        return queryset.filter(**since, **until)

    def has_output(self) -> bool:
        """Always."""
        return True

    def expected_parameters(self) -> list[str | None]:
        """Both."""
        return [*self.parameter_names]

    def choices(self, changelist: ChangeList) -> Iterator[dict[str, Any]]:
        """Links to some days that are often asked for; the template has fields for any others."""
        for display, first, last in _often_asked_for(timezone.now().astimezone(UTC).date()):
            chosen = {FROM: first and str(first), TO: last and str(last)}
            yield {
                "selected": (first, last) == (self.first, self.last),
                "query_string": changelist.get_query_string(chosen),  # None takes a parameter out
                "display": display,
            }

    @property
    def kept(self) -> list[tuple[str, Any]]:
        """What else the address asks for, and goes on asking for when other days are chosen."""
        own = {*self.parameter_names, PAGE_VAR, ERROR_FLAG}
        return [(name, value) for name, value in self.request.GET.items() if name not in own]


def _often_asked_for(today: date) -> Iterator[tuple[str, date | None, date | None]]:
    yield "Any", None, None
    yield "Today", today, today
    yield "7 days", today - timedelta(days=6), today
    yield "30 days", today - timedelta(days=29), today
    last_of_month = today.replace(day=1) - timedelta(days=1)
    yield f"{last_of_month:%B}", last_of_month.replace(day=1), last_of_month


def _day(text: str) -> date | None:
    """The day that `text` names, if any. Raises IncorrectLookupParameters, which leads back to the whole list."""
    try:
        day = date.fromisoformat(text) if text else None
    except ValueError as error:
        raise IncorrectLookupParameters(error) from None
    return day and min(day, date(9999, 12, 30))  # the last one has no day after it


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), tzinfo=UTC)
