"""How a verification ended is remembered."""

import pytest
from django.core.management import CommandError, call_command

from ledger_project.mongo import database
from office.models import Verification
from transactions.verification import verify


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


def test_one_account_proves_nothing_about_the_ledger(new_user, new_account):
    verify(account=new_account(new_user(), funds=5).pk)

    assert not Verification.objects.exists()


def test_a_result_that_cannot_be_remembered_is_still_a_result(new_user, new_account, fail_command):
    new_account(new_user(), funds=5)
    fail_command("insert", times="alwaysOn", errorCode=96)

    assert verify().whole
    assert not Verification.objects.exists()
