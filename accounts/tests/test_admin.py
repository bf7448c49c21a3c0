"""The staff's pages for accounts: look, freeze, unfreeze, close."""

from typing import Any

import pytest
from bson import ObjectId
from django.contrib.admin.models import LogEntry
from django.test import Client

from accounts.models import Account
from ledger_project.mongo import Document, database
from users.models import AuditEntry, User
from users.tests.browsing import browser, cheap, ids, said

ACCOUNTS = "/admin/accounts/account/"


@pytest.fixture
def root(new_user) -> Client:
    return browser(new_user(is_staff=True, is_superuser=True))


@pytest.fixture
def asha(new_user) -> Any:
    return new_user(email="asha@example.com")


def stored() -> list[Document]:
    return list(database().accounts.find())


WHY = {"reason": "Case 5512", "_form_submitted": "True"}


def run(client: Client, action: str, *accounts: Account, **form: Any) -> str:
    """Run an action of the list on `accounts`, with a reason; what the page says then."""
    form |= WHY | {"action": action, "_selected_action": [str(account.pk) for account in accounts], "index": "0"}
    return said(client.post(ACCOUNTS, form, follow=True))


def statuses(*accounts: Account) -> list[str]:
    return [Account.objects.get(pk=account.pk).status for account in accounts]


def test_the_list_is_newest_first_with_balances_in_major_units(root, asha, new_account) -> None:
    rupees, yen = new_account(asha, funds="1234.50"), new_account(asha, funds=700, currency="JPY")
    page = cheap(root, ACCOUNTS)
    assert ids(page).index(yen.pk) < ids(page).index(rupees.pk)
    assert "1,234.50\N{NO-BREAK SPACE}INR" in page.content.decode()
    assert "700\N{NO-BREAK SPACE}JPY" in page.content.decode()


def test_owners_of_a_page_are_looked_up_together(root, new_user, new_account) -> None:
    accounts = [new_account(new_user()) for _ in range(3)]
    rows = cheap(root, ACCOUNTS).context["cl"].result_list
    assert {row._state.fields_cache["user"].pk for row in rows} >= {account.user_id for account in accounts}


def test_accounts_are_found_by_id_and_by_their_owner_and_by_nothing_else(root, asha, new_user, new_account) -> None:
    first, second = new_account(asha, name="Savings"), new_account(asha)
    new_account(new_user())
    assert ids(cheap(root, f"{ACCOUNTS}?q={first.pk}")) == [first.pk]
    for term in (asha.pk, "asha@example.com", "ASHA@example.com"):
        assert ids(cheap(root, f"{ACCOUNTS}?q={term}")) == [second.pk, first.pk]
    for term in ("Savings", "INR", ".*", "sha", ObjectId()):
        assert ids(cheap(root, f"{ACCOUNTS}?q={term}")) == []


def test_filters_walk_an_index(root, asha, new_account) -> None:
    account = new_account(asha)
    assert account.pk in ids(cheap(root, ACCOUNTS + "?status__exact=ACTIVE&kind__exact=CUSTOMER"))
    assert ids(cheap(root, ACCOUNTS + "?status__exact=FROZEN")) == []
    assert root.get(ACCOUNTS + "?balance_minor__gt=0").status_code == 400


def test_an_account_shows_balance_owner_and_its_latest_entries(root, asha, new_account) -> None:
    account = new_account(asha, funds="12.30", name="Savings <b>")
    page = cheap(root, f"{ACCOUNTS}{account.pk}/change/").content.decode()
    assert "12.30\N{NO-BREAK SPACE}INR" in page
    assert f"/admin/users/user/{asha.pk}/change/" in page
    assert f"/admin/transactions/entry/?q={account.pk}" in page
    assert "Latest 20 entries" in page
    assert "Savings &lt;b&gt;" in page


def test_the_page_of_a_user_leads_to_its_accounts(root, asha, new_account) -> None:
    new_account(asha)
    assert f"{ACCOUNTS}?q={asha.pk}" in root.get(f"/admin/users/user/{asha.pk}/change/").content.decode()


def test_not_even_a_superuser_adds_edits_or_deletes_an_account(root, asha, new_account) -> None:
    account = new_account(asha, funds=5)
    before = stored()
    form = {"balance_minor": "100000", "name": "Mine", "user": str(asha.pk), "post": "yes", "_save": "Save"}
    for page in ("add/", f"{account.pk}/change/", f"{account.pk}/delete/"):
        assert root.post(ACCOUNTS + page, form).status_code == 403
    run(root, "delete_selected", account, post="yes")
    root.post(ACCOUNTS, form | {"form-TOTAL_FORMS": "1", "form-0-id": str(account.pk), "form-0-balance_minor": "9"})
    assert stored() == before


def test_chosen_accounts_are_frozen_and_unfrozen_and_no_others(root, asha, new_account) -> None:
    first, second, other = (new_account(asha) for _ in range(3))
    assert "FROZEN" in run(root, "freeze", first, second, select_across="1")
    assert statuses(first, second, other) == ["FROZEN", "FROZEN", "ACTIVE"]
    run(root, "unfreeze", first)
    assert statuses(first, second, other) == ["ACTIVE", "FROZEN", "ACTIVE"]
    assert sorted(LogEntry.objects.values_list("object_id", flat=True)) == sorted(
        map(str, (first.pk, first.pk, second.pk))
    )


def test_an_account_with_money_is_not_closed_and_the_page_says_so(root, asha, new_account) -> None:
    empty, full = new_account(asha), new_account(asha, funds=1)
    says = run(root, "close", full, empty)
    assert f"{full.pk}: The account still holds money" in says
    assert f"{empty.pk} is now CLOSED" in says
    assert statuses(empty, full) == ["CLOSED", "ACTIVE"]


def test_closed_is_final(root, asha, new_account) -> None:
    account = new_account(asha)
    run(root, "close", account)
    for action in ("freeze", "unfreeze"):
        assert "closed, and that is final" in run(root, action, account)
    assert statuses(account) == ["CLOSED"]


def test_an_account_of_the_system_is_not_closed_and_its_page_does_not_offer_it(root, system_user) -> None:
    equity = Account.objects.get(user=system_user)
    assert "only a customer" in run(root, "close", equity)
    assert "/close_this/" not in root.get(f"{ACCOUNTS}{equity.pk}/change/").content.decode()
    assert statuses(equity) == ["ACTIVE"]
    assert not AuditEntry.objects.exists()


def test_the_page_of_an_account_offers_what_can_become_of_it(root, asha, new_account) -> None:
    account = new_account(asha)
    offered = {"ACTIVE": {"freeze", "close"}, "FROZEN": {"unfreeze", "close"}, "CLOSED": set()}
    for status, buttons in offered.items():
        Account.objects.filter(pk=account.pk).update(status=status)
        page = root.get(f"{ACCOUNTS}{account.pk}/change/").content.decode()
        assert {name for name in ("freeze", "unfreeze", "close") if f"/{name}_this/" in page} == buttons


def test_a_button_asks_first_and_acts_on_a_post_only(root, asha, new_account) -> None:
    account = new_account(asha)
    button = f"{ACCOUNTS}{account.pk}/freeze_this/"
    assert "No money moves" in root.get(button).content.decode()
    assert statuses(account) == ["ACTIVE"]
    answer = root.post(button, WHY, headers={"HX-Request": "true"})
    assert answer["HX-Redirect"] == f"{ACCOUNTS}{account.pk}/change/"
    assert statuses(account) == ["FROZEN"]
    answer = root.post(f"{ACCOUNTS}{account.pk}/close_this/", WHY)
    assert answer["Location"] == f"{ACCOUNTS}{account.pk}/change/"
    assert statuses(account) == ["CLOSED"]


@pytest.mark.parametrize("key", ["xyz", "0" * 24, "%00"])
@pytest.mark.parametrize("button", ["freeze_this", "unfreeze_this", "close_this"])
def test_a_button_of_no_account_is_no_error(root, key: str, button: str) -> None:
    assert root.post(f"{ACCOUNTS}{key}/{button}/", WHY).status_code == 302


@pytest.mark.parametrize("reason", [None, "", "   ", "x" * 501])
def test_nothing_happens_without_a_reason(root, asha, new_account, reason) -> None:
    account = new_account(asha)
    form = {"_form_submitted": "True"} | ({} if reason is None else {"reason": reason})
    assert root.post(f"{ACCOUNTS}{account.pk}/freeze_this/", form).status_code == 200
    chosen = {"action": "freeze", "_selected_action": [str(account.pk)], "index": "0"}
    page = root.post(ACCOUNTS, form | chosen)
    assert page.status_code == 200
    assert page.context["form"].errors or reason is None
    assert statuses(account) == ["ACTIVE"]
    assert not AuditEntry.objects.exists()


def test_the_page_that_asks_names_the_accounts_and_carries_the_choice_on(root, asha, new_account) -> None:
    first, second = new_account(asha, name="Savings <b>"), new_account(asha)
    chosen = {"action": "freeze", "_selected_action": [str(first.pk), str(second.pk)], "index": "0"}
    page = root.post(ACCOUNTS, chosen).content.decode()
    assert "Savings &lt;b&gt;" in page
    for account in (first, second):
        assert f'name="_selected_action" value="{account.pk}"' in page
    assert 'name="action" value="freeze"' in page


def test_every_change_of_status_is_in_the_audit_log_with_its_reason(root, asha, new_account) -> None:
    account, full = new_account(asha), new_account(asha, funds=1)
    root.post(f"{ACCOUNTS}{account.pk}/freeze_this/", WHY, REMOTE_ADDR="10.1.2.3")
    run(root, "unfreeze", account)
    run(root, "close", full, account)
    logged = list(AuditEntry.objects.filter(object_pk=str(account.pk)).order_by("pk"))
    assert [entry.changes["status"] for entry in logged] == [
        ["ACTIVE", "FROZEN"],
        ["FROZEN", "ACTIVE"],
        ["ACTIVE", "CLOSED"],
    ]
    assert {(entry.actor, entry.reason) for entry in logged} == {(User.objects.get(is_staff=True), "Case 5512")}
    assert logged[0].remote_addr == "10.1.2.3"
    assert not AuditEntry.objects.filter(object_pk=str(full.pk)).exists()


def test_what_changes_nothing_is_said_and_not_logged(root, asha, new_account) -> None:
    account = new_account(asha)
    assert f"{account.pk}: The account is ACTIVE already" in run(root, "unfreeze", account)
    assert not AuditEntry.objects.exists()
    assert not LogEntry.objects.exists()


def test_a_status_that_cannot_be_logged_is_not_changed(root, asha, new_account, fail_command) -> None:
    account = new_account(asha)
    fail_command("insert", times="alwaysOn", errorCode=121)
    root.post(f"{ACCOUNTS}{account.pk}/freeze_this/", WHY)
    fail_command("ping", times=0)
    assert statuses(account) == ["ACTIVE"]
    assert not AuditEntry.objects.exists()


def test_a_hand_made_action_that_makes_no_sense_does_nothing(root, asha, new_account) -> None:
    new_account(asha)
    before = stored()
    for chosen in ("xyz", "0" * 24, "\0", ""):
        root.post(ACCOUNTS, {"action": "freeze", "_selected_action": [chosen], "index": "0", "select_across": "1"})
    assert stored() == before


def test_who_may_only_look_changes_no_status(new_user, asha, new_account) -> None:
    account = new_account(asha)
    client = browser(new_user(is_staff=True), "accounts.view_account")
    assert cheap(client, f"{ACCOUNTS}{account.pk}/change/")
    run(client, "freeze", account)
    assert client.post(f"{ACCOUNTS}{account.pk}/freeze_this/", WHY).status_code == 403
    assert statuses(account) == ["ACTIVE"]


def test_who_may_change_accounts_freezes_one(new_user, asha, new_account) -> None:
    account = new_account(asha)
    run(browser(new_user(is_staff=True), "accounts.view_account", "accounts.change_account"), "freeze", account)
    assert statuses(account) == ["FROZEN"]


def test_staff_without_permission_see_no_account(new_user, asha, new_account) -> None:
    account = new_account(asha)
    client = browser(new_user(is_staff=True))
    assert client.get(ACCOUNTS).status_code == 403
    assert client.get(f"{ACCOUNTS}{account.pk}/change/").status_code == 403
