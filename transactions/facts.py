"""Comparing what entries and transactions say of each other without looking any of them up.

Transactions stand elsewhere than their entries, and there may be any number of both. So each says what it knows of an
entry (its id, accounts, amount and so on), each fact becomes a number of 2048 bits by hashing, and the numbers of one
side are added, those of the other taken away. Where both sides say the same, each fact once, zero is left; and nobody
finds other facts that leave zero, as long as each document stands once: in a collection the index of _id sees to that,
and what an export has twice cannot be imported. The same holds for reversals and their originals.
"""

from hashlib import shake_256
from typing import Any

from ledger_project.mongo import Document
from transactions.invariants import SIDES

FACT_BYTES = 256
MODULUS = 1 << 8 * FACT_BYTES


class EntryFacts:
    """What entries and transactions have said of the entries so far. Takes well-formed documents, in any order."""

    def __init__(self) -> None:
        self._left = 0

    def said_by_entry(self, entry: Document) -> None:
        """An entry, of itself."""
        ids = (entry["_id"], entry["transaction"], entry["account"], entry["counter_account"])
        self._left += _number(_words(entry["direction"], entry), ids)

    def said_by_transaction(self, made: Document) -> None:
        """A transaction, of its two entries."""
        for direction, (itself, own, other) in SIDES.items():
            self._left -= _number(_words(direction, made), (made[itself], made["_id"], made[own], made[other]))

    @property
    def agree(self) -> bool:
        """Whether both sides said the same."""
        return self._left % MODULUS == 0


class LinkFacts:
    """What reversals and their originals have said of each other so far. A link may be of any type."""

    def __init__(self) -> None:
        self._left = 0

    def said_by(self, made: Document) -> None:
        """A transaction, of the one that it reverses, or is reversed by."""
        money = (int(made["amount_minor"]), made["currency"])
        if "reverses" in made:
            self._left += _number(
                repr((made["_id"], made["reverses"], made["from_account"], made["to_account"], money))
            )
        if "reversed_by" in made:
            self._left -= _number(
                repr((made["reversed_by"], made["_id"], made["to_account"], made["from_account"], money))
            )

    @property
    def agree(self) -> bool:
        """Whether both sides said the same."""
        return self._left % MODULUS == 0


def _words(direction: str, document: Document) -> str:
    """What an entry and its transaction both say, besides the ids."""
    time = document["created_at"].replace(tzinfo=None)  # all are in UTC, and to say so costs four times as much
    return f"{direction}|{document['amount_minor']}|{document['currency']!r}|{time}"


def _number(words: str, ids: tuple[Any, ...] = ()) -> int:
    """The ids are as long as they are many, so no two facts read the same."""
    said = words.encode() + b"".join([each.binary for each in ids])
    return int.from_bytes(shake_256(said).digest(FACT_BYTES), "big")
