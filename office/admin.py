"""Staff's lists behind the dashboard: hours of movements, hours of the engine, verifications."""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar

from bson import ObjectId
from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django_otp.plugins.otp_static.models import StaticDevice
from django_otp.plugins.otp_totp.models import TOTPDevice
from unfold.decorators import display

from ledger_project.admin import ReadOnlyAdmin, moment, money
from ledger_project.filters import DaysFilter
from ledger_project.mongo import collection
from office import dashboard
from office.figures import DAYS, percentile, reason
from office.models import EngineHour, HourlyMovement, Verification

# Their pages show the keys, and who knows the key of another is past the other's second factor.
admin.site.unregister([TOTPDevice, StaticDevice])


class HoursFilter(DaysFilter):
    """The hours of some days: their names begin with the day."""

    def since(self, moment: datetime) -> dict[str, Any]:
        """From this day on."""
        return {"hour__gte": str(moment.date())}

    def until(self, moment: datetime) -> dict[str, Any]:
        """Before this day."""
        return {"hour__lt": str(moment.date())}


class MovementCurrencyFilter(admin.SimpleListFilter):
    """By currency, with which the ids begin."""

    title = "currency"
    parameter_name = "currency"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
        """The dashboard's."""
        return [(code, code) for code in dashboard.currencies()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[HourlyMovement]) -> QuerySet[HourlyMovement]:
        """The hours of the chosen one."""
        currency = self.value()
        return _of_currency(queryset, currency) if currency else queryset


class RefusalFilter(admin.SimpleListFilter):
    """Hours in which something was refused for a reason."""

    title = "refusal"
    parameter_name = "refusal"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
        """The reasons of as many hours as the dashboard goes back."""
        hours = collection(EngineHour).find({}, ["refusals"]).sort("_id", -1).limit(24 * max(DAYS))
        codes = {code for hour in hours for code in hour.get("refusals", {})}
        return [(code, reason(code)) for code in sorted(codes)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[EngineHour]) -> QuerySet[EngineHour]:
        """The hours with the chosen one."""
        if (code := self.value()) is None:
            return queryset
        return queryset.filter(refusals__has_key=code) if code in dict(self.lookup_choices) else queryset.none()


class _Figures(ReadOnlyAdmin):
    """For whoever may see transactions: these are sums of them, and of what became of them."""

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Whoever may see transactions."""
        return request.user.has_perm("transactions.view_transaction")  # type: ignore[union-attr]

    def has_module_permission(self, request: HttpRequest) -> bool:
        """The same."""
        return self.has_view_permission(request)

    def has_export_permission(self, request: HttpRequest) -> bool:
        """Whoever may take transactions out."""
        may_export = request.user.has_perm("transactions.export_transaction")  # type: ignore[union-attr]
        return may_export and self.has_view_permission(request)


@admin.register(HourlyMovement)
class HourlyMovementAdmin(_Figures):
    """What moved, hour by hour."""

    export_columns: ClassVar[tuple[str, ...]] = (
        "hour",
        "currency",
        "kind",
        "transactions",
        "volume",
    )
    list_display = ("hour", "currency", "kind", "transactions", "moved")
    list_filter = ("kind", MovementCurrencyFilter, HoursFilter)
    search_help_text = "A currency"
    fields = (("hour", "currency"), ("kind", "transactions"), "moved")

    def search(self, queryset: QuerySet[HourlyMovement], term: str) -> QuerySet[HourlyMovement]:
        """Of one currency, newest first."""
        return _of_currency(queryset, term.upper())

    @display(description="volume")
    def moved(self, row: HourlyMovement) -> str:
        """All amounts together, in major units."""
        return money(row.volume, row.currency)


@admin.register(EngineHour)
class EngineHourAdmin(_Figures):
    """How the engine fared, hour by hour."""

    export_columns: ClassVar[tuple[str, ...]] = (
        "hour",
        "calls",
        "transfers",
        "groups",
        "refusals",
        "milliseconds",
        "sizes",
    )
    list_display = ("hour", "calls", "transfers", "groups", "median", "slow", "refused")
    list_filter = (RefusalFilter, HoursFilter)
    search_help_text = "An hour: 2026-11-22T09"
    fields = (("hour", "calls"), ("transfers", "groups"), ("median", "slow"), "refused", "group_sizes")

    def search(self, queryset: QuerySet[EngineHour], term: str) -> QuerySet[EngineHour]:
        """An hour, or the hours of a day."""
        return queryset.filter(pk__gte=term, pk__lt=f"{term}~")

    @display(description="half answered within")
    def median(self, hour: EngineHour) -> str:
        """The median."""
        return _milliseconds(hour, 0.5)

    @display(description="95 % within")
    def slow(self, hour: EngineHour) -> str:
        """The 95th percentile."""
        return _milliseconds(hour, 0.95)

    @display(description="refusals")
    def refused(self, hour: EngineHour) -> SafeString | str:
        """Each reason with its number."""
        return _lines({reason(code): count for code, count in Counter(hour.refusals).most_common()})

    @display(description="transfers in a group, up to")
    def group_sizes(self, hour: EngineHour) -> SafeString | str:
        """How many groups there were of each size."""
        return _lines(dict(sorted(hour.sizes.items(), key=lambda size: int(size[0]))))


@admin.register(Verification)
class VerificationAdmin(_Figures):
    """How verifications of the whole ledger ended."""

    export_columns: ClassVar[tuple[str, ...]] = (
        "pk",
        "began_at",
        "seconds",
        "whole",
        "accounts",
        "transactions",
        "entries",
        "counts",
    )
    list_display = ("began", "result", "accounts", "transactions", "entries", "took")
    search_help_text = "Id of a verification"
    fields = (("began", "took"), ("result", "accounts"), ("transactions", "entries"), "found")
    began = moment("began_at", "began")

    def search(self, queryset: QuerySet[Verification], term: str) -> QuerySet[Verification]:
        """By id."""
        return queryset.filter(pk=ObjectId(term)) if ObjectId.is_valid(term) else queryset.none()

    @display(description="result", label={"Whole": "success", "Not whole": "danger"})
    def result(self, verification: Verification) -> str:
        """Whether the ledger is whole, in colour."""
        return "Whole" if verification.whole else "Not whole"

    @display(description="took")
    def took(self, verification: Verification) -> str:
        """How long."""
        return f"{verification.seconds:.1f} s"

    @display(description="findings")
    def found(self, verification: Verification) -> SafeString | str:
        """The first of what does not fit."""
        rows = ((row["code"], row["subject"], row["message"]) for row in verification.findings)
        return format_html_join("", "<p>{} · {}<br>{}</p>", rows) or "None"


def _of_currency(queryset: QuerySet[HourlyMovement], currency: str) -> QuerySet[HourlyMovement]:
    return queryset.filter(pk__gte=f"{currency}|", pk__lt=f"{currency}|~")


def _milliseconds(hour: EngineHour, share: float) -> str:
    bound = percentile(hour.milliseconds, share)
    return f"{bound:,} ms" if bound is not None else "-"


def _lines(counts: Mapping[str, Any]) -> SafeString | str:
    # With the commas already: what format_html gets is text by the time that it is formatted.
    rows = format_html_join("", "<li>{}: {}</li>", ((name, f"{count:,}") for name, count in counts.items()))
    return format_html("<ul>{}</ul>", rows) if rows else "-"
