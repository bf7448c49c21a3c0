"""Anchors: the heads of all chains at one moment, under one hash that auditors keep elsewhere (ADR 0016).

Whoever can rewrite the whole database can chain every entry anew. They cannot make the hash again that was mailed
yesterday: an anchor stands for every entry up to the head of each account, and for all anchors before it.
"""

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from bson import Binary, Int64, ObjectId
from bson.errors import BSONError
from django.utils import timezone
from pymongo.client_session import ClientSession
from pymongo.errors import PyMongoError

from accounts.models import GENESIS, Account
from ledger_project.jsonio import timestamp
from ledger_project.mongo import (
    Document,
    Unit,
    collection,
    database,
    from_document,
    in_milliseconds,
    is_duplicate_key,
    run_transaction,
)
from transactions import alerts
from transactions.invariants import Code, Finding
from transactions.models import Anchor, AnchorPage, Entry
from users import notifications
from users.models import Notification
from users.tasks import wake_sender

HEADS_A_PAGE = 10_000
ENTRIES_AT_ONCE = 200
ID_BYTES, SEQUENCE_BYTES, HASH_BYTES = 12, 8, 32
HEAD_BYTES = ID_BYTES + SEQUENCE_BYTES + HASH_BYTES


class Head(NamedTuple):
    """Where the chain of an account stood."""

    account: ObjectId
    sequence: int
    hash: str

    def __str__(self) -> str:
        return f"{self.account} {self.sequence} {self.hash}"


def take_anchor(*, now: datetime | None = None) -> Anchor:
    """Take an anchor of the ledger as it is in one snapshot, keep it, and queue it to be mailed to auditors.

    Killed halfway it leaves pages that no anchor names. Two at once: the number lets one of them be next, and both
    return that one. Raises PyMongoError; where reading takes longer than MongoDB keeps a snapshot, SnapshotTooOld.
    """
    now = in_milliseconds(now or timezone.now())
    before = latest()
    document: Document = {
        "_id": ObjectId(),
        "number": Int64(before.number + 1 if before else 1),
        "taken_at": now,
        "previous": before.hash if before else GENESIS,
    }
    document |= _keep_pages(document["_id"])
    document["hash"] = anchor_hash(document)
    staff = alerts.told()

    def work(unit: Unit) -> None:
        unit.insert(Anchor._meta.db_table, [document])
        notifications.queue(unit, [_notice(user.pk, document) for user in staff])
        unit.after_commit(wake_sender.ask)

    try:
        run_transaction(work)
    except PyMongoError as error:
        if not is_duplicate_key(error):
            raise
        taken = latest()
        assert taken is not None, "somebody else took it"
        return taken
    return from_document(Anchor, document)


def take_daily(*, now: datetime | None = None) -> Anchor | None:
    """Take the anchor of the day (UTC), unless one has been taken today."""
    now = now or timezone.now()
    before = latest()
    if before is not None and before.taken_at.astimezone(UTC).date() >= now.astimezone(UTC).date():
        return None
    return take_anchor(now=now)


def latest() -> Anchor | None:
    """The last anchor."""
    found = collection(Anchor).find_one({}, sort=[("number", -1)])
    return from_document(Anchor, found) if found else None


def anchor_hash(document: Document) -> str:
    """SHA-256 over what an anchor says, the hash of the one before it among it; the time in milliseconds."""
    at = round(document["taken_at"].timestamp() * 1000)
    said = (document[name] for name in ("number", "accounts", "entries", "heads", "previous"))
    return sha256("|".join(map(str, (at, *said))).encode()).hexdigest()


def anchor_findings(named: str) -> Iterator[Finding]:
    """Whether the ledger still contains the anchor `named`: by its hash, or by a file that `write_file` wrote.

    The anchor must be what its hash says, its heads be what it says, and the entry with each of these numbers be there
    with that hash. That the entries below make that hash is for a verification of the ledger to tell.
    """
    if Path(named).is_file():
        try:
            yield from _findings(_anchor_in(Path(named)), _heads_in(Path(named)))
        except (BSONError, LookupError, TypeError, ValueError):
            yield Finding(Code.ANCHOR_MISSING, named, "the file is none of `anchor_ledger`, or was changed")
    elif found := collection(Anchor).find_one({"hash": named.strip().lower()}):
        yield from _findings(found, _heads_of(found["_id"]))
    else:
        yield Finding(Code.ANCHOR_MISSING, named, "no anchor with this hash is in the ledger")


def chain_findings() -> Iterator[Finding]:
    """Whether the anchors follow one another without a gap, each with the hash of the one before."""
    number, previous = 0, GENESIS
    for document in collection(Anchor).find(sort=[("number", 1)]):
        number += 1
        if (document["number"], document["previous"]) != (number, previous):
            message = f"number {document['number']} onto {document['previous']}, due was {number} onto {previous}"
            yield Finding(Code.ANCHOR_DIFFERS, document["hash"], message)
        if (due := anchor_hash(document)) != document["hash"]:
            yield Finding(Code.ANCHOR_DIFFERS, document["hash"], f"its fields make {due}")
        number, previous = document["number"], document["hash"]


def write_file(anchor: Anchor, path: Path) -> None:
    """Write `anchor` with all of its heads: the anchor as JSON in the first line, then a line for each account."""
    document = collection(Anchor).find_one({"_id": anchor.pk})
    assert document is not None
    said = {name: value for name, value in document.items() if name != "_id"} | {"taken_at": timestamp(anchor.taken_at)}
    with path.open("x") as file:
        file.write(json.dumps(said) + "\n")
        file.writelines(f"{head}\n" for head in _heads_of(anchor.pk))


def _findings(document: Document, heads: Iterable[Head]) -> Iterator[Finding]:
    """Whether the anchor `document` is what its hash says, over these `heads`, and whether the ledger has them."""
    digest = _Digest()
    yield from _head_findings(digest.pass_on(heads), document)
    if digest.said() != {name: document[name] for name in digest.said()}:
        yield Finding(Code.ANCHOR_DIFFERS, document["hash"], "its heads are not those that its hash stands for")
    if anchor_hash(document) != document["hash"]:
        yield Finding(Code.ANCHOR_DIFFERS, document["hash"], f"its fields make {anchor_hash(document)}")


def _anchor_in(path: Path) -> Document:
    with path.open() as file:
        document = json.loads(file.readline())
    return document | {"taken_at": datetime.fromisoformat(document["taken_at"])}


def _heads_in(path: Path) -> Iterator[Head]:
    with path.open() as file:
        for line in islice(file, 1, None):
            account, sequence, digest = line.split()
            yield Head(ObjectId(account), int(sequence), digest)


class _Digest:
    """Counts heads and hashes them as they pass by."""

    def __init__(self) -> None:
        self._hash = sha256()
        self._accounts = self._entries = 0

    def pass_on(self, heads: Iterable[Head]) -> Iterator[Head]:
        """`heads`, looked at."""
        for head in heads:
            self._hash.update(f"{head}\n".encode())
            self._accounts += 1
            self._entries += head.sequence
            yield head

    def said(self) -> Document:
        """What an anchor says of the heads that passed."""
        return {
            "accounts": Int64(self._accounts),
            "entries": Int64(self._entries),
            "heads": self._hash.hexdigest(),
        }


def _keep_pages(anchor: ObjectId) -> Document:
    """Store the heads of all accounts as of one snapshot, in the order of their ids; what the anchor says of them."""
    digest = _Digest()
    with database().client.start_session(snapshot=True) as snapshot:
        heads = digest.pass_on(_heads_now(snapshot))
        number = 0
        while page := list(islice(heads, HEADS_A_PAGE)):
            row = {"_id": ObjectId(), "anchor": anchor, "number": Int64(number), "heads": Binary(_packed(page))}
            collection(AnchorPage).insert_one(row)
            number += 1
    return digest.said()


def _heads_now(snapshot: ClientSession) -> Iterator[Head]:
    rows = collection(Account).find({}, ["sequence", "chain_head"], session=snapshot).sort("_id", 1)
    return (Head(row["_id"], row["sequence"], row["chain_head"]) for row in rows)


def _heads_of(anchor: ObjectId) -> Iterator[Head]:
    for row in collection(AnchorPage).find({"anchor": anchor}).sort("number", 1):
        yield from _unpacked(row["heads"])


def _packed(heads: Iterable[Head]) -> bytes:
    return b"".join(
        head.account.binary + head.sequence.to_bytes(SEQUENCE_BYTES, "big") + bytes.fromhex(head.hash) for head in heads
    )


def _unpacked(page: bytes) -> Iterator[Head]:
    for at in range(0, len(page), HEAD_BYTES):
        sequence_at, hash_at = at + ID_BYTES, at + ID_BYTES + SEQUENCE_BYTES
        sequence = int.from_bytes(page[sequence_at:hash_at], "big")
        yield Head(ObjectId(page[at:sequence_at]), sequence, page[hash_at : at + HEAD_BYTES].hex())


def _head_findings(heads: Iterable[Head], document: Document) -> Iterator[Finding]:
    """Whether the last entries that the anchor stands for are there as they were."""
    rest = iter(heads)
    while batch := list(islice(rest, ENTRIES_AT_ONCE)):
        asked = [{"account": head.account, "sequence": head.sequence} for head in batch if head.sequence]
        rows = collection(Entry).find({"$or": asked}, ["account", "sequence", "hash"]) if asked else ()
        there = {(row["account"], row["sequence"]): row["hash"] for row in rows}
        for head in batch:
            said: Any = there.get((head.account, head.sequence)) if head.sequence else GENESIS
            if said != head.hash:
                message = f"the hash of entry {head.sequence} is {said}, anchor {document['number']} has {head.hash}"
                yield Finding(Code.ANCHOR_DIFFERS, head.account, message)


def _notice(user_id: ObjectId, document: Document) -> Document:
    said = {name: str(document[name]) for name in ("number", "hash", "previous", "accounts", "entries")}
    payload = said | {"time": timestamp(document["taken_at"])}
    return notifications.row(user_id, Notification.Kind.LEDGER_ANCHOR, payload, document["taken_at"])
