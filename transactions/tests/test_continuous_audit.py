"""The continuous audit: slices that skip nothing, and what becomes of a finding."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import Int64, ObjectId

from accounts.models import Account
from ledger_project.mongo import database
from transactions import alerts, continuous_audit
from transactions.continuous_audit import CURSOR, LEASE_SECONDS, audit_slice, health
from transactions.tests.tampering import Ledger, change, entry, transaction
from users import notifications
from users.models import AuditEntry, Notification

NOW = datetime(2030, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def _a_day(settings: Any) -> None:
    settings.AUDIT_PERIOD_SECONDS = DAY.total_seconds()


@pytest.fixture
def auditor(new_user: Callable[..., Any]) -> Any:
    new_user(is_staff=True)  # without the permission: not told
    return new_user(is_staff=True, is_superuser=True, email="auditor@example.com")


def a_round(now: datetime = NOW) -> dict[str, int]:
    """Slices until the round ends: how many accounts and entries they looked at."""
    seen = {"accounts": 0, "entries": 0}
    while True:
        work = audit_slice(now=now)
        assert work is not None
        seen = {
            "accounts": seen["accounts"] + work.accounts,
            "entries": seen["entries"] + work.entries,
        }
        if work.ended:
            return seen


def findings(**which: Any) -> list[str]:
    return sorted(row["code"] for row in database().findings.find(which))


def statuses(*accounts: ObjectId) -> list[str]:
    return [Account.objects.get(pk=account).status for account in accounts]


@pytest.mark.parametrize("budget", [1, 2, 3, 100])
def test_a_round_looks_at_every_entry_once_wherever_a_slice_ends(books: Ledger, settings: Any, budget: int) -> None:
    settings.AUDIT_ENTRIES = budget
    seen = a_round()
    assert (seen["accounts"], seen["entries"]) == (3, 8)
    assert findings() == []
    assert health(NOW) == "ok"


def test_the_next_round_costs_the_new_entries_only(books: Ledger) -> None:
    a_round()
    assert a_round()["entries"] == 0
    books.pay(1)
    assert a_round()["entries"] == 2


def test_each_account_is_read_from_its_beginning_again_within_the_period(books: Ledger) -> None:
    a_round()
    change("entries", entry(books.alice, 2)["_id"], hash="f" * 64)
    a_round(NOW + DAY / 4)
    assert findings() == []  # proven before, and not looked at again yet
    assert a_round(NOW + DAY / 2)["entries"] == 8
    assert findings() == ["entry_hash", "entry_hash"]


def test_a_tampered_entry_freezes_its_account_and_tells_staff_once(books: Ledger, auditor: Any) -> None:
    change("entries", entry(books.bob, 2)["_id"], amount_minor=1)
    a_round()

    assert findings(account=books.bob) == ["entry_balance", "entry_hash", "transaction_differs"]
    assert statuses(books.bob, books.alice) == ["FROZEN", "ACTIVE"]
    logged = AuditEntry.objects.get(object_pk=str(books.bob))
    assert (logged.actor, logged.changes) == (None, {"status": ["ACTIVE", "FROZEN"]})
    assert logged.reason.startswith("Continuous audit: ")
    (notice,) = Notification.objects.filter(kind=Notification.Kind.LEDGER_FINDING)
    assert (notice.user_id, notice.payload["count"]) == (auditor.pk, "3")
    mail = notifications.message(notice)
    assert mail.subject == "The ledger is not whole: 3 findings"
    assert str(entry(books.bob, 2)["_id"]) in mail.body
    assert health(NOW) == "findings: 3"

    change("accounts", books.bob, status="ACTIVE")  # staff have looked into it
    database().account_proofs.delete_many({})
    a_round(NOW + DAY)
    assert statuses(books.bob) == ["ACTIVE"]
    assert Notification.objects.filter(kind=Notification.Kind.LEDGER_FINDING).count() == 1


def test_what_was_put_right_is_cleared_by_the_next_full_pass_and_alarms_when_it_comes_again(
    books: Ledger, auditor: Any
) -> None:
    broken = entry(books.bob, 2)
    change("entries", broken["_id"], created_at=broken["_id"].generation_time)
    a_round()
    change("entries", broken["_id"], created_at=broken["created_at"])
    a_round(NOW + DAY)
    assert findings(cleared_at=None) == []
    assert health(NOW + DAY) == "ok"

    change("entries", broken["_id"], created_at=broken["_id"].generation_time)
    a_round(NOW + 2 * DAY)
    assert findings(cleared_at=None) == ["entry_hash", "transaction_differs"]
    assert Notification.objects.filter(kind=Notification.Kind.LEDGER_FINDING).count() == 2


@pytest.mark.parametrize(
    ("tamper", "code"),
    [
        (lambda b: change("accounts", b.bob, balance_minor=Int64(1)), "account_balance"),
        (lambda b: change("accounts", b.bob, chain_head="f" * 64), "account_chain_head"),
        (lambda b: change("accounts", b.bob, sequence=Int64(2)), "account_sequence"),
        (lambda b: database().entries.delete_one({"account": b.bob, "sequence": 3}), "account_sequence"),
        (lambda b: database().entries.delete_one({"account": b.bob, "sequence": 1}), "entry_sequence"),
        (lambda b: change("transactions", transaction(b.bob, 2)["_id"], amount_minor=1), "transaction_differs"),
        (lambda b: change("transactions", transaction(b.bob, 2)["_id"], status="REVERSED"), "reversal_link"),
    ],
)
def test_it_finds_what_a_verification_finds(books: Ledger, tamper: Any, code: str) -> None:
    tamper(books)
    a_round()
    assert code in findings(account=books.bob)
    assert statuses(books.bob) == ["FROZEN"]


@pytest.mark.parametrize("balance", [1.5, Int64(-1)])
def test_an_account_that_its_validator_refuses_is_told_of_and_holds_the_audit_up_at_nothing(
    books: Ledger, balance: Any
) -> None:
    change("accounts", books.alice, balance_minor=balance)
    change("accounts", books.bob, chain_head="f" * 64)
    a_round()
    assert findings(account=books.alice) != []
    assert statuses(books.bob) == ["FROZEN"]


def test_entries_that_had_been_proven_and_are_gone_with_their_account_s_count_are_missed(books: Ledger) -> None:
    """As if an older state of the account had been put back, whole in itself."""
    before = database().accounts.find_one({"_id": books.bob})
    books.pay(7)
    a_round()
    database().entries.delete_one({"account": books.bob, "sequence": 4})
    database().accounts.replace_one({"_id": books.bob}, before)
    a_round(NOW + DAY / 8)
    (finding,) = database().findings.find({"account": books.bob})
    assert finding["message"] == "sequence is 3, 4 entries had been verified before"


@pytest.mark.parametrize("who", ["alice", "bob"])
def test_an_account_that_is_gone_is_missed(books: Ledger, who: str) -> None:
    a_round()
    key = getattr(books, who)
    database().accounts.delete_one({"_id": key})
    a_round()
    assert findings(account=key) == ["account_unknown"]


def test_balances_that_do_not_sum_to_zero_freeze_nobody_and_are_told(books: Ledger, auditor: Any) -> None:
    document = database().accounts.find_one({"_id": books.bob}) | {"_id": ObjectId("f" * 24)}
    database().accounts.insert_one(document | {"sequence": Int64(0), "chain_head": "0" * 64})
    audit_slice(now=NOW)
    assert findings(account=None) == ["sum_not_zero"]
    assert Notification.objects.filter(kind=Notification.Kind.LEDGER_FINDING).exists()


class TestTwoWorkers:
    def test_one_has_the_turn(self, books: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
        others: list[Any] = []
        read = continuous_audit._accounts

        def meanwhile(*args: Any) -> None:
            others.append(audit_slice(now=NOW))
            read(*args)

        monkeypatch.setattr(continuous_audit, "_accounts", meanwhile)
        assert audit_slice(now=NOW) is not None
        assert others == [None]

    def test_the_slice_of_one_that_died_is_done_again(self, books: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
        change("entries", entry(books.bob, 2)["_id"], hash="f" * 64)

        def die(*args: Any) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(alerts, "record", die)
            with pytest.raises(KeyboardInterrupt):
                audit_slice(now=NOW)
        assert audit_slice(now=NOW) is None
        assert findings() == []
        a_round(NOW + timedelta(seconds=LEASE_SECONDS))
        assert findings() == ["entry_hash", "entry_hash"]

    def test_one_that_is_late_does_not_move_the_cursor(self, books: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
        read = continuous_audit._accounts

        def slowly(*args: Any) -> None:
            monkeypatch.undo()
            a_round(NOW + timedelta(seconds=LEASE_SECONDS))
            read(*args)

        monkeypatch.setattr(continuous_audit, "_accounts", slowly)
        audit_slice(now=NOW)
        cursor = database()[CURSOR].find_one({})
        assert cursor["began_at"] == NOW + timedelta(seconds=LEASE_SECONDS)


def test_payments_in_the_middle_of_a_slice_are_no_finding(books: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    visit = continuous_audit._visit

    def meanwhile(*args: Any) -> bool:
        books.pay(1)
        done = visit(*args)
        books.pay(1)
        return done

    monkeypatch.setattr(continuous_audit, "_visit", meanwhile)
    a_round()
    monkeypatch.undo()
    assert findings() == []
    assert a_round()["entries"] == 12


class TestHealth:
    def test_is_well_in_an_empty_ledger(self) -> None:
        assert health(NOW) == "ok"

    def test_says_that_nothing_was_verified_for_longer_than_the_period(self, books: Ledger) -> None:
        assert health(NOW).startswith("behind: an account not verified for ")
        a_round()
        assert health(NOW + DAY) == "ok"
        assert health(NOW + DAY + timedelta(seconds=1)) == "behind: an account not verified for 86401 s"

    def test_degrades_readyz_and_takes_nothing_down(self, books: Ledger, client_of: Any) -> None:
        change("entries", entry(books.bob, 2)["_id"], hash="f" * 64)
        audit_slice()
        answer = client_of().get("/readyz")
        assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
        assert answer.json()["checks"]["ledger"] == "findings: 2"
