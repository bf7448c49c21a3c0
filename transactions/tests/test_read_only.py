"""Whatever address of the admin a superuser finds, and whatever is sent there, what is written stays as it is."""

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from bson import ObjectId
from django.contrib import admin
from django.test import Client
from django.urls import NoReverseMatch, URLPattern, URLResolver, reverse

from accounts.models import Account
from ledger_project.tests.dumps import dump
from transactions import approvals, ledger
from transactions.models import ApprovalRequest, Entry, Transaction
from transactions.posting import Reversal, Transfer
from users.models import AuditEntry, User
from users.tests.browsing import browser

READ_ONLY = (Transaction, Entry, AuditEntry, ApprovalRequest)
# What one may be changed by is asked for by name, and nothing of that is sent here.
FIELDS = {
    "amount_minor": "1",
    "balance_after_minor": "1",
    "status": "COMPLETED",
    "reason": "",
    "reversed_by": "",
    "hash": "0" * 64,
    "actor": "",
    "changes": "{}",
    "decided_by": "",
    "direction": "CREDIT",
}
WAYS = {
    "a form": {"_save": "Save", "_continue": "1", "_saveasnew": "1", "_addanother": "1"},
    "a confirmation": {"post": "yes", "_popup": "1"},
    "a row of a list": {"_save": "Save", "form-TOTAL_FORMS": "1", "form-INITIAL_FORMS": "1", "form-0-id": "{key}"},
    "a row of an inline": {
        "entry_set-TOTAL_FORMS": "1",
        "entry_set-INITIAL_FORMS": "1",
        "entry_set-0-id": "{key}",
        "entry_set-0-DELETE": "on",
        "entry_set-0-amount_minor": "1",
    },
    "deleting": {"action": "delete_selected", "_selected_action": "{key}", "index": "0", "post": "yes"},
    "deleting all": {"action": "delete_selected", "select_across": "1", "_selected_action": "{key}", "post": "yes"},
}


@pytest.fixture
def root(new_user) -> User:
    return new_user(is_staff=True, is_superuser=True)


@pytest.fixture
def client(root, new_user, new_account) -> Client:
    """The browser of a superuser, beside whom there is a row of everything."""
    asha, ben = new_account(new_user(), funds=5000), new_account(new_user())
    paid, other = (
        ledger.post(Transfer(asha.user_id, asha.pk, ben.pk, Decimal(5), uuid4().hex)).document for _ in range(2)
    )
    ledger.post(Reversal(root.pk, paid["_id"], "wrong"))
    approvals.request_reversal(staff=root, original=other, reason="wrong")
    made = browser(root)
    made.post(f"/admin/accounts/account/{asha.pk}/freeze_this/", {"reason": "x", "_form_submitted": "True"})
    assert all(model.objects.exists() for model in READ_ONLY)
    return made


def addresses(model: Any) -> Iterator[str]:
    """Every address that the admin serves for `model`, with and without the id of a row of its own."""
    key = model.objects.order_by("pk").values_list("pk", flat=True)[0]
    for pattern in _patterns(admin.site._registry[model].get_urls()):
        for args in ((), (key,)):
            if pattern.name:
                try:
                    yield reverse(f"admin:{pattern.name}", args=args)
                except NoReverseMatch:
                    continue
    base = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    yield from (f"{base}{key}/", f"{base}{key}/change/", f"{base}{key}/password/", f"{base}?e=1", f"{base}?_popup=1")


def _patterns(found: list[URLPattern | URLResolver]) -> Iterator[URLPattern]:
    for pattern in found:
        if isinstance(pattern, URLResolver):
            yield from _patterns(pattern.url_patterns)
        else:
            yield pattern


def everything() -> dict[str, list]:
    """All but who was last seen when."""
    return {name: rows for name, rows in dump().items() if name != "users"}


def most_slow(quick: set[str], every: Iterable[str]) -> list[Any]:
    """Every one, but only the `quick` ones in the short form of the tests."""
    return [name if name in quick else pytest.param(name, marks=pytest.mark.slow) for name in every]


@pytest.mark.parametrize("way", most_slow({"a form", "deleting all"}, WAYS))
def test_no_hand_made_post_to_any_address_changes_what_is_written(client, way):
    for model in READ_ONLY:
        key = str(model.objects.order_by("pk").values_list("pk", flat=True)[0])
        form = FIELDS | {name: value.format(key=key) for name, value in WAYS[way].items()}
        found = set(addresses(model))
        assert len(found) >= 8
        before = everything()
        for address in found:
            answer = client.post(address, form)
            assert answer.status_code < 500, address
            assert everything() == before, address


@pytest.mark.parametrize("method", most_slow({"get", "delete"}, ("get", "head", "options", "put", "patch", "delete")))
def test_no_other_method_does_either(client, method):
    before = everything()
    for address in {address for model in READ_ONLY for address in addresses(model)}:
        assert getattr(client, method)(address, content_type="application/x-www-form-urlencoded").status_code < 500
        assert everything() == before, address


def test_no_form_and_no_button_for_it_is_offered(client):
    for model in READ_ONLY:
        key = model.objects.order_by("pk").values_list("pk", flat=True)[0]
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        page = client.get(reverse(f"{name}_change", args=[key])).content.decode()
        assert 'name="_save"' not in page
        assert "deletelink" not in page
        assert f"{key}/delete/" not in page
        assert 'value="delete_selected"' not in client.get(reverse(f"{name}_changelist")).content.decode()
        assert client.get(reverse(f"{name}_add")).status_code == 403


def test_permissions_of_ones_own_making_open_nothing(client, root):
    """A superuser has them all; here they are asked for one by one."""
    for model in READ_ONLY:
        page = admin.site._registry[model]
        request = type("Request", (), {"user": root, "GET": {}, "POST": {}})()
        assert not page.has_add_permission(request)
        assert not page.has_change_permission(request)
        assert not page.has_delete_permission(request)
        assert not page.has_change_permission(request, model.objects.first())
        assert not page.has_delete_permission(request, model.objects.first())


def test_deleting_what_the_ledger_refers_to_is_refused_everywhere(client, root):
    account = Account.objects.filter(kind=Account.Kind.CUSTOMER)[0]
    before = everything()
    for address, key in (("accounts/account", account.pk), ("users/user", account.user_id), ("users/user", root.pk)):
        assert client.post(f"/admin/{address}/{key}/delete/", {"post": "yes"}).status_code == 403
        client.post(f"/admin/{address}/", {"action": "delete_selected", "_selected_action": str(key), "post": "yes"})
    assert everything() == before
    assert User.objects.filter(pk__in=[root.pk, account.user_id]).count() == 2


def test_the_page_of_history_is_there_and_changes_nothing(client):
    before = everything()
    for model in READ_ONLY:
        key = model.objects.first().pk
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}_history"
        assert client.get(reverse(name, args=[key])).status_code == 200
        assert client.post(reverse(name, args=[key]), {"post": "yes"}).status_code < 500
        assert client.get(reverse(name, args=[ObjectId()])).status_code == 302
    assert everything() == before
