"""The status of an account: staff freeze, unfreeze and close; a client of the API cannot."""

import pytest
from bson import ObjectId
from django.utils import timezone

from accounts.models import Account
from accounts.opening import AccountNotFound, StatusRefused, SystemAccountStays, ensure_system_account, set_status
from ledger_project.tests.dumps import dump
from transactions.models import Entry

ACTIVE, FROZEN, CLOSED = Account.Status.ACTIVE, Account.Status.FROZEN, Account.Status.CLOSED


@pytest.fixture
def user(new_user):
    return new_user()


@pytest.mark.parametrize(
    "path", [(FROZEN,), (FROZEN, ACTIVE), (FROZEN, FROZEN), (CLOSED,), (FROZEN, CLOSED), (ACTIVE,)], ids=str
)
def test_an_empty_account_can_go_there(user, new_account, path):
    account = new_account(user)
    for status in path:
        changed = set_status(account_id=account.pk, status=status)
    assert changed.status == Account.objects.get(pk=account.pk).status == path[-1]
    assert changed.updated_at > account.updated_at


def test_no_entry_is_later_than_the_freeze_though_the_freeze_was_asked_for_before_it(user, new_account, monkeypatch):
    asked_at = timezone.now()
    account = new_account(user, funds=500)  # what the update waited for
    monkeypatch.setattr("accounts.opening.timezone.now", lambda: asked_at)
    frozen = set_status(account_id=account.pk, status=FROZEN)
    assert frozen.updated_at == Entry.objects.get(account=account.pk).created_at


@pytest.mark.parametrize("status", [ACTIVE, FROZEN, CLOSED])
def test_closed_is_final(user, new_account, status):
    account = new_account(user)
    set_status(account_id=account.pk, status=CLOSED)
    before = dump()
    with pytest.raises(StatusRefused):
        set_status(account_id=account.pk, status=status)
    assert dump() == before


@pytest.mark.parametrize("funds", ["0.01", "500"])
def test_an_account_with_money_cannot_be_closed(user, new_account, funds):
    account = new_account(user, funds=funds)
    before = dump()
    with pytest.raises(StatusRefused):
        set_status(account_id=account.pk, status=CLOSED)
    assert dump() == before


def test_an_equity_account_that_has_issued_money_cannot_be_closed(user, new_account):
    new_account(user, funds=500)
    equity = Account.objects.get(kind=Account.Kind.EQUITY)
    before = dump()
    with pytest.raises(StatusRefused):
        set_status(account_id=equity.pk, status=CLOSED)
    assert dump() == before


@pytest.mark.parametrize("kind", [Account.Kind.EQUITY, Account.Kind.TREASURY])
def test_an_account_of_the_system_is_never_closed_though_it_holds_nothing(system_user, kind):
    account = ensure_system_account(user_id=system_user.pk, currency="INR", kind=kind)
    before = dump()
    with pytest.raises(SystemAccountStays):
        set_status(account_id=account.pk, status=CLOSED)
    assert dump() == before
    assert set_status(account_id=account.pk, status=FROZEN).status == FROZEN


def test_an_unknown_account_has_no_status():
    before = dump()
    with pytest.raises(AccountNotFound):
        set_status(account_id=ObjectId(), status=FROZEN)
    assert dump() == before


@pytest.mark.parametrize("method", ["put", "patch", "delete", "post"])
def test_the_api_has_no_way_to_change_it(client_of, user, new_account, method):
    account = new_account(user)
    before = dump()
    response = getattr(client_of(user), method)(f"/api/accounts/{account.pk}", {"status": "CLOSED"})
    assert response.status_code == 405
    assert dump() == before


def test_the_api_shows_it(client_of, user, new_account):
    account = new_account(user)
    set_status(account_id=account.pk, status=FROZEN)
    assert client_of(user).get(f"/api/accounts/{account.pk}").json()["account"]["status"] == "FROZEN"
