"""What a verification proves: a whole ledger, one account, the indexes; and what it says of what it finds."""

from typing import Any

import pytest
from bson import ObjectId

from accounts.opening import AccountNotFound
from ledger_project.mongo import database
from transactions.invariants import Code
from transactions.tests.tampering import Ledger, all_is_settled, change, entry, found, insert, small_batches
from transactions.verification import Verifier, extent, verify


class TestAnUntouchedLedger:
    def test_is_whole(self, books: Ledger) -> None:
        report = verify()
        assert report.whole
        assert report.findings == []
        assert (report.accounts, report.transactions, report.entries) == (3, 4, 8)
        with small_batches():
            again = verify()
        assert (again.accounts, again.transactions, again.entries) == (3, 4, 8)

    def test_tells_how_much_money_was_issued(self, books: Ledger, new_account: Any, new_user: Any) -> None:
        new_account(new_user(), funds=7, currency="JPY")
        totals = verify().totals
        assert (totals["INR"].issued_minor, totals["INR"].sum_minor, totals["INR"].accounts) == (100_000, 0, 3)
        assert (totals["JPY"].issued_minor, totals["JPY"].sum_minor) == (7, 0)

    def test_without_a_single_account_is_whole(self) -> None:
        assert found() == {}

    def test_has_an_extent_that_the_progress_adds_up_to(self, books: Ledger) -> None:
        seen: list[int] = []
        verify(progress=seen.append)
        assert sum(seen) == extent() == 12

    def test_is_not_looked_up_row_by_row(self, books: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
        """Unless it is young: then what it says of its entries is added up, and agrees."""
        looked_up: list[str] = []
        look = Verifier._by_id

        def noted(self: Verifier, collection: str, ids: set[ObjectId], fields: Any) -> Any:
            looked_up.extend([collection] * len(ids))
            return look(self, collection, ids, fields)

        monkeypatch.setattr(Verifier, "_by_id", noted)
        with all_is_settled():
            assert verify().whole
        assert set(looked_up) == {"accounts"}
        assert verify().whole
        assert set(looked_up) == {"accounts", "entries", "transactions"}

    def test_leaves_the_garbage_collector_as_it_was(self, books: Ledger) -> None:
        import gc

        before = gc.get_threshold()
        verify()
        assert gc.get_threshold() == before


class TestTheUniqueIndexes:
    @pytest.mark.parametrize(
        ("collection", "name"),
        [("transactions", "one_per_key"), ("transactions", "one_reversal"), ("entries", "one_per_sequence")],
    )
    @pytest.mark.parametrize("instead", [None, {}, {"unique": True, "partialFilterExpression": {"currency": "USD"}}])
    def test_are_missed_when_dropped_or_weakened(
        self, books: Ledger, collection: str, name: str, instead: dict[str, Any] | None
    ) -> None:
        index = database()[collection].index_information()[name]
        keys = index.pop("key")
        del index["v"]
        database()[collection].drop_index(name)
        try:
            if instead is not None:
                database()[collection].create_index(keys, name=name, **instead)
            report = verify()
        finally:
            if instead is not None:
                database()[collection].drop_index(name)
            database()[collection].create_index(keys, name=name, **index)
        assert [(f.code, f.subject) for f in report.findings] == [(Code.INDEX_MISSING, f"{collection}.{name}")]

    def test_once_gone_let_a_number_come_twice_which_is_found(self, books: Ledger) -> None:
        keys = database().entries.index_information()["one_per_sequence"]["key"]
        database().entries.drop_index("one_per_sequence")
        try:
            insert("entries", entry(books.alice, 2) | {"_id": ObjectId()})
            assert found() == {"index_missing": 1, "entry_sequence": 1, "transaction_differs": 1}
        finally:
            database().entries.delete_many({})
            database().entries.create_index(keys, name="one_per_sequence", unique=True)


class TestOneAccount:
    def test_is_verified_by_itself(self, books: Ledger) -> None:
        report = verify(account=books.bob)
        assert report.whole
        assert (report.accounts, report.transactions, report.entries) == (1, 3, 3)
        assert extent(books.bob) == 6

    def test_tells_nothing_of_what_is_wrong_with_another(self, books: Ledger) -> None:
        change("accounts", books.alice, chain_head="f" * 64)
        assert verify(account=books.bob).whole
        assert dict(verify(account=books.alice).counts) == {"account_chain_head": 1}

    def test_misses_the_other_side_of_its_transactions(self, books: Ledger) -> None:
        database().entries.delete_one({"account": books.alice, "sequence": 4})
        assert dict(verify(account=books.bob).counts) == {"entry_missing": 1}

    def test_that_there_is_not_is_refused(self) -> None:
        with pytest.raises(AccountNotFound):
            verify(account=ObjectId())


class TestManyFindings:
    def test_are_all_counted_and_only_the_first_kept(self, books: Ledger) -> None:
        database().transactions.delete_many({})
        report = verify(keep=3)
        assert len(report.findings) == 3
        assert dict(report.counts) == {"transaction_missing": 8}
