"""The first page of the admin: the dashboard's figures as tiles, each for those who may see what is behind it."""

from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest
from django.urls import reverse

from ledger_project import jsonio
from ledger_project.admin import money
from ledger_project.money import to_major
from office import dashboard
from office.figures import DAYS, Period, reason
from transactions import alerts
from transactions.models import Transaction

PERIOD_NAMES = {1: "Today", 7: "7 days", 30: "30 days", 90: "90 days"}
VIEW = "{}.view_{}"


def dashboard_callback(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Unfold's hook: what templates/admin/index.html shows."""
    period, currency = dashboard.chosen(request.GET)
    sees = {name: request.user.has_perm(VIEW.format(*name.split("."))) for name in _LISTS}  # type: ignore[union-attr]
    context |= {
        "title": "Dashboard",
        "choices": _choices(period, currency),
        "currency": currency,
        "period_name": PERIOD_NAMES[period.days],
        "up_to": dashboard.up_to(),
        "lists": {name.split(".")[1]: _list(name) for name, may in sees.items() if may},
    }
    if sees["transactions.transaction"]:
        engine = dashboard.engine(period)
        lists = _lists_of(period, currency)
        context |= _movements(period, currency, engine.refusals, lists) | {"engine": engine}
        findings = alerts.open_findings() if request.user.has_perm(alerts.SEES_FINDINGS) else None  # type: ignore[union-attr]
        proofs = _list("transactions.ledgerfinding") if findings else _list("office.verification")
        context |= {"proven": dashboard.proven(period.now), "verifications": proofs, "findings": findings}
        context |= {"hours": lists["refusals"], "chart_list": lists["volume"]}
    if sees["accounts.account"]:
        counts = dashboard.accounts(currency)
        context["accounts"] = _shares(counts, _ACCOUNT_FILTERS, "accounts.account", currency=currency)
    if sees["users.user"]:
        context["users"] = _shares(dashboard.users(), _USER_FILTERS, "users.user")
    if sees["transactions.approvalrequest"]:
        context["approvals"] = dashboard.pending_approvals()
    if sees["users.notification"]:
        context |= {"queue": dashboard.queue(), "queue_shown": dashboard.QUEUE_SHOWN}
    return context


def _lists_of(period: Period, currency: str) -> dict[str, str]:
    """The lists behind the figures: of the same days, and where there is one to choose, of the same currency."""
    kinds = Transaction.Kind
    first, last = period.dates
    days = {"from": first, "to": last}
    moved = {"currency": currency, **days}
    return {
        "transfers": _list("transactions.transaction", kind__exact=kinds.TRANSFER.value, **moved),
        "issued": _list("transactions.transaction", kind__exact=kinds.INITIAL_FUNDS.value, **moved),
        "volume": _list("office.hourlymovement", kind__exact=kinds.TRANSFER.value, **moved),
        "refusals": _list("office.enginehour", **days),
    }


def _movements(period: Period, currency: str, refused: list[tuple[str, int]], lists: dict[str, str]) -> dict[str, Any]:
    """The figures in the first row, and both charts."""
    moved = dashboard.moved(period.hours, currency)
    changes = dashboard.compared(period, currency)
    circulating = dashboard.in_circulation(currency)
    return {
        "figures": [
            _figure(
                "Transfers",
                moved.count,
                lists["transfers"],
                changes["count"],
                "swap_horiz",
                note=f"{moved.reversals:,} reversal{'s' * (moved.reversals != 1)}" if moved.reversals else "",
            ),
            _figure("Volume", moved.volume, lists["volume"], changes["volume"], "payments", unit=currency),
            _figure(
                "Money issued",
                moved.issued,
                lists["issued"],
                changes["issued"],
                "account_balance",
                unit=currency,
                note=f"{money(circulating, currency)} in circulation" if circulating is not None else "",
            ),
            _figure(
                "Refusals",
                sum(count for _, count in refused),
                lists["refusals"],
                None,
                "block",
                note="in all currencies",
            ),
        ],
        "refusals": _bars([(reason(code), count, f"{lists['refusals']}&refusal={code}") for code, count in refused]),
        "charts": [
            _chart(period, "Transfers", "bar", period.bucketed(moved.transfers)),
            _chart(
                period,
                f"Volume, {currency}",
                "line",
                [to_major(minor, currency) for minor in period.bucketed(moved.minor)],
            ),
        ],
    }


def _figure(
    title: str, value: Decimal | int, href: str, change: int | None, icon: str, *, note: str = "", unit: str = ""
) -> dict[str, Any]:
    figure = {"title": title, "value": f"{value:,f}" if unit else f"{value:,}", "unit": unit, "href": href}
    return figure | {"change": change, "icon": icon, "note": note}


def _chart(period: Period, title: str, kind: str, values: list[Any]) -> dict[str, Any]:
    """A chart as office.js reads it; the numbers are exact."""
    labels = [period.label(bucket) for bucket in period.buckets]
    return {
        "title": f"{title} per {'hour' if period.days == 1 else 'day'}",
        "data": jsonio.dumps({"kind": kind, "label": title, "labels": labels, "values": values}).decode(),
        "is_empty": not any(values),
    }


def _shares(
    counts: dict[str, int], filters: dict[str, tuple[str, dict[str, str]]], model: str, **shared: str
) -> list[dict[str, Any]]:
    """Counts as bars, each with the list that it counts; `shared` are the filters of all of them."""
    return _bars(
        [(filters[name][0], count, _list(model, **filters[name][1], **shared)) for name, count in counts.items()]
    )


def _bars(rows: list[tuple[str, int, str]]) -> list[dict[str, Any]]:
    most = max([count for _, count, _ in rows], default=0) or 1
    return [
        {"label": label, "count": count, "href": href, "percent": count * 100 // most} for label, count, href in rows
    ]


def _choices(period: Period, currency: str) -> dict[str, list[dict[str, Any]]]:
    """The links that choose another period or currency."""
    return {
        "periods": [
            {"label": PERIOD_NAMES[days], "href": _address(days, currency), "chosen": days == period.days}
            for days in DAYS
        ],
        "currencies": [
            {"label": code, "href": _address(period.days, code), "chosen": code == currency}
            for code in sorted({*dashboard.currencies(), currency})
        ],
    }


def _address(days: int, currency: str) -> str:
    return "?" + urlencode({"period": days, "currency": currency})


def _list(model: str, **filters: str) -> str:
    address = reverse("admin:{}_{}_changelist".format(*model.split(".")))
    return f"{address}?{urlencode(filters)}" if filters else address


_LISTS = (
    "transactions.transaction",
    "transactions.approvalrequest",
    "accounts.account",
    "users.user",
    "users.notification",
)
_CUSTOMER = {"kind__exact": "CUSTOMER"}
_ACCOUNT_FILTERS: dict[str, tuple[str, dict[str, str]]] = {
    "ACTIVE": ("Active", {"status__exact": "ACTIVE", **_CUSTOMER}),
    "FROZEN": ("Frozen", {"status__exact": "FROZEN", **_CUSTOMER}),
    "CLOSED": ("Closed", {"status__exact": "CLOSED", **_CUSTOMER}),
    "EQUITY": ("Equity of the system", {"kind__exact": "EQUITY"}),
    "TREASURY": ("Treasury", {"kind__exact": "TREASURY"}),
}
_CUSTOMERS = {"is_staff__exact": "0", "is_system__exact": "0"}
_USER_FILTERS: dict[str, tuple[str, dict[str, str]]] = {
    "active": ("Active customers", {"is_active__exact": "1", **_CUSTOMERS}),
    "disabled": ("Disabled", {"is_active__exact": "0", **_CUSTOMERS}),
    "staff": ("Staff", {"is_staff__exact": "1", "is_system__exact": "0"}),
    "system": ("System users", {"is_system__exact": "1"}),
}
