"""The groups that `migrate` leaves behind, and what each of them can and cannot do."""

import re
from decimal import Decimal
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, Permission
from django.core.management import call_command
from django.core.management.sql import emit_post_migrate_signal
from django.db import DEFAULT_DB_ALIAS
from django.db.models import Q
from django.test import Client

from ledger_project.mongo import collection
from office.groups import ensure_groups
from transactions import notices
from transactions.approvals import request_funds
from transactions.models import Transaction
from users.models import Notification

LISTS = {
    "Support": {"account", "transaction", "entry", "user", "notification", "blacklistedtoken"},
    "Operations": {"account", "transaction", "entry", "user", "notification", "blacklistedtoken", "approvalrequest"},
    "Approver": {"account", "transaction", "entry", "user", "notification", "blacklistedtoken", "approvalrequest"},
    "Auditor": {
        *("account", "transaction", "entry", "user", "notification", "blacklistedtoken", "approvalrequest"),
        *("auditentry", "group"),
    },
}
ADDRESSES = {
    "account": "accounts/account",
    "transaction": "transactions/transaction",
    "entry": "transactions/entry",
    "approvalrequest": "transactions/approvalrequest",
    "user": "users/user",
    "notification": "users/notification",
    "blacklistedtoken": "users/blacklistedtoken",
    "auditentry": "users/auditentry",
    "group": "auth/group",
}


@pytest.fixture
def member(new_user) -> Any:
    """The user and the browser of a member of staff who is in one group and has nothing else."""

    def make(group: str) -> tuple[Any, Client]:
        ensure_groups()
        user = new_user(is_staff=True)
        user.groups.add(Group.objects.get(name=group))
        client = Client(raise_request_exception=False)
        client.force_login(user)
        return user, client

    return make


def test_they_are_there_after_migrate_and_a_second_one_changes_nothing():
    call_command("migrate", verbosity=0)
    assert sorted(Group.objects.values_list("name", flat=True)) == sorted(LISTS)
    Group.objects.get(name="Support").permissions.clear()
    call_command("migrate", verbosity=0)
    assert not Group.objects.get(name="Support").permissions.exists()
    assert Group.objects.count() == len(LISTS)


def test_an_auditor_of_before_sees_what_has_come_since():
    call_command("migrate", verbosity=0)
    auditor = Group.objects.get(name="Auditor").permissions
    everything = set(auditor.all())
    auditor.remove(Permission.objects.get(codename="export_entry"))
    call_command("migrate", verbosity=0)
    assert set(auditor.all()) == everything


def test_one_migrate_of_an_empty_database_lets_the_auditor_see_and_export_everything():
    for model in (Group, Permission):
        collection(model).delete_many({})
    emit_post_migrate_signal(verbosity=0, interactive=False, db=DEFAULT_DB_ALIAS)
    everything = Permission.objects.filter(Q(codename__startswith="view_") | Q(codename__startswith="export_"))
    expected = {f"{each.content_type.app_label}.{each.codename}" for each in everything}
    held = Group.objects.get(name="Auditor").permissions.all()
    assert {f"{each.content_type.app_label}.{each.codename}" for each in held} == expected
    assert {f"{app.label}.view_{model._meta.model_name}" for app, model in ours()} <= expected
    assert {"accounts.export_account", "transactions.export_entry", "office.export_verification"} <= expected


def ours() -> list[tuple[Any, Any]]:
    """The models of this service that have permissions to be seen, each with its app."""
    labels = ("users", "accounts", "transactions", "office")
    models = [(app, model) for app in map(apps.get_app_config, labels) for model in app.get_models()]
    return [(app, model) for app, model in models if "view" in model._meta.default_permissions]


@pytest.mark.parametrize("group", LISTS)
def test_only_the_auditor_takes_a_list_out(member, group: str):
    _, client = member(group)
    for address in ("accounts/account", "transactions/entry", "office/verification"):
        assert client.get(f"/admin/{address}/").status_code == 200
        answer = client.get(f"/admin/{address}/export/csv/")
        assert answer.status_code == (200 if group == "Auditor" else 403)


@pytest.mark.parametrize("group", LISTS)
def test_each_sees_its_lists_and_no_other(member, group: str):
    _, client = member(group)
    seen = {name for name, address in ADDRESSES.items() if client.get(f"/admin/{address}/").status_code == 200}
    assert seen == LISTS[group]


@pytest.mark.parametrize("group", LISTS)
def test_a_page_leads_to_what_belongs_to_it_as_far_as_one_may_see_that(member, group: str, new_user, new_account):
    _, client = member(group)
    account = new_account(new_user())
    belongs = {
        f"users/user/{account.user_id}": {"notification", "blacklistedtoken", "auditentry", "account", "transaction"},
        f"accounts/account/{account.pk}": {"transaction", "entry", "approvalrequest", "auditentry"},
    }
    for page, lists in belongs.items():
        content = client.get(f"/admin/{page}/change/").content.decode()
        assert set(re.findall(r'href="/admin/\w+/(\w+)/\?q=', content)) == lists & LISTS[group]


CAN = {
    "freeze": {"Operations"},
    "reverse": {"Operations"},
    "request": {"Operations"},
    "approve": {"Approver"},
    "send again": {"Operations"},
}


@pytest.mark.parametrize("group", LISTS)
def test_each_does_what_it_is_for_and_no_more(member, group: str, new_user, new_account):
    user, client = member(group)
    root = new_user(is_staff=True, is_superuser=True)
    account = new_account(new_user(), funds=10)
    asked = request_funds(staff=root, account_id=account.pk, amount=Decimal(1), reason="x")
    notices.write_due(limit=10)
    transaction = Transaction.objects.get(to_account=account)
    notification = Notification.objects.get(user=account.user)
    addresses = {
        "freeze": f"accounts/account/{account.pk}/freeze_this/",
        "reverse": f"transactions/transaction/{transaction.pk}/reverse_this/",
        "request": "transactions/approvalrequest/request_funds/",
        "approve": f"transactions/approvalrequest/{asked.pk}/approve_this/",
        "send again": f"users/notification/{notification.pk}/send_this_again/",
    }
    allowed = {name for name, address in addresses.items() if client.get(f"/admin/{address}").status_code == 200}
    assert allowed == {name for name, groups in CAN.items() if group in groups}
    for address in (f"users/user/{user.pk}/change/", "users/user/add/", "auth/group/add/"):
        assert client.post(f"/admin/{address}", {"is_superuser": "on", "name": "x"}).status_code == 403
