"""Maker and checker: who asked for it never decides it, and what was approved is posted once."""

import subprocess
import sys
from collections import Counter
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from bson import ObjectId
from django.contrib.auth.models import Permission
from django.test import RequestFactory
from django.utils import timezone
from pymongo.errors import DuplicateKeyError, PyMongoError, WriteError

from accounts.models import Account
from accounts.opening import AccountNotFound, set_status
from ledger_project.errors import LedgerError
from ledger_project.money import InvalidAmount
from ledger_project.mongo import database
from ledger_project.tests.dumps import dump
from transactions import approvals, ledger, refusals
from transactions.models import ApprovalRequest, LedgerIsAppendOnly, Transaction
from transactions.posting import Transfer
from transactions.tasks import carry_out_approved
from transactions.tests.crowd import at_once
from transactions.verification import verify
from users.audit import audited
from users.models import AuditEntry, User
from users.tests.processes import environment


@pytest.fixture
def asha(new_user, new_account) -> Account:
    """Her account, with 5000."""
    return new_account(new_user(name="Asha"), funds=5000)


@pytest.fixture
def ben(new_user, new_account) -> Account:
    """His account, with nothing."""
    return new_account(new_user(name="Ben"))


@pytest.fixture
def clerk(new_user) -> Any:
    """Make a member of staff with some permissions."""

    def make(*permissions: str) -> User:
        user = new_user(is_staff=True)
        user.user_permissions.add(*Permission.objects.filter(codename__in=permissions))
        return user

    return make


@pytest.fixture
def maker(clerk) -> User:
    """May ask for anything, and decide as well: but never what it asked for itself."""
    return clerk("request_funds", "reverse_transaction", "decide_approvalrequest")


@pytest.fixture
def checker(clerk) -> User:
    """May decide."""
    return clerk("decide_approvalrequest")


@pytest.fixture
def funds(maker, ben) -> ApprovalRequest:
    """A request to give Ben 300."""
    return approvals.request_funds(staff=maker, account_id=ben.pk, amount=Decimal(300), reason="Opening gift")


@pytest.fixture
def paid(asha, ben) -> dict:
    """A transfer of 2000 from Asha to Ben."""
    return ledger.post(Transfer(asha.user_id, asha.pk, ben.pk, Decimal(2000), uuid4().hex)).document


@pytest.fixture
def reversal(maker, paid) -> ApprovalRequest:
    """A request to reverse that."""
    return approvals.request_reversal(staff=maker, original=paid, reason="Paid twice")


def balance(account: Account) -> Decimal:
    return Account.objects.get(pk=account.pk).balance


def approve(request: ApprovalRequest, staff: User) -> ApprovalRequest:
    return approvals.approve(request_id=request.pk, staff=staff, reason="Checked")


def refused(error: type[LedgerError], call: Any) -> None:
    """The call is refused like that and leaves nothing behind."""
    before = dump()
    with pytest.raises(error):
        call()
    assert dump() == before


def test_what_is_asked_for_moves_nothing(funds, reversal, ben, maker):
    assert (funds.status, funds.requested_by, funds.reason, funds.amount) == ("PENDING", maker, "Opening gift", 300)
    assert (reversal.status, reversal.kind, reversal.amount) == ("PENDING", "REVERSAL", 2000)
    assert balance(ben) == 2000


def test_approved_funds_are_issued_and_all_is_kept(funds, checker, maker, ben):
    done = approve(funds, checker)
    assert (done.status, done.decided_by, done.decision_reason) == ("POSTED", checker, "Checked")
    assert (done.transaction.kind, done.transaction.amount, done.transaction.to_account) == ("INITIAL_FUNDS", 300, ben)
    assert done.requested_by == maker
    assert done.requested_at <= done.decided_at <= done.settled_at
    assert balance(ben) == 300
    assert verify().findings == []


def test_an_approved_reversal_is_posted_in_the_name_of_its_maker(reversal, checker, maker, paid, asha):
    done = approve(reversal, checker)
    assert (done.status, done.transaction.kind, done.transaction.initiator) == ("POSTED", "REVERSAL", maker)
    assert done.transaction.reverses == paid["_id"]
    assert balance(asha) == 5000
    assert verify().findings == []


def test_a_rejection_moves_nothing_and_is_final(funds, checker, ben, clerk):
    done = approvals.reject(request_id=funds.pk, staff=checker, reason="Who is that?")
    assert (done.status, done.decided_by, done.decision_reason) == ("REJECTED", checker, "Who is that?")
    other = clerk("decide_approvalrequest")
    refused(approvals.AlreadyDecided, lambda: approve(funds, other))
    assert balance(ben) == 0


def test_whoever_decides_again_because_the_answer_was_lost_is_told_how_it_stands(funds, reversal, checker, ben):
    assert approve(funds, checker).status == "POSTED"
    approvals.reject(request_id=reversal.pk, staff=checker, reason="No")
    before = dump()
    again = approve(funds, checker)
    assert (again.status, again.transaction.amount) == ("POSTED", 300)
    assert approvals.reject(request_id=reversal.pk, staff=checker, reason="No").status == "REJECTED"
    assert dump() == before
    refused(approvals.AlreadyDecided, lambda: approvals.reject(request_id=funds.pk, staff=checker, reason="No"))
    refused(approvals.AlreadyDecided, lambda: approve(reversal, checker))


def test_what_the_ledger_refused_is_not_tried_anew_by_whoever_approves_it_again(reversal, checker, asha, ben):
    ledger.post(Transfer(ben.user_id, ben.pk, asha.pk, Decimal(1), "spent"))
    approve(reversal, checker)
    ledger.post(Transfer(asha.user_id, asha.pk, ben.pk, Decimal(1), "back"))
    before = dump()
    assert approve(reversal, checker).status == "REFUSED"
    assert dump() == before


@pytest.mark.parametrize("decide", [approvals.approve, approvals.reject])
def test_nobody_decides_what_they_asked_for(funds, reversal, maker, decide):
    for request in (funds, reversal):
        refused(approvals.OwnRequest, lambda r=request: decide(request_id=r.pk, staff=maker, reason="Fine"))


@pytest.mark.parametrize("decide", [approvals.approve, approvals.reject])
def test_nor_does_a_superuser(new_user, ben, decide):
    root = new_user(is_staff=True, is_superuser=True)
    request = approvals.request_funds(staff=root, account_id=ben.pk, amount=Decimal(1), reason="Mine")
    refused(approvals.OwnRequest, lambda: decide(request_id=request.pk, staff=root, reason="Fine"))


def test_not_even_a_hand_made_write_decides_ones_own_request(funds, maker, checker):
    """The server's validator knows the rule, too."""
    decided = {"status": "APPROVED", "decided_by": maker.pk, "decision_reason": "x", "leased_until": timezone.now()}
    before = dump()
    for change in (decided, {"status": "APPROVED"}, {"status": "POSTED", "transaction": ObjectId()}):
        with pytest.raises(WriteError):
            database().approval_requests.update_one({"_id": funds.pk}, {"$set": change})
    with pytest.raises(LedgerIsAppendOnly):
        ApprovalRequest.objects.filter(pk=funds.pk).update(decided_by=checker)
    assert dump() == before


def test_each_step_needs_its_permission(funds, reversal, paid, clerk, new_user, ben):
    nobody, customer = clerk(), new_user(is_superuser=True)
    disabled = new_user(is_staff=True, is_superuser=True, is_active=False)
    for user in (nobody, customer, disabled):
        refused(approvals.NotAllowed, lambda u=user: approve(funds, u))
        refused(approvals.NotAllowed, lambda u=user: approvals.reject(request_id=funds.pk, staff=u, reason="x"))
        refused(
            approvals.NotAllowed,
            lambda u=user: approvals.request_funds(staff=u, account_id=ben.pk, amount=Decimal(1), reason="x"),
        )
        refused(approvals.NotAllowed, lambda u=user: approvals.request_reversal(staff=u, original=paid, reason="x"))


def test_an_unknown_request_is_not_found(checker):
    refused(
        approvals.RequestNotFound, lambda: approvals.approve(request_id=ObjectId(), staff=checker, reason="Checked")
    )


def test_a_request_that_cannot_be_carried_out_is_refused_at_once(maker, ben, asha, new_account, new_user):
    def ask(account: ObjectId, amount: str = "1") -> None:
        approvals.request_funds(staff=maker, account_id=account, amount=Decimal(amount), reason="x")

    equity = Account.objects.get(kind=Account.Kind.EQUITY)
    refused(AccountNotFound, lambda: ask(ObjectId()))
    refused(AccountNotFound, lambda: ask(equity.pk))
    refused(InvalidAmount, lambda: ask(ben.pk, "0.001"))
    foreign = new_account(new_user(), currency="JPY")
    refused(refusals.SystemAccountNotFound, lambda: ask(foreign.pk))
    set_status(account_id=ben.pk, status=Account.Status.FROZEN)
    refused(refusals.AccountNotActive, lambda: ask(ben.pk))


def test_what_the_ledger_refuses_after_all_is_kept_with_its_reason(reversal, checker, asha, ben):
    ledger.post(Transfer(ben.user_id, ben.pk, asha.pk, Decimal(1), "spent"))
    done = approve(reversal, checker)
    assert (done.status, done.transaction) == ("REFUSED", None)
    assert done.outcome.startswith("Insufficient balance")
    assert balance(ben) == 1999


def test_after_a_rejection_or_a_refusal_it_may_be_asked_for_again(reversal, checker, maker, paid):
    approvals.reject(request_id=reversal.pk, staff=checker, reason="Not yet")
    again = approvals.request_reversal(staff=maker, original=paid, reason="Paid twice")
    assert again.pk != reversal.pk
    assert approve(again, checker).status == "POSTED"


def test_one_transaction_has_one_open_request(reversal, maker, clerk, paid):
    other = clerk("reverse_transaction")
    assert approvals.request_reversal(staff=maker, original=paid, reason="Paid twice").pk == reversal.pk
    refused(
        approvals.ApprovalPending,
        lambda: approvals.request_reversal(staff=other, original=paid, reason="Paid twice"),
    )
    with pytest.raises(DuplicateKeyError):
        database().approval_requests.insert_one(
            database().approval_requests.find_one({"_id": reversal.pk}) | {"_id": ObjectId()}
        )


def test_ten_who_ask_for_one_reversal_at_once_make_one_request(paid, clerk):
    staff = [clerk("reverse_transaction") for _ in range(10)]
    made = at_once(
        [partial(approvals.request_reversal, staff=user, original=paid, reason="Paid twice") for user in staff]
    )
    assert Counter(type(each) for each in made) == {ApprovalRequest: 1, approvals.ApprovalPending: 9}
    assert ApprovalRequest.objects.count() == 1


def test_a_form_that_is_sent_twice_asks_once(maker, ben):
    ask = partial(approvals.request_funds, staff=maker, account_id=ben.pk, reason="Gift", request_id=ObjectId("e" * 24))
    assert len({each.pk for each in at_once([partial(ask, amount=Decimal(5))] * 5)}) == 1
    refused(refusals.IdempotencyKeyReused, lambda: ask(amount=Decimal(6)))


@pytest.mark.parametrize("kind", ["funds", "reversal"])
def test_ten_who_approve_at_once_post_it_once(funds, reversal, clerk, ben, kind):
    request = {"funds": funds, "reversal": reversal}[kind]
    staff = [clerk("decide_approvalrequest") for _ in range(10)]
    done = at_once([partial(approve, request, user) for user in staff])
    assert Counter(type(each) for each in done) == {ApprovalRequest: 1, approvals.AlreadyDecided: 9}
    assert Transaction.objects.filter(idempotency_key=f"approval:{request.pk}").count() == 1
    assert balance(ben) == {"funds": 2300, "reversal": 0}[kind]
    assert verify().findings == []


def test_an_approval_and_a_rejection_at_once_one_of_them_counts(funds, clerk, ben):
    one, other = clerk("decide_approvalrequest"), clerk("decide_approvalrequest")
    reject = partial(approvals.reject, request_id=funds.pk, staff=other, reason="No")
    at_once([partial(approve, funds, one), reject])
    request = ApprovalRequest.objects.get(pk=funds.pk)
    assert (request.status, balance(ben)) in [("POSTED", 300), ("REJECTED", 0)]


# --- Killed halfway ----------------------------------------------------------------------------------------------

DIES = """
import os, django
django.setup()
from bson import ObjectId
from transactions import approvals, ledger
from transactions.signals import transactions_completed
from users.audit import audited
from users.models import AuditEntry, User

if os.environ["DIES"] == "before the posting":
    ledger.post_together = lambda *given: os._exit(9)
elif os.environ["DIES"] == "after the commit":
    transactions_completed.connect(lambda **kwargs: os._exit(9), weak=False)
request, staff = map(ObjectId, os.environ["IDS"].split())
approvals.approve(request_id=request, staff=User.objects.get(pk=staff), reason="Checked")
"""


def lease_is_over() -> None:
    """As if LEASE_SECONDS had passed."""
    past = timezone.now() - timedelta(seconds=1)
    database().approval_requests.update_many({"status": "APPROVED"}, {"$set": {"leased_until": past}})


@pytest.mark.parametrize("when", ["before the posting", "after the commit"])
def test_a_process_that_dies_between_decision_and_outcome_is_made_up_for_once(funds, checker, ben, when):
    given = environment(IDS=f"{funds.pk} {checker.pk}", DIES=when)
    assert subprocess.run([sys.executable, "-c", DIES], env=given, check=False, timeout=300).returncode == 9
    assert ApprovalRequest.objects.get(pk=funds.pk).status == "APPROVED"
    assert carry_out_approved() == 0  # for its lease may still be somebody's
    lease_is_over()
    assert sum(at_once([carry_out_approved] * 5)) == 1
    request = ApprovalRequest.objects.get(pk=funds.pk)
    assert (request.status, request.decided_by, request.transaction.amount) == ("POSTED", checker, 300)
    assert balance(ben) == 300
    assert carry_out_approved() == 0
    assert verify().findings == []


def test_a_database_that_fails_leaves_it_approved_and_the_sweep_posts_it(funds, checker, ben, fail_command, settings):
    settings.POSTING_DEADLINE_SECONDS = 3
    fail_command("insert", times="alwaysOn", errorCode=112, errorLabels=["TransientTransactionError"])
    assert approve(funds, checker).status == "APPROVED"
    assert balance(ben) == 0
    fail_command("ping", times=0)
    settings.POSTING_DEADLINE_SECONDS = 60
    lease_is_over()
    assert carry_out_approved() == 1
    assert (ApprovalRequest.objects.get(pk=funds.pk).status, balance(ben)) == ("POSTED", 300)


def test_a_sweep_ends_with_its_turn_and_leaves_the_rest_to_the_next(funds, checker, monkeypatch):
    monkeypatch.setattr(ledger, "post_together", lambda commands: [refusals.NotPosted()])
    approve(funds, checker)
    lease_is_over()
    monkeypatch.undo()
    monkeypatch.setattr(approvals, "TURN_SECONDS", 0)
    assert carry_out_approved() == 0
    monkeypatch.undo()
    assert carry_out_approved() == 1
    assert ApprovalRequest.objects.get(pk=funds.pk).status == "POSTED"


def test_what_was_posted_outweighs_a_refusal_that_another_was_given(reversal, checker, monkeypatch):
    """Two that post it at the same time, one past its lease: the one that is refused notes it first."""
    post = ledger.post_together

    def refused_elsewhere_first(commands: list) -> list:
        results = post(commands)
        database().approval_requests.update_one(
            {"_id": reversal.pk}, {"$set": {"status": "REFUSED", "outcome": "Insufficient balance"}}
        )
        return results

    monkeypatch.setattr(ledger, "post_together", refused_elsewhere_first)
    assert approve(reversal, checker).status == "POSTED"


# --- Over the API ------------------------------------------------------------------------------------------------


def reverse(client: Any, transaction: ObjectId, reason: str = "Paid twice") -> Any:
    return client.post(f"/api/transactions/{transaction}/reverse", {"reason": reason})


def test_a_reversal_above_the_limit_waits_and_is_asked_for_once(client_of, maker, checker, paid, asha):
    client = client_of(maker)
    answer = reverse(client, paid["_id"])
    assert answer.status_code == 202
    request = answer.json()["request"]
    assert (request["status"], request["original"], request["amount"]) == ("PENDING", str(paid["_id"]), 2000)
    before = dump()
    assert reverse(client, paid["_id"]).json()["request"] == request
    assert reverse(client, paid["_id"], "Fraud").json()["code"] == "approval_pending"
    assert dump() == before
    assert balance(asha) == 3000
    approvals.approve(request_id=ObjectId(request["_id"]), staff=checker, reason="Checked")
    assert reverse(client, paid["_id"]).json()["code"] == "already_reversed"
    assert balance(asha) == 5000


def ask_with_key(client: Any, transaction: ObjectId, **said: str) -> Any:
    return client.post(
        f"/api/transactions/{transaction}/reverse", {"reason": "Paid twice", "idempotencyKey": "case-1", **said}
    )


def test_the_same_key_is_answered_with_the_reversal_that_came_of_it(client_of, maker, checker, paid, settings):
    client = client_of(maker)
    request = ask_with_key(client, paid["_id"]).json()["request"]
    assert ask_with_key(client, paid["_id"]).json()["request"] == request
    done = approvals.approve(request_id=ObjectId(request["_id"]), staff=checker, reason="Checked")
    before = dump()
    for limit in (settings.REVERSAL_APPROVAL_ABOVE, Decimal(2000)):
        settings.REVERSAL_APPROVAL_ABOVE = limit
        again = ask_with_key(client, paid["_id"])
        assert (again.status_code, again.headers["Idempotent-Replay"]) == (200, "true")
        assert again.json()["transaction"]["_id"] == str(done.transaction.pk)
    assert dump() == before


def test_the_same_key_is_told_of_a_rejection_and_asks_for_nothing_anew(client_of, maker, checker, paid):
    client = client_of(maker)
    request = ask_with_key(client, paid["_id"]).json()["request"]
    approvals.reject(request_id=ObjectId(request["_id"]), staff=checker, reason="No")
    before = dump()
    again = ask_with_key(client, paid["_id"])
    assert (again.status_code, again.json()["request"]) == (202, request | {"status": "REJECTED"})
    assert "rejected" in again.json()["message"]
    assert dump() == before
    assert ask_with_key(client, paid["_id"], idempotencyKey="case-2").json()["request"]["status"] == "PENDING"


@pytest.mark.parametrize("status", ["APPROVED", "REFUSED"])
def test_the_same_key_is_told_how_an_approved_request_stands(
    client_of, maker, checker, paid, asha, ben, monkeypatch, status
):
    client = client_of(maker)
    request = ask_with_key(client, paid["_id"]).json()["request"]
    if status == "APPROVED":
        monkeypatch.setattr(ledger, "post_together", lambda commands: [refusals.NotPosted()])
    else:
        ledger.post(Transfer(ben.user_id, ben.pk, asha.pk, Decimal(1), "spent"))
    approvals.approve(request_id=ObjectId(request["_id"]), staff=checker, reason="Checked")
    before = dump()
    again = ask_with_key(client, paid["_id"])
    assert (again.status_code, again.json()["request"]) == (202, request | {"status": status})
    assert dump() == before


def test_a_key_is_one_request_of_one_member_of_staff(client_of, maker, clerk, paid, asha, ben):
    client = client_of(maker)
    ask_with_key(client, paid["_id"])
    other = ledger.post(Transfer(asha.user_id, asha.pk, ben.pk, Decimal(1500), "other")).document
    before = dump()
    assert ask_with_key(client, paid["_id"], reason="Fraud").json()["code"] == "idempotency_key_reused"
    assert ask_with_key(client, other["_id"]).json()["code"] == "idempotency_key_reused"
    assert ask_with_key(client, paid["_id"], idempotencyKey="case-2").json()["code"] == "approval_pending"
    assert dump() == before
    assert ask_with_key(client_of(clerk("reverse_transaction")), other["_id"]).status_code == 202


def test_a_key_is_looked_up_by_its_index(maker):
    plan = database().approval_requests.find({"requested_by": maker.pk, "idempotency_key": "case-1"}).explain()
    assert plan["queryPlanner"]["winningPlan"]["inputStage"]["indexName"] == "one_request_a_key"


def test_ten_who_send_one_key_at_once_make_one_request(maker, paid):
    ask = partial(approvals.request_reversal, staff=maker, original=paid, reason="Paid twice", key="case-1")
    assert len({each.pk for each in at_once([ask] * 10)}) == 1


@pytest.mark.parametrize(("limit", "status"), [("2000", 201), ("1999.99", 202), ("0", 202)])
def test_the_limit_is_a_setting_and_is_itself_allowed(client_of, maker, paid, settings, limit, status):
    settings.REVERSAL_APPROVAL_ABOVE = Decimal(limit)
    assert reverse(client_of(maker), paid["_id"]).status_code == status


def test_no_request_is_made_for_what_cannot_be_reversed(maker, checker, reversal, paid):
    approve(reversal, checker)
    made = database().transactions.find_one({"kind": "REVERSAL"})
    original = database().transactions.find_one({"_id": paid["_id"]})
    refused(
        refusals.ReversalIsFinal, lambda: approvals.request_reversal(staff=maker, original=made, reason="Paid twice")
    )
    refused(
        refusals.AlreadyReversed,
        lambda: approvals.request_reversal(staff=maker, original=original, reason="Paid twice"),
    )


# --- Logged with what it logs ------------------------------------------------------------------------------------


@pytest.fixture
def fail_log(fail_command) -> Any:
    """Let the audit log find no room for an entry, so many times."""
    log = f"{database().name}.{AuditEntry._meta.db_table}"
    return lambda times=1: fail_command("insert", times=times, namespace=log, errorCode=14031)


@pytest.fixture
def acting_as() -> Any:
    """As in a request of that member of staff."""

    def act(staff: User) -> Any:
        request = RequestFactory().post("/admin/")
        request.user = staff
        return audited(request)

    return act


@pytest.mark.parametrize("decide", [approvals.approve, approvals.reject])
def test_a_decision_that_cannot_be_logged_is_not_taken(funds, checker, ben, fail_log, acting_as, decide):
    fail_log()
    before = dump()
    with acting_as(checker), pytest.raises(PyMongoError):
        decide(request_id=funds.pk, staff=checker, reason="Checked")
    assert dump() == before
    with acting_as(checker):
        decide(request_id=funds.pk, staff=checker, reason="Checked")
    (entry,) = AuditEntry.objects.all()
    assert (entry.actor, entry.object_pk, entry.changes["status"][0]) == (checker, str(funds.pk), "PENDING")


def test_a_request_that_cannot_be_logged_is_not_made(maker, ben, paid, fail_log, acting_as):
    fail_log(2)
    before = dump()
    with acting_as(maker):
        with pytest.raises(PyMongoError):
            approvals.request_funds(staff=maker, account_id=ben.pk, amount=Decimal(1), reason="Gift")
        with pytest.raises(PyMongoError):
            approvals.request_reversal(staff=maker, original=paid, reason="Paid twice")
        assert dump() == before
        approvals.request_reversal(staff=maker, original=paid, reason="Paid twice")
    assert AuditEntry.objects.get().changes == {"status": ["None", "PENDING"]}
