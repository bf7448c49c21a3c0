"""The groups that come ready: who of the staff may do what. Made by `migrate`, then the superusers' to change."""

from typing import Any

from django.contrib.auth.models import Group, Permission
from django.db.models import Q

READ = (
    "accounts.view_account",
    "transactions.view_transaction",
    "transactions.view_entry",
    "users.view_user",
    "users.view_notification",
    "users.view_blacklistedtoken",
)
APPROVALS = ("transactions.view_approvalrequest",)
GROUPS = {
    "Support": READ,
    # Freeze and close accounts, reverse, ask for funds, send e-mail again.
    "Operations": (
        *READ,
        *APPROVALS,
        "accounts.change_account",
        "transactions.reverse_transaction",
        "transactions.request_funds",
        "users.change_notification",
    ),
    "Approver": (*READ, *APPROVALS, "transactions.decide_approvalrequest"),
}
# Sees and exports everything there is, and changes nothing.
AUDITOR = "Auditor"


def ensure_groups(**kwargs: Any) -> None:
    """Make the groups that are missing. One that is there stays as it is: somebody may have changed it on purpose."""
    for name, granted in GROUPS.items():
        _ensure(name, [_permission(each) for each in granted])
    _ensure(AUDITOR, Permission.objects.filter(Q(codename__startswith="view_") | Q(codename__startswith="export_")))


def _ensure(name: str, permissions: Any) -> None:
    if not Group.objects.filter(name=name).exists():
        Group.objects.create(name=name).permissions.set(permissions)


def _permission(name: str) -> Permission:
    app, codename = name.split(".")
    return Permission.objects.get(content_type__app_label=app, codename=codename)
