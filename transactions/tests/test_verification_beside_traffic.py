"""Verifying while money moves: what is posted meanwhile is no finding, and hides none."""

import threading
from collections.abc import Iterator
from contextlib import nullcontext
from decimal import Decimal
from operator import gt
from typing import Any
from uuid import uuid4

import pytest
from bson import Int64, ObjectId

from accounts.opening import open_account
from ledger_project.mongo import database
from transactions import ledger, verification
from transactions.posting import Transfer
from transactions.tests.tampering import Ledger, all_is_settled, change, entry, insert
from transactions.verification import verify
from users.tests.waiting import wait_until


@pytest.fixture(params=["looked up", "added up"], autouse=True)
def way(request: pytest.FixtureRequest) -> Iterator[None]:
    """How transactions and entries are compared: with wrong clocks, live ones may be taken for settled."""
    with all_is_settled() if request.param == "added up" else nullcontext():
        yield


class TestBesideLiveTraffic:
    def test_transfers_between_any_two_reads_are_no_findings(
        self, books: Ledger, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Each batch that is read is followed by transfers, on accounts that are before, in and after it."""
        monkeypatch.setattr(verification, "ACCOUNTS_AT_ONCE", 2)
        monkeypatch.setattr(verification, "DOCUMENTS_AT_ONCE", 2)
        turns = iter(range(20))

        def meanwhile(documents: int) -> None:
            if next(turns, None) is not None:
                books.pay(1)
                fresh = open_account(user_id=books.alice_owner).pk
                ledger.post(Transfer(books.alice_owner, books.alice, fresh, Decimal(2), uuid4().hex))

        report = verify(progress=meanwhile)
        assert report.findings == []
        assert next(turns, None) is None
        assert verify().whole

    def test_an_account_opened_in_a_range_already_read_is_no_finding(
        self, books: Ledger, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Ids are made by many machines: one made now may sort before those that are there."""
        monkeypatch.setattr(verification, "DOCUMENTS_AT_ONCE", 2)
        low = ObjectId("0" * 23 + "7")
        document = database().accounts.find_one({"_id": books.bob})
        empty = {"balance_minor": Int64(0), "sequence": Int64(0), "chain_head": "0" * 64}
        read_account = verification.Verifier._account_batches

        def then_open(verifier: Any) -> Any:
            for batch in read_account(verifier):
                if not database().accounts.find_one({"_id": low}):
                    insert("accounts", document | empty | {"_id": low})
                    for _ in range(5):
                        ledger.post(Transfer(books.alice_owner, books.alice, low, Decimal(1), uuid4().hex))
                yield batch

        monkeypatch.setattr(verification.Verifier, "_account_batches", then_open)
        report = verify()
        assert report.findings == []
        assert (report.accounts, report.entries) == (4, 18)

    def test_threads_that_post_all_the_time_cause_no_findings(
        self, books: Ledger, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(verification, "ACCOUNTS_AT_ONCE", 5)
        monkeypatch.setattr(verification, "DOCUMENTS_AT_ONCE", 10)
        done = threading.Event()
        posted = [0, 0, 0]

        def keep_posting(worker: int) -> None:
            while not done.is_set():
                fresh = open_account(user_id=books.alice_owner).pk
                for payee in (books.bob, fresh):
                    ledger.post(Transfer(books.alice_owner, books.alice, payee, Decimal("0.01"), uuid4().hex))
                    posted[worker] += 1

        threads = [threading.Thread(target=keep_posting, args=(worker,)) for worker in range(3)]
        for thread in threads:
            thread.start()
        try:
            reports = [verify()]
            for _ in range(3):
                before = list(posted)
                wait_until(lambda before=before: all(map(gt, posted, before)))
                reports.append(verify())
        finally:
            done.set()
            for thread in threads:
                thread.join()
        assert [report.findings for report in reports] == [[]] * 4
        assert reports[-1].entries > reports[0].entries
        last = verify()
        assert last.whole
        assert last.entries == 8 + 2 * sum(posted)

    def test_tampering_is_found_while_they_post(self, books: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(verification, "DOCUMENTS_AT_ONCE", 2)
        change("entries", entry(books.alice, 2)["_id"], amount_minor=1)
        report = verify(progress=lambda documents: books.pay(1))
        assert dict(report.counts) == {"entry_hash": 1, "entry_balance": 1, "transaction_differs": 1}
