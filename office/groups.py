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
    """Make the groups that are missing, and let auditors see what has come since they were made.

    The others stay as they are: a permission that somebody took from one on purpose does not come back.
    """
    for name, granted in GROUPS.items():
        if not Group.objects.filter(name=name).exists():
            Group.objects.create(name=name).permissions.set([_permission(each) for each in granted])
    everything = Permission.objects.filter(Q(codename__startswith="view_") | Q(codename__startswith="export_"))
    Group.objects.get_or_create(name=AUDITOR)[0].permissions.add(*everything)


def _permission(name: str) -> Permission:
    app, codename = name.split(".")
    return Permission.objects.get(content_type__app_label=app, codename=codename)
