"""Parts of the admin's pages that show more than the row itself."""

from datetime import timedelta
from typing import Any

from django import template
from django.urls import reverse
from django.utils import timezone

from accounts.models import Account
from ledger_project import jsonio
from ledger_project.money import to_major
from transactions import account_history
from transactions.statement import StatementBroken

POINTS = 200
SHOWN = timedelta(days=30)
COLOURS = {"ACTIVE": "success", "FROZEN": "info", "CLOSED": "warning"}  # as in the list of accounts

FUNDS = "admin:transactions_approvalrequest_request_funds"

register = template.Library()


@register.inclusion_tag("office/account_panel.html", takes_context=True)
def account_panel(context: dict[str, Any], account: Account) -> dict[str, Any]:
    """An account's balance, its course, and the statements of it."""
    now = timezone.now()
    user = context["request"].user
    may_see_entries = user.has_perm("transactions.view_entry")
    course = _course(account) if may_see_entries and account.sequence else {}
    return {
        "account": account,
        "balance": f"{account.balance:,f}",
        "colour": COLOURS[account.status],
        **course,
        "may_see_entries": may_see_entries,
        "request_funds": _request_funds(account) if user.has_perm("transactions.request_funds") else "",
        "statement": reverse("account-statement-file", args=[account.pk]),
        "since": max(account.created_at, (now - SHOWN).replace(hour=0, minute=0, second=0)),
        "until": now + timedelta(seconds=1),  # the form has whole seconds, and the last one is not to be cut off
    }


def _request_funds(account: Account) -> str:
    """Where funds for it are asked for; nothing where there can be none."""
    may_have = account.status == Account.Status.ACTIVE and account.kind != Account.Kind.EQUITY
    return f"{reverse(FUNDS)}?account={account.pk}" if may_have else ""


def _course(account: Account) -> dict[str, str]:
    """The balance from the account's opening until now as a `chart` that office.js draws, or what is `broken` in it."""
    now = timezone.now()
    try:
        rows = account_history.points(account, since=account.created_at, until=now, count=POINTS)
    except StatementBroken as refusal:
        return {"broken": refusal.message}
    opened_at = min([account.created_at, *(row["created_at"] for row in rows[:1])])
    points: list[dict[str, Any]] = [{"x": _milliseconds(opened_at), "y": 0}]
    points += [
        {"x": _milliseconds(row["created_at"]), "y": to_major(row["balance_after_minor"], account.currency)}
        for row in rows
    ]
    points.append({"x": _milliseconds(now), "y": account.balance})
    return {"chart": jsonio.dumps({"kind": "steps", "label": account.currency, "values": points}).decode()}


def _milliseconds(moment: Any) -> int:
    return round(moment.timestamp() * 1000)
