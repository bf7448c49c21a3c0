"""Tampering with a real database in every way: each has its finding, wherever a batch ends."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from bson import Int64, ObjectId
from bson.code import Code as JavaScript

from ledger_project.mongo import database
from transactions import ledger, verification
from transactions.invariants import Code
from transactions.posting import Reversal, Transfer, entry_hash
from transactions.tests.tampering import Ledger, chained, change, entry, found, insert, transaction
from transactions.verification import verify


class TestATamperedEntry:
    def test_with_another_amount(self, books: Ledger) -> None:
        change("entries", entry(books.alice, 2)["_id"], amount_minor=1)
        assert found() == {"entry_hash": 1, "entry_balance": 1, "transaction_differs": 1}

    def test_with_a_negative_amount(self, books: Ledger) -> None:
        change("entries", entry(books.alice, 2)["_id"], amount_minor=-10_000)
        assert found() == {"entry_hash": 1, "entry_balance": 1, "entry_amount": 1, "transaction_differs": 1}

    def test_with_another_balance_after_it(self, books: Ledger) -> None:
        change("entries", entry(books.alice, 2)["_id"], balance_after_minor=Int64(90_001))
        assert found() == {"entry_hash": 1, "entry_balance": 2}  # it, and the one that goes on from it

    def test_with_another_currency(self, books: Ledger) -> None:
        change("entries", entry(books.alice, 2)["_id"], currency="USD")
        assert found() == {"entry_hash": 1, "entry_currency": 1, "transaction_differs": 1}

    def test_with_the_other_direction(self, books: Ledger) -> None:
        change("entries", entry(books.alice, 2)["_id"], direction="CREDIT")
        assert found() == {"entry_hash": 1, "entry_balance": 1, "transaction_differs": 3}

    def test_with_another_counter_account(self, books: Ledger) -> None:
        change("entries", entry(books.alice, 2)["_id"], counter_account=books.alice)
        assert found() == {"entry_hash": 1, "transaction_differs": 1}

    def test_with_another_time(self, books: Ledger) -> None:
        change("entries", entry(books.alice, 2)["_id"], created_at=entry(books.alice, 2)["_id"].generation_time)
        assert found() == {"entry_hash": 1, "transaction_differs": 1}

    def test_with_another_hash(self, books: Ledger) -> None:
        change("entries", entry(books.alice, 2)["_id"], hash="f" * 64)
        assert found() == {"entry_hash": 2}  # it, and the one that is chained to it

    def test_that_was_deleted_from_the_middle(self, books: Ledger) -> None:
        database().entries.delete_one({"account": books.alice, "sequence": 2})
        assert found() == {"entry_sequence": 1, "entry_missing": 1}

    def test_that_was_deleted_from_the_beginning(self, books: Ledger) -> None:
        database().entries.delete_one({"account": books.alice, "sequence": 1})
        assert found() == {"entry_sequence": 1, "entry_missing": 1}

    def test_that_was_deleted_from_the_end(self, books: Ledger) -> None:
        database().entries.delete_one({"account": books.alice, "sequence": 4})
        assert found() == {"account_sequence": 1, "entry_missing": 1}

    def test_and_all_others_of_its_account_deleted(self, books: Ledger) -> None:
        database().entries.delete_many({"account": books.bob})
        assert found() == {"account_sequence": 1, "entry_missing": 3}

    def test_that_was_swapped_with_its_neighbour(self, books: Ledger) -> None:
        second, third = entry(books.alice, 2)["_id"], entry(books.alice, 3)["_id"]
        change("entries", second, sequence=99)
        change("entries", third, sequence=2)
        change("entries", second, sequence=3)
        assert found() == {"entry_hash": 3, "entry_balance": 3}

    def test_that_was_added_for_a_transaction_that_there_is(self, books: Ledger) -> None:
        insert("entries", chained(books.alice))
        # Beyond the account's count, and not the entry, the accounts, nor the amount that its transaction names.
        counts = found()
        assert counts.keys() == {"account_sequence", "transaction_differs"}
        assert counts["account_sequence"] == 1

    def test_that_was_added_for_a_transaction_that_there_is_not(self, books: Ledger) -> None:
        insert("entries", chained(books.alice, transaction=ObjectId()))
        assert found() == {"account_sequence": 1, "transaction_missing": 1}

    def test_forged_with_a_right_hash_at_the_end_of_the_chain(self, books: Ledger) -> None:
        last = entry(books.alice, 4)
        forged = last | {"created_at": last["_id"].generation_time}
        change(
            "entries",
            last["_id"],
            created_at=forged["created_at"],
            hash=entry_hash(entry(books.alice, 3)["hash"], forged),
        )
        assert found() == {"account_chain_head": 1, "transaction_differs": 1}

    def test_forged_with_a_right_hash_in_the_middle_of_the_chain(self, books: Ledger) -> None:
        middle = entry(books.alice, 2)
        forged = middle | {"created_at": middle["_id"].generation_time}
        change(
            "entries",
            middle["_id"],
            created_at=forged["created_at"],
            hash=entry_hash(entry(books.alice, 1)["hash"], forged),
        )
        assert found() == {"entry_hash": 1, "transaction_differs": 1}

    @pytest.mark.parametrize("account", [ObjectId("0" * 23 + "1"), ObjectId("f" * 24)])
    def test_of_an_account_that_there_is_not(self, books: Ledger, account: ObjectId) -> None:
        insert("entries", chained(books.alice, account=account, sequence=1, transaction=ObjectId()))
        assert found() == {"account_unknown": 1, "transaction_missing": 1}

    @pytest.mark.parametrize("account", [None, "alice", True, 5])
    def test_of_an_account_whose_id_is_none(self, books: Ledger, account: Any) -> None:
        insert("entries", chained(books.alice, account=account, sequence=1))
        assert found() == {"malformed": 1}

    @pytest.mark.parametrize("amount", [100.0, "10000", None])
    def test_whose_amount_is_no_integer(self, books: Ledger, amount: Any) -> None:
        change("entries", entry(books.alice, 4)["_id"], amount_minor=amount)
        assert found() == {"malformed": 1, "account_sequence": 1}

    @pytest.mark.parametrize("direction", ["SIDEWAYS", ["DEBIT"]])
    def test_with_a_direction_that_there_is_not(self, books: Ledger, direction: Any) -> None:
        change("entries", entry(books.alice, 4)["_id"], direction=direction)
        assert found() == {"malformed": 1, "account_sequence": 1}


class TestATamperedTransaction:
    def test_that_was_deleted(self, books: Ledger) -> None:
        database().transactions.delete_one({"_id": transaction(books.alice, 2)["_id"]})
        assert found() == {"transaction_missing": 2}

    def test_with_neither_entry(self, books: Ledger) -> None:
        database().entries.delete_many({"transaction": transaction(books.alice, 4)["_id"]})
        assert found() == {"account_sequence": 2, "entry_missing": 2}

    def test_that_was_added_without_entries(self, books: Ledger) -> None:
        entries = {"debit_entry": ObjectId(), "credit_entry": ObjectId()}
        insert("transactions", transaction(books.alice, 2) | entries | {"_id": ObjectId(), "idempotency_key": "forged"})
        assert found() == {"entry_missing": 2}

    def test_that_was_added_with_the_entries_of_another(self, books: Ledger) -> None:
        insert("transactions", transaction(books.alice, 2) | {"_id": ObjectId(), "idempotency_key": "forged"})
        assert found() == {"transaction_differs": 2}

    def test_with_another_amount(self, books: Ledger) -> None:
        change("transactions", transaction(books.alice, 2)["_id"], amount_minor=1)
        assert found() == {"transaction_differs": 2, "transaction_fingerprint": 1}

    def test_with_another_currency(self, books: Ledger) -> None:
        change("transactions", transaction(books.alice, 2)["_id"], currency="USD")
        assert found() == {"transaction_differs": 2}

    def test_with_a_currency_that_there_is_not(self, books: Ledger) -> None:
        change("transactions", transaction(books.alice, 2)["_id"], currency="???")
        assert found() == {"transaction_differs": 2, "transaction_fingerprint": 1}

    def test_with_another_time(self, books: Ledger) -> None:
        made = transaction(books.alice, 2)["_id"]
        change("transactions", made, created_at=made.generation_time)
        assert found() == {"transaction_differs": 2}

    def test_with_another_fingerprint(self, books: Ledger) -> None:
        change("transactions", transaction(books.alice, 2)["_id"], fingerprint="f" * 64)
        assert found() == {"transaction_fingerprint": 1}

    def test_that_calls_itself_initial_funds(self, books: Ledger) -> None:
        change("transactions", transaction(books.alice, 2)["_id"], kind="INITIAL_FUNDS")
        assert found() == {"transaction_fingerprint": 1}

    def test_with_other_parties(self, books: Ledger) -> None:
        made = transaction(books.alice, 2)
        change("transactions", made["_id"], parties=made["parties"][:-1])
        assert found() == {"transaction_parties": 1}

    def test_with_another_initiator(self, books: Ledger) -> None:
        change("transactions", transaction(books.alice, 2)["_id"], initiator=ObjectId())
        assert found() == {"transaction_initiator": 1}

    def test_with_another_payer(self, books: Ledger) -> None:
        change("transactions", transaction(books.alice, 2)["_id"], from_account=ObjectId())
        assert found() == {"transaction_differs": 2, "transaction_fingerprint": 1}

    def test_that_pays_its_own_payer(self, books: Ledger) -> None:
        change("transactions", transaction(books.alice, 2)["_id"], to_account=books.alice)
        assert found() == {
            "transaction_accounts": 1,
            "transaction_differs": 2,
            "transaction_fingerprint": 1,
            "transaction_parties": 1,
        }

    def test_whose_debit_is_its_credit(self, books: Ledger) -> None:
        made = transaction(books.alice, 2)
        change("transactions", made["_id"], debit_entry=made["credit_entry"])
        assert found() == {"transaction_accounts": 1, "transaction_differs": 1}

    def test_with_a_status_that_there_is_not(self, books: Ledger) -> None:
        change("transactions", transaction(books.alice, 2)["_id"], status="LOST")
        assert found() == {"transaction_status": 1}

    def test_whose_amount_is_no_integer(self, books: Ledger) -> None:
        change("transactions", transaction(books.alice, 2)["_id"], amount_minor=10_000.0)
        assert found() == {"malformed": 1}

    def test_whose_currency_is_javascript(self, books: Ledger) -> None:
        """To Python it is a string, and reads the same."""
        change("transactions", transaction(books.alice, 2)["_id"], currency=JavaScript("INR"))
        assert found() == {"malformed": 1, "transaction_differs": 2}

    @pytest.mark.parametrize("link", ["reverses", "reversed_by"])
    @pytest.mark.parametrize("odd", ["original", None, 5, [ObjectId()], {"of": 1}])
    def test_with_a_link_that_is_no_id(self, books: Ledger, link: str, odd: Any) -> None:
        change("transactions", transaction(books.alice, 2)["_id"], **{link: odd})
        assert found() == {"reversal_link": 1}


class TestATamperedReversal:
    """Bob's 50, entries 3 of Alice and 2 of Bob, went back to Alice."""

    @pytest.fixture
    def made(self, books: Ledger) -> tuple[dict[str, Any], dict[str, Any]]:
        original = transaction(books.alice, 3)["_id"]
        reversal = ledger.post(Reversal(ObjectId(), original, "wrong")).transaction.pk
        assert found() == {}
        rows = [database().transactions.find_one({"_id": key}) for key in (original, reversal)]
        return rows[0], rows[1]

    @pytest.mark.parametrize("odd", ["original", None, 5, [ObjectId()], {"of": 1}])
    def test_whose_link_is_no_id(self, made: Any, odd: Any) -> None:
        change("transactions", made[1]["_id"], reverses=odd)
        assert found() == {"reversal_link": 2, "transaction_fingerprint": 1}

    def test_whose_original_says_that_it_was_not_reversed(self, made: Any) -> None:
        original, _ = made
        taken = {"$set": {"status": "COMPLETED"}, "$unset": {"reversed_by": 1}}
        database().transactions.update_one({"_id": original["_id"]}, taken, bypass_document_validation=True)
        assert found() == {"reversal_link": 1}

    def test_whose_original_has_lost_only_its_status(self, made: Any) -> None:
        change("transactions", made[0]["_id"], status="COMPLETED")
        assert found() == {"reversal_link": 1}

    def test_whose_original_names_another(self, made: Any, books: Ledger) -> None:
        change("transactions", made[0]["_id"], reversed_by=transaction(books.alice, 2)["_id"])
        assert found() == {"reversal_link": 2, "reversal_differs": 3}

    def test_whose_original_names_none_that_there_is(self, made: Any) -> None:
        change("transactions", made[0]["_id"], reversed_by=ObjectId())
        assert found() == {"reversal_link": 2}

    def test_that_names_another_original(self, made: Any, books: Ledger) -> None:
        change("transactions", made[1]["_id"], reverses=transaction(books.alice, 2)["_id"])
        assert found() == {"reversal_link": 2, "reversal_differs": 1, "transaction_fingerprint": 1}

    def test_with_another_reason(self, made: Any) -> None:
        change("transactions", made[1]["_id"], reason="Fraud")
        assert found() == {"transaction_fingerprint": 1}

    def test_that_calls_itself_a_transfer(self, made: Any) -> None:
        change("transactions", made[1]["_id"], kind="TRANSFER")
        assert found() == {"reversal_link": 1, "transaction_fingerprint": 1, "transaction_initiator": 1}

    def test_with_a_kind_that_there_is_not(self, made: Any) -> None:
        change("transactions", made[0]["_id"], kind="GIFT")
        assert found() == {"transaction_status": 1, "transaction_fingerprint": 1}

    def test_that_was_marked_by_hand_without_money_moving(self, books: Ledger) -> None:
        change("transactions", transaction(books.alice, 3)["_id"], status="REVERSED")
        assert found() == {"reversal_link": 1}

    def test_posted_between_two_reads_is_no_finding(self, books: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(verification, "DOCUMENTS_AT_ONCE", 2)
        originals = iter([transaction(books.alice, number)["_id"] for number in (4, 2, 3)])

        def meanwhile(documents: int) -> None:
            if original := next(originals, None):
                ledger.post(Reversal(ObjectId(), original, "wrong"))

        assert verify(progress=meanwhile).findings == []
        assert next(originals, None) is None
        assert verify().whole


class TestATamperedAccount:
    def test_with_another_balance(self, books: Ledger) -> None:
        change("accounts", books.alice, balance_minor=Int64(82_501))
        report = verify()
        assert dict(report.counts) == {"sum_not_zero": 1, "account_balance": 1}
        assert [(finding.code, finding.subject, finding.message) for finding in report.findings] == [
            (Code.SUM_NOT_ZERO, "INR", "3 balances of INR sum to 1, not 0"),
            (Code.ACCOUNT_BALANCE, books.alice, "balance is 82501, its 4 entries make 82500"),
        ]

    def test_with_another_chain_head(self, books: Ledger) -> None:
        change("accounts", books.alice, chain_head="f" * 64)
        assert found() == {"account_chain_head": 1}

    def test_that_counts_an_entry_more(self, books: Ledger) -> None:
        change("accounts", books.alice, sequence=Int64(5))
        assert found() == {"account_sequence": 1}

    def test_that_counts_an_entry_less(self, books: Ledger) -> None:
        change("accounts", books.alice, sequence=Int64(3))
        assert found() == {"account_sequence": 1, "account_balance": 1, "account_chain_head": 1}

    def test_with_another_currency(self, books: Ledger) -> None:
        change("accounts", books.alice, currency="USD")
        assert found() == {"entry_currency": 4, "sum_not_zero": 2}

    def test_that_was_deleted(self, books: Ledger) -> None:
        database().accounts.delete_one({"_id": books.bob})
        assert found() == {"account_unknown": 1, "sum_not_zero": 1}

    def test_that_was_added_with_money_in_it(self, books: Ledger) -> None:
        document = database().accounts.find_one({"_id": books.bob})
        fresh = {"_id": ObjectId(), "balance_minor": Int64(5), "sequence": Int64(0), "chain_head": "0" * 64}
        insert("accounts", document | fresh)
        assert found() == {"account_balance": 1, "sum_not_zero": 1}

    def test_whose_balance_became_a_double(self, books: Ledger) -> None:
        change("accounts", books.alice, balance_minor=82_500.0)
        assert found() == {"malformed": 1}

    @pytest.mark.parametrize("odd", [5, "alice", None, True])
    def test_whose_id_is_no_id(self, books: Ledger, odd: Any) -> None:
        document = database().accounts.find_one({"_id": books.bob})
        empty = {"balance_minor": Int64(0), "sequence": Int64(0), "chain_head": "0" * 64}
        insert("accounts", document | empty | {"_id": odd})
        assert found() == {"malformed": 1}

    @pytest.mark.parametrize("still_may", [True, False])
    def test_that_was_let_below_zero(self, books: Ledger, still_may: bool) -> None:
        change("accounts", books.alice, may_overdraw=True)
        books.pay(900)
        if not still_may:
            change("accounts", books.alice, may_overdraw=False)
        assert found() == {"below_zero": 1, **({"account_kind": 1} if still_may else {})}

    @pytest.mark.parametrize("fields", [{"may_overdraw": True}, {"kind": "EQUITY"}])
    def test_that_could_go_below_zero_or_has_the_kind_that_may(self, books: Ledger, fields: dict[str, Any]) -> None:
        change("accounts", books.bob, **fields)
        assert found() == {"account_kind": 1}

    def test_with_another_owner(self, books: Ledger) -> None:
        """Bob got three transfers; Alice made three, and got one."""
        change("accounts", books.bob, user=ObjectId())
        assert found() == {"transaction_parties": 3}
        change("accounts", books.alice, user=ObjectId())
        assert found() == {"transaction_parties": 4, "transaction_initiator": 3}


class TestMoneyFromNowhere:
    def test_is_found_even_when_account_entry_and_transaction_agree(self, books: Ledger) -> None:
        made = transaction(books.bob, 3)
        forged = chained(books.bob, transaction=ObjectId())
        amount = {"amount_minor": forged["amount_minor"], "debit_entry": ObjectId(), "credit_entry": forged["_id"]}
        said = Transfer(made["initiator"], made["from_account"], made["to_account"], Decimal(5), "forged")
        named = {"_id": forged["transaction"], "idempotency_key": "forged", "fingerprint": said.fingerprint}
        insert("transactions", made | amount | named)
        insert("entries", forged)
        change(
            "accounts",
            books.bob,
            balance_minor=forged["balance_after_minor"],
            sequence=forged["sequence"],
            chain_head=forged["hash"],
        )
        assert found() == {"sum_not_zero": 1, "entry_missing": 1}


class TestWhatNothingFinds:
    """docs/security.md and ADR 0015 name it: who says otherwise has to change both."""

    def test_another_key_after_which_a_repeat_pays_again(self, books: Ledger) -> None:
        change("transactions", transaction(books.alice, 2)["_id"], idempotency_key="another")
        assert found() == {}

    @pytest.mark.parametrize("fields", [{"status": "FROZEN"}, {"kind": "EQUITY", "may_overdraw": True}])
    def test_another_status_of_an_account_and_a_kind_that_may_go_below_zero(self, books: Ledger, fields: Any) -> None:
        change("accounts", books.bob, **fields)
        assert found() == {}

    def test_another_reason_with_its_fingerprint(self, books: Ledger) -> None:
        reversal = Reversal(ObjectId(), transaction(books.alice, 3)["_id"], "wrong", "k")
        made = ledger.post(reversal).transaction.pk
        change("transactions", made, reason="fraud", fingerprint=replace(reversal, reason="fraud").fingerprint)
        assert found() == {}
