"""The ledger is verified all the time, a slice at a time, by a task of Celery's beat (ADR 0016).

A round goes over all accounts in the order of their ids. What is remembered of each account is the link of its chain up
to which it is proven, so that a visit costs its new entries only; and when its last full pass began, so that it is read
from its beginning again before AUDIT_PERIOD_SECONDS are over. A slice reads in one snapshot: an account that is being
paid meanwhile is whole in it.

One worker at a time has the turn, by a conditional update with a lease. One that dies leaves the cursor where it was,
and its slice is done again. What a slice finds is recorded before the cursor goes on.
"""

import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from bson import ObjectId
from django.conf import settings
from django.utils import timezone
from pymongo import ReturnDocument, UpdateOne
from pymongo.errors import DuplicateKeyError

from accounts.models import Account
from ledger_project.mongo import Document, collection, database, in_milliseconds
from transactions import alerts
from transactions.alerts import Found
from transactions.invariants import (
    ACCOUNT_FIELDS,
    START,
    Link,
    account_findings,
    has_shape,
    head_findings,
    shape_findings,
)
from transactions.models import AccountProof
from transactions.verification import LOWEST_ID, Report, Verifier

CURSOR = "audit_cursor"
THE_CURSOR = "accounts"
ACCOUNTS_AT_ONCE = 1000
LEASE_SECONDS = 120  # longer than Celery lets a task run
SLICE_SECONDS = 5  # the e-mail waits behind it
FINDINGS_AT_ONCE = 100  # then the slice ends, so that they are recorded in one MongoDB transaction
FINDINGS_OF_ONE = 10


@dataclass(slots=True)
class Slice:
    """What one slice looked at, up to which account, and what it found."""

    budget: int
    after: ObjectId = LOWEST_ID
    ended: bool = False  # the round: there is no account behind `after`
    accounts: int = 0
    entries: int = 0
    found: list[Found] = field(default_factory=list)
    proven: dict[ObjectId | None, datetime] = field(default_factory=dict)  # whose full pass ended here, and began when
    writes: list[UpdateOne] = field(default_factory=list)


def audit_slice(*, now: datetime | None = None) -> Slice | None:
    """Verify the next accounts, about AUDIT_ENTRIES entries; None when another worker has the turn.

    What is found is recorded, the accounts are frozen and staff are told: all in one MongoDB transaction, and once.
    """
    now = in_milliseconds(now or timezone.now())
    turn = _take_turn(now)
    if turn is None:
        return None
    work = Slice(budget=settings.AUDIT_ENTRIES, after=turn["after"])
    if turn["after"] == LOWEST_ID:
        work.found += _whole()
        work.proven[None] = now
    _accounts(work, now)
    alerts.record(work.found, now)
    alerts.clear(work.proven, now)
    if work.writes:
        collection(AccountProof).bulk_write(work.writes, ordered=False)
    _end_turn(turn, work, now)
    return work


def health(now: datetime | None = None) -> str:
    """For /readyz: "ok", or how many findings are open, or since when no account has been verified in full."""
    if findings := alerts.open_findings():
        return f"findings: {findings}"
    age = oldest_proof_seconds(now or timezone.now())
    return "ok" if age <= settings.AUDIT_PERIOD_SECONDS else f"behind: an account not verified for {age:.0f} s"


def oldest_proof_seconds(now: datetime) -> float:
    """How long ago the last full pass of the account that has waited longest began; 0 where there is no account.

    Accounts that no slice has seen yet wait since the last round that went over all there were began.
    """
    oldest = collection(AccountProof).find_one({}, {"proven_at": 1}, sort=[("proven_at", 1)])
    cursor = database()[CURSOR].find_one({"_id": THE_CURSOR}) or {}
    first = collection(Account).find_one({}, {"_id": 1}, sort=[("_id", 1)])
    if first is None:
        return 0.0
    since = cursor.get("covered_since") or first["_id"].generation_time
    return max(0.0, (now - min(since, oldest["proven_at"] if oldest else since)).total_seconds())


def _take_turn(now: datetime) -> Document | None:
    """The cursor, held from now on for LEASE_SECONDS; None when another worker holds it."""
    fresh = {"after": LOWEST_ID, "began_at": now, "covered_since": None}
    try:
        return database()[CURSOR].find_one_and_update(
            {"_id": THE_CURSOR, "leased_until": {"$not": {"$gt": now}}},
            {
                "$set": {"leased_until": now + timedelta(seconds=LEASE_SECONDS)},
                "$inc": {"turn": 1},
                "$setOnInsert": fresh,
            },
            upsert=True,
            return_document=ReturnDocument.AFTER,
        )
    except DuplicateKeyError:  # it is there, and held
        return None


def _end_turn(turn: Document, work: Slice, now: datetime) -> None:
    """Move the cursor on, unless the lease ran out and another worker has the turn."""
    moved: Document = {"after": work.after, "leased_until": now}
    if work.ended:
        moved |= {"after": LOWEST_ID, "began_at": now, "covered_since": turn["began_at"]}
    database()[CURSOR].update_one({"_id": THE_CURSOR, "turn": turn["turn"]}, {"$set": moved})


def _whole() -> list[Found]:
    """Once a round: what no account tells by itself."""
    report = Report(FINDINGS_OF_ONE)
    with database().client.start_session(causal_consistency=True) as session:
        Verifier(session, report).verify_whole()
    return [Found(None, finding) for finding in report.findings]


def _accounts(work: Slice, now: datetime) -> None:
    """Visit accounts behind `work.after` until the budget, the time or the accounts are used up."""
    until = time.monotonic() + SLICE_SECONDS
    with database().client.start_session(snapshot=True) as snapshot:
        find = {"session": snapshot}
        rows = collection(Account).find({"_id": {"$gt": work.after}}, list(ACCOUNT_FIELDS), **find)
        batch = list(rows.sort("_id", 1).limit(ACCOUNTS_AT_ONCE))
        is_last = len(batch) < ACCOUNTS_AT_ONCE
        within = {"$gt": work.after} if is_last else {"$gt": work.after, "$lte": batch[-1]["_id"]}
        proofs = {proof["_id"]: proof for proof in collection(AccountProof).find({"_id": within}, **find)}
        gone = proofs.keys() - {account["_id"] for account in batch}
        work.found += [Found(key, alerts.account_vanished(key, proofs[key]["sequence"])) for key in sorted(gone)]
        for account in batch:
            report = Report(FINDINGS_OF_ONE)
            finished = _visit(Verifier(snapshot, report), account, proofs.get(account["_id"]), work, now)
            work.found += [Found(account["_id"], finding) for finding in report.findings]
            work.entries += report.entries
            if not finished:
                return  # the rest of a long account is for the next slice
            work.accounts += 1
            work.after = account["_id"]
            if work.entries >= work.budget or len(work.found) >= FINDINGS_AT_ONCE or time.monotonic() > until:
                return
    work.ended = is_last


def _visit(verifier: Verifier, account: Document, proof: Document | None, work: Slice, now: datetime) -> bool:
    """Verify what is due of one account; whether that was all of it."""
    if not has_shape(account, ACCOUNT_FIELDS):
        verifier.report.add(shape_findings(account, ACCOUNT_FIELDS))
        return True
    if proof is not None and account["sequence"] < proof["sequence"]:
        verifier.report.add([alerts.entries_vanished(account, proof["sequence"])])
        proof = _from_the_beginning(now, proof)
    elif proof is None or (proof["is_complete"] and now - proof["began_at"] >= _full_pass_every()):
        proof = _from_the_beginning(now, proof)
    before = Link(proof["sequence"], proof["hash"], proof["balance_minor"])
    if proof["is_complete"] and account["sequence"] == before.sequence:  # nothing was posted since
        verifier.report.add(account_findings(account))
        verifier.report.add(head_findings(account, before))
        return True
    limit = max(work.budget - work.entries, 1)
    link = verifier.verify_onwards(account, before, limit)
    reached = link.sequence >= account["sequence"] or link.sequence < before.sequence + limit
    _remember(account, proof, link, reached, work)
    return reached


def _from_the_beginning(now: datetime, proof: Document | None) -> Document:
    """Where a full pass begins."""
    return {
        "sequence": START.sequence,
        "hash": START.hash,
        "balance_minor": START.balance_minor,
        "began_at": now,
        "is_complete": False,
        "proven_at": proof["proven_at"] if proof else now,
    }


def _remember(account: Document, before: Document, link: Link, reached: bool, work: Slice) -> None:
    """Note how far the account is proven; where a full pass has ended here, that it is proven since that began."""
    ends = reached and not before["is_complete"]
    after = {
        "sequence": link.sequence,
        "hash": link.hash,
        "balance_minor": link.balance_minor,
        "began_at": before["began_at"],
        "is_complete": before["is_complete"] or reached,
        "proven_at": before["began_at"] if ends else before["proven_at"],
    }
    if ends:
        work.proven[account["_id"]] = before["began_at"]
    if not after.items() <= before.items():
        work.writes.append(UpdateOne({"_id": account["_id"]}, {"$set": after}, upsert=True))


def _full_pass_every() -> timedelta:
    """Half of the period: the other half is for the passes to be done in."""
    return timedelta(seconds=settings.AUDIT_PERIOD_SECONDS / 2)
