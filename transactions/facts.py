"""Comparing what entries and transactions say of each other without looking any of them up.

Transactions stand elsewhere than their entries, and there may be any number of both. So each says what it knows of an
entry (its id, accounts, amount and so on), each fact becomes a number of 2048 bits by hashing, and the numbers of one
side are added, those of the other taken away. Zero is left if and only if both sides say the same, each fact once:
nobody finds other facts of the same sum. The same holds for a reversal and its original.
"""

from hashlib import shake_256

from bson import ObjectId

from ledger_project.mongo import Document
from transactions.invariants import SIDES

FACT_BYTES = 256
MODULUS = 1 << 8 * FACT_BYTES


class Facts:
    """What has been said so far. Takes well-formed documents in any order, and two numbers of memory."""

    def __init__(self) -> None:
        self._entries = self._links = 0

    def said_by_entry(self, entry: Document) -> None:
        """An entry, of itself."""
        own = (entry["_id"], entry["transaction"], entry["account"], entry["counter_account"])
        self._entries += _fact(f"{entry['direction']}|{_said_twice(entry)}", *own)

    def said_by_transaction(self, made: Document) -> None:
        """A transaction, of its two entries, and of the one that it reverses, or is reversed by."""
        both = _said_twice(made)
        for direction, (itself, own, other) in SIDES.items():
            self._entries -= _fact(f"{direction}|{both}", made[itself], made["_id"], made[own], made[other])
        money = f"{made['amount_minor']}|{made['currency']}"
        if "reverses" in made:
            self._links += _fact(money, made["_id"], made["reverses"], made["from_account"], made["to_account"])
        if "reversed_by" in made:
            self._links -= _fact(money, made["reversed_by"], made["_id"], made["to_account"], made["from_account"])

    @property
    def entries_agree(self) -> bool:
        """Whether entries and transactions said the same of the entries."""
        return self._entries % MODULUS == 0

    @property
    def links_agree(self) -> bool:
        """Whether reversals and their originals said the same of each other."""
        return self._links % MODULUS == 0


def _said_twice(document: Document) -> str:
    time = document["created_at"].replace(tzinfo=None)  # all are in UTC, and to say so costs four times as much
    return f"{document['amount_minor']}|{document['currency']}|{time}"


def _fact(words: str, *ids: ObjectId) -> int:
    """The ids are as long as they are many, so no two facts read the same."""
    said = words.encode() + b"".join([each.binary for each in ids])
    return int.from_bytes(shake_256(said).digest(FACT_BYTES), "big")
