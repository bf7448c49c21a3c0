"""Comparing what entries and transactions say of each other without looking any of them up.

Transactions stand elsewhere than their entries, and there may be any number of both. So each says what it knows of an
entry (its id, accounts, amount and so on), each fact becomes a number of 2048 bits by hashing, and the numbers of one
side are added, those of the other taken away. Where both sides say the same, each fact once, zero is left; and nobody
finds other facts that leave zero, as long as each document stands once: in a collection the index of _id sees to that,
and what an export has twice cannot be imported. The same holds for reversals and their originals.
"""

from hashlib import shake_256

from bson import ObjectId

from ledger_project.mongo import Document
from transactions.invariants import SIDES

FACT_BYTES = 256
MODULUS = 1 << 8 * FACT_BYTES


class _Facts:
    """What has been said so far: one side is added, the other taken away."""

    def __init__(self) -> None:
        self._left = 0

    @property
    def agree(self) -> bool:
        """Whether both sides said the same."""
        return self._left % MODULUS == 0


class EntryFacts(_Facts):
    """What entries and transactions say of the entries. Takes well-formed documents, in any order."""

    def said_by_entry(self, entry: Document) -> None:
        """An entry, of itself."""
        ids = (entry["_id"], entry["transaction"], entry["account"], entry["counter_account"])
        self._left += _number(_words(entry["direction"], entry), ids)

    def said_by_transaction(self, made: Document) -> None:
        """A transaction, of its two entries."""
        for direction, (itself, own, other) in SIDES.items():
            self._left -= _number(_words(direction, made), (made[itself], made["_id"], made[own], made[other]))


class LinkFacts(_Facts):
    """What reversals and their originals say of each other. A link may be of any type."""

    def said_by(self, made: Document) -> None:
        """A transaction, of the one that it reverses, or is reversed by."""
        payer, payee = made["from_account"], made["to_account"]
        money = (int(made["amount_minor"]), made["currency"])
        if "reverses" in made:
            self._left += _number(repr((made["_id"], made["reverses"], payer, payee, money)))
        if "reversed_by" in made:
            self._left -= _number(repr((made["reversed_by"], made["_id"], payee, payer, money)))


def _words(direction: str, document: Document) -> str:
    """What an entry and its transaction both say, besides the ids."""
    time = document["created_at"].replace(tzinfo=None)  # all are in UTC, and to say so costs four times as much
    return f"{direction}|{document['amount_minor']}|{document['currency']!r}|{time}"


def _number(words: str, ids: tuple[ObjectId, ...] = ()) -> int:
    """The fact of these words and ids. An id has 12 bytes, and a sum its number of ids: no two facts read the same."""
    said = words.encode() + b"".join([each.binary for each in ids])
    return int.from_bytes(shake_256(said).digest(FACT_BYTES), "big")
