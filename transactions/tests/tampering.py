"""A small ledger to tamper with, past everything that guards it, and what a verification then finds."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from bson import ObjectId

from ledger_project.mongo import database
from transactions import ledger, verification
from transactions.posting import Transfer, entry_hash
from transactions.verification import verify


@dataclass
class Ledger:
    """Alice was given 1000 and paid Bob 100, 50 and 25: her entries are 1 to 4, his 1 to 3."""

    alice: ObjectId
    bob: ObjectId
    alice_owner: ObjectId

    def pay(self, amount: int, payer: ObjectId | None = None) -> ledger.Outcome:
        return ledger.post(Transfer(self.alice_owner, payer or self.alice, self.bob, Decimal(amount), uuid4().hex))


@contextmanager
def small_batches() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verification, "ACCOUNTS_AT_ONCE", 1)
        patch.setattr(verification, "DOCUMENTS_AT_ONCE", 2)
        yield


@contextmanager
def all_is_settled() -> Iterator[None]:
    """However young the transactions: what they say of their entries is added up, and not looked up."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verification, "SETTLED_AFTER", -timedelta(days=1))
        yield


def found() -> dict[str, int]:
    """How many findings there are of each code; it must not depend on where a batch ends, or on how old they are."""
    counts = verify().counts
    with small_batches():
        assert verify().counts == counts
    with all_is_settled():
        assert verify().counts == counts
        with small_batches():
            assert verify().counts == counts
    return dict(counts)


def entry(account: ObjectId, sequence: int) -> dict[str, Any]:
    document = database().entries.find_one({"account": account, "sequence": sequence})
    assert document is not None
    return document


def transaction(account: ObjectId, sequence: int) -> dict[str, Any]:
    document = database().transactions.find_one({"_id": entry(account, sequence)["transaction"]})
    assert document is not None
    return document


def change(collection: str, document_id: Any, **fields: Any) -> None:
    changed = database()[collection].update_one({"_id": document_id}, {"$set": fields}, bypass_document_validation=True)
    assert changed.modified_count == 1


def insert(collection: str, document: dict[str, Any]) -> None:
    database()[collection].insert_one(document, bypass_document_validation=True)


def chained(account: ObjectId, /, **fields: Any) -> dict[str, Any]:
    """An entry of 5, a credit, that follows the last one of `account` as a real one would."""
    last = database().entries.find_one({"account": account}, sort=[("sequence", -1)])
    forged = last | {
        "_id": ObjectId(),
        "sequence": last["sequence"] + 1,
        "direction": "CREDIT",
        "amount_minor": 500,
        "balance_after_minor": last["balance_after_minor"] + 500,
    }
    forged |= fields
    return forged | {"hash": entry_hash(last["hash"], forged)}
