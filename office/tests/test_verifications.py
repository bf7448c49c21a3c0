"""How a verification ended is remembered."""

import pytest
from django.core.management import CommandError, call_command

from ledger_project.mongo import database
from office.models import Verification
from transactions.verification import verify
from users.tests.browsing import browser, ids


def test_a_whole_ledger(new_user, new_account, capsys):
    new_account(new_user(), funds=5)

    call_command("verify_ledger", quiet=True)

    found = Verification.objects.get()
    assert (found.whole, found.accounts, found.transactions, found.entries) == (True, 2, 1, 2)
    assert (found.findings, found.counts) == ([], {})


def test_a_broken_one_with_its_findings(new_user, new_account, capsys):
    account = new_account(new_user(), funds=5)
    database()["accounts"].update_one({"_id": account.pk}, {"$inc": {"balance_minor": 1}})

    with pytest.raises(CommandError):
        call_command("verify_ledger", quiet=True)

    found = Verification.objects.get()
    assert not found.whole
    assert str(account.pk) in {finding["subject"] for finding in found.findings}
    assert sum(found.counts.values()) == len(found.findings)


def test_it_is_found_by_its_id(new_user, new_account, capsys):
    new_account(new_user(), funds=5)
    verify(), verify()
    newest, oldest = Verification.objects.order_by("-pk")
    boss = browser(new_user(is_staff=True, is_superuser=True))

    assert ids(boss.get("/admin/office/verification/")) == [newest.pk, oldest.pk]
    assert ids(boss.get(f"/admin/office/verification/?q={oldest.pk}")) == [oldest.pk]


@pytest.mark.parametrize("name", ["verification", "hourlymovement", "enginehour"])
@pytest.mark.parametrize("term", ["yesterday", "f" * 24, "12", "$ne", ".*", "\uffff", "|~"])
def test_what_is_not_there_is_not_found(new_user, new_account, name, term):
    verify()
    boss = browser(new_user(is_staff=True, is_superuser=True))

    for page in ("", "export/csv/"):
        response = boss.get(f"/admin/office/{name}/{page}", {"q": term})
        assert response.status_code == 200
    assert ids(boss.get(f"/admin/office/{name}/", {"q": term})) == []


def test_one_account_proves_nothing_about_the_ledger(new_user, new_account):
    verify(account=new_account(new_user(), funds=5).pk)

    assert not Verification.objects.exists()


def test_a_result_that_cannot_be_remembered_is_still_a_result(new_user, new_account, fail_command):
    new_account(new_user(), funds=5)
    fail_command("insert", times="alwaysOn", errorCode=96)

    assert verify().whole
    assert not Verification.objects.exists()
