"""Proving the ledger from its entries: every invariant of the design, over any number of entries, amid live traffic.

Why no long snapshot is needed: a transfer commits its accounts, transaction and entries together, and every read here
is causally after the one before it. So an account that was read with sequence n has entries 1 to n, whenever they are
read later, and an entry that was read has its transaction. What looks wrong the other way round (entries past n, an
account not seen before) is read again before it is called a finding. Only the sum of all balances needs one moment for
the whole: that is one short snapshot read.

An entry and its transaction must tell the same story. Verifying the whole ledger adds up what both say (facts.py) and
looks up only what was posted of late, for its other side may not have been there yet when it would have been added; if
the sums differ, all is looked up, which tells what is wrong, or that nothing is.

Memory is bounded by the sizes of the batches, whatever the size of the ledger.
"""

import gc
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby, islice
from operator import itemgetter
from time import perf_counter
from typing import Any

from bson import ObjectId
from django.utils import timezone
from pymongo.client_session import ClientSession
from pymongo.read_concern import ReadConcern

from accounts.models import Account
from accounts.opening import AccountNotFound
from ledger_project.mongo import Document, database, first_id
from transactions.account_history import last_before, link_at
from transactions.anchors import chain_findings
from transactions.facts import EntryFacts
from transactions.invariants import (
    ACCOUNT_FIELDS,
    ENTRY_FIELDS,
    LINKS,
    OF_REVERSALS,
    START,
    TRANSACTION_FIELDS,
    Code,
    Finding,
    Link,
    Total,
    account_findings,
    entries_findings,
    entry_findings,
    has_shape,
    head_findings,
    index_findings,
    match_findings,
    owner_findings,
    reversal_findings,
    shape_findings,
    standing_findings,
    total_findings,
)
from transactions.models import Entry, Transaction
from transactions.signals import ledger_verified
from transactions.statement import StatementBroken

ACCOUNTS, TRANSACTIONS, ENTRIES = (model._meta.db_table for model in (Account, Transaction, Entry))
ACCOUNTS_AT_ONCE = 1000
DOCUMENTS_AT_ONCE = 2000
LOWEST_ID = ObjectId("0" * 24)
IMPORTS, THE_IMPORT = "imports", "the import"
CLOCKS_DIFFER = timedelta(seconds=60)  # what the clocks of the web hosts may differ by, at most
# No posting takes longer than transactionLifetimeLimitSeconds: what is older has been stored, or never will be.
SETTLED_AFTER = CLOCKS_DIFFER + timedelta(seconds=60)
# Without these nothing keeps a key or a number from being used twice, or a transaction from being reversed twice.
UNIQUE_INDEXES = (
    (TRANSACTIONS, "one_per_key", [("idempotency_key", 1), ("initiator", 1)], None),
    (TRANSACTIONS, "one_reversal", [("reverses", 1)], {"reverses": {"$exists": True}}),
    (ENTRIES, "one_per_sequence", [("account", 1), ("sequence", 1)], None),
)


@dataclass(slots=True)
class Report:
    """What was verified and found. Keeps the first `keep` findings and counts them all."""

    keep: int
    accounts: int = 0
    transactions: int = 0
    entries: int = 0
    totals: dict[str, Total] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    @property
    def whole(self) -> bool:
        """Whether nothing was found."""
        return not self.counts

    def add(self, findings: Iterable[Finding]) -> None:
        """Take findings in."""
        for finding in findings:
            self.counts[finding.code.value] += 1
            if len(self.findings) < self.keep:
                self.findings.append(finding)


def verify(
    *,
    account: ObjectId | None = None,
    since: datetime | None = None,
    keep: int = 100,
    progress: Callable[[int], Any] | None = None,
) -> Report:
    """Verify the whole ledger, or one `account` with its transactions. Transfers may go on meanwhile.

    With `since` only what was posted from then on, onto the entries before, which are taken as they are. `progress` is
    told how many more documents have been looked at. Raises AccountNotFound, and PyMongoError when the database cannot
    be read to the end: then nothing is proven.
    """
    began, started = timezone.now(), perf_counter()
    report = Report(keep)
    with few_collections(), database().client.start_session(causal_consistency=True) as session:
        verifier = Verifier(session, report, *([progress] if progress else []))
        if account is not None:
            verifier.verify_account(account, since)
        elif since is not None:
            verifier.verify_since(since)
        else:
            verifier.verify_ledger()
    report.seconds = perf_counter() - started
    if account is None and since is None:
        ledger_verified.send_robust(Report, report=report, began=began)
    return report


@contextmanager
def few_collections() -> Iterator[None]:
    """Collect garbage rarely: documents form no cycles, and searching them for some takes a third of the time."""
    thresholds = gc.get_threshold()
    gc.set_threshold(50 * DOCUMENTS_AT_ONCE, *thresholds[1:])
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)


def unfinished_import() -> Document | None:
    """The import that began and has not ended, if there is one: this is then a part of a ledger."""
    return database()[IMPORTS].find_one({"_id": THE_IMPORT, "finished_at": None})


def extent(account: ObjectId | None = None) -> int:
    """About how many documents `verify` is going to look at: what a progress bar needs."""
    if account is None:
        return sum(database()[name].estimated_document_count() for name in (ENTRIES, TRANSACTIONS))
    found = database()[ACCOUNTS].find_one({"_id": account}, {"sequence": 1})
    return 2 * found["sequence"] if found else 0


class Verifier:
    """Reads the collections batch by batch, in `session`, and applies the invariants; what it finds is in `report`."""

    def __init__(
        self, session: ClientSession, report: Report, progress: Callable[[int], Any] = lambda documents: None
    ) -> None:
        self.session = session
        self.report = report
        self.progress = progress
        self.facts = EntryFacts()
        self.settled = LOWEST_ID  # transactions below are compared with their entries by their facts

    def verify_ledger(self) -> None:
        """All of it."""
        self.verify_whole()
        self._accounts_of_odd_ids()
        self.settled = first_id((timezone.now() - SETTLED_AFTER).timestamp())
        for accounts, within in self._account_batches():
            self._accounts(accounts, within)
        self._transactions({})
        if not self.facts.agree:
            self._look_settled_up()

    def verify_whole(self) -> None:
        """What no account tells by itself: the unique indexes, and that the balances sum to zero."""
        if begun := unfinished_import():
            message = f"an import that began at {begun['began_at']:%Y-%m-%d %H:%M} UTC did not end"
            self.report.add([Finding(Code.IMPORT_UNFINISHED, begun["_id"], message)])
        self._indexes()
        self._totals()
        self.report.add(chain_findings())

    def verify_account(self, account_id: ObjectId, since: datetime | None = None) -> None:
        """One account, its entries and its transactions; those from `since` on."""
        account = self._account(account_id)
        if account is None:
            raise AccountNotFound
        if since is None:
            self._accounts([account], {"account": account_id})
        else:
            self._account_since(account, since)
        self._transactions({"parties": account_id} | _ids_since(since))

    def verify_since(self, since: datetime) -> None:
        """The entries and transactions from `since` on: an account that has some was updated since, too."""
        self.verify_whole()
        changed = {"updated_at": {"$gte": since - CLOCKS_DIFFER}}
        for account in self._find(ACCOUNTS, changed, ACCOUNT_FIELDS).sort("_id", 1):
            self._account_since(account, since)
        self._transactions(_ids_since(since))

    def verify_onwards(self, account: Document, before: Link, limit: int) -> Link:
        """Up to `limit` entries of `account` behind the link `before`, with their transactions; where that leaves it.

        It ends where the account's sequence says, or else has found why not.
        """
        numbers = {"$gt": before.sequence, "$lte": before.sequence + limit}
        entries = list(self._entries({"account": account["_id"], "sequence": numbers}))
        link = self._follow(account, entries, before)
        if link.sequence != account["sequence"] and link.sequence < before.sequence + limit:
            self._count_differs(account, link.sequence)
        self._transactions({"_id": {"$in": [entry["transaction"] for entry in entries]}})
        return link

    def _account_since(self, account: Document, since: datetime) -> None:
        """The entries of `account` behind its last one before `since`."""
        self.report.accounts += 1
        if not self._well_formed(account, ACCOUNT_FIELDS):
            return
        try:
            first = link_at(
                account["_id"], last_before(Account(id=account["_id"], sequence=account["sequence"]), since)
            )
        except StatementBroken:  # an entry is missing: its whole chain tells which
            first = START
        within = {"account": account["_id"], "sequence": {"$gt": first.sequence}}
        link = self._follow(account, self._entries(within), first)
        if link.sequence != account["sequence"]:
            self._count_differs(account, link.sequence)

    def _indexes(self) -> None:
        for collection, name, keys, only in UNIQUE_INDEXES:
            found = self._rows(collection).index_information(session=self.session)
            self.report.add(index_findings(collection, name, keys, only, found))

    def _totals(self) -> None:
        """Sum the balances in one snapshot: a transfer that commits meanwhile is in it with both sides or with none."""
        issued = {"$cond": [{"$eq": ["$kind", Account.Kind.EQUITY.value]}, "$balance_minor", 0]}
        group = {"_id": "$currency", "sum": {"$sum": "$balance_minor"}, "issued": {"$sum": issued}, "n": {"$sum": 1}}
        with database().client.start_session(snapshot=True) as snapshot:
            for row in database()[ACCOUNTS].aggregate([{"$group": group}, {"$sort": {"_id": 1}}], session=snapshot):
                total = Total(sum_minor=row["sum"], issued_minor=-row["issued"], accounts=row["n"])
                self.report.totals[str(row["_id"])] = total
                self.report.add(total_findings(str(row["_id"]), total))

    def _accounts_of_odd_ids(self) -> None:
        """A range over ids sees only ObjectIds; nothing may hide outside it."""
        for odd in self._find(ACCOUNTS, {"_id": {"$not": {"$gte": LOWEST_ID}}}, ACCOUNT_FIELDS):
            self.report.add(shape_findings(odd, ACCOUNT_FIELDS))

    def _account_batches(self) -> Iterator[tuple[list[Document], Document]]:
        """Accounts by id, each batch with the filter of the entries that belong up to its last id.

        Together the filters leave out no entry: the first takes in what lies below, the last what lies above, for the
        entries of accounts that do not exist.
        """
        above: Document = {}
        while True:
            ids = {"$gte": LOWEST_ID} | above
            batch = list(self._find(ACCOUNTS, {"_id": ids}, ACCOUNT_FIELDS).sort("_id", 1).limit(ACCOUNTS_AT_ONCE))
            if len(batch) < ACCOUNTS_AT_ONCE:
                yield batch, {"account": above} if above else {}
                return
            last = batch[-1]["_id"]
            # Not "above" rather than "up to": ids of other types are in it, too.
            yield batch, {"account": above | {"$lte": last} if above else {"$not": {"$gt": last}}}
            above = {"$gt": last}

    def _accounts(self, batch: list[Document], within: Document) -> None:
        """Verify the entries that the filter `within` finds against the accounts of `batch`, and these against them."""
        self.report.accounts += len(batch)
        waiting = {account["_id"]: account for account in batch}
        for account_id, entries in groupby(self._entries(within), itemgetter("account")):
            account = waiting.pop(account_id, None)
            if account is None:
                self._unexpected(account_id, sum(1 for _ in entries))
            else:
                self._chain(account, entries)
        for account in waiting.values():
            self._chain(account, ())

    def _unexpected(self, account_id: Any, count: int) -> None:
        """Entries of an account that was not there when the batch was read: opened since, or it does not exist."""
        account = self._account(account_id)
        if account is not None:  # from its beginning, for it was read after those entries
            self._accounts([account], {"account": account_id})
            return
        self.report.entries += count
        message = f"{count} entries name this account, which does not exist"
        self.report.add([Finding(Code.ACCOUNT_UNKNOWN, account_id, message)])

    def _entries(self, within: Document) -> Iterator[Document]:
        """The well-formed entries that `within` finds, by account and sequence, each matched with its transaction."""
        stream = self._find(ENTRIES, within, ENTRY_FIELDS).sort([("account", 1), ("sequence", 1)]).allow_disk_use(True)
        for batch in self._batches(stream, ENTRY_FIELDS):
            recent = []
            for entry in batch:
                if entry["transaction"] < self.settled:
                    self.facts.said_by_entry(entry)
                else:
                    recent.append(entry)
            self._look_transactions_up(recent)
            yield from batch

    def _look_transactions_up(self, entries: list[Document]) -> None:
        """Match `entries` with the transactions that they name."""
        found = self._by_id(TRANSACTIONS, {entry["transaction"] for entry in entries}, TRANSACTION_FIELDS)
        for entry in entries:
            self.report.add(match_findings(entry, found.get(entry["transaction"])))

    def _look_entries_up(self, transactions: list[Document]) -> None:
        """Match `transactions` with the entries that they name."""
        ids = {transaction[side] for transaction in transactions for side in ("debit_entry", "credit_entry")}
        found = self._by_id(ENTRIES, ids, ["transaction"])
        for transaction in transactions:
            self.report.add(entries_findings(transaction, found))

    def _look_settled_up(self) -> None:
        """The facts do not agree: find out where. What is malformed has been told."""
        for name, key, fields, look_up in (
            (ENTRIES, "transaction", ENTRY_FIELDS, self._look_transactions_up),
            (TRANSACTIONS, "_id", TRANSACTION_FIELDS, self._look_entries_up),
        ):
            documents = iter(self._find(name, {key: {"$lt": self.settled}}, fields))
            while batch := list(islice(documents, DOCUMENTS_AT_ONCE)):
                look_up([document for document in batch if has_shape(document, fields)])

    def _chain(self, account: Document, entries: Iterable[Document]) -> None:
        """Follow the chain of `account` through its entries to its head.

        After a finding it goes on from what the entry says of itself, so that one tampered entry is not reported again
        with each entry after it.
        """
        if self._well_formed(account, ACCOUNT_FIELDS):
            link = self._follow(account, entries, START)
            if link.sequence != account["sequence"]:
                self._count_differs(account, link.sequence)

    def _follow(self, account: Document, entries: Iterable[Document], link: Link) -> Link:
        """Where `entries`, behind `link`, lead; the head of `account` is looked at where its sequence is reached."""
        self.report.add(account_findings(account))
        if account["sequence"] == link.sequence:
            self.report.add(head_findings(account, link))
        for entry in entries:
            self.report.entries += 1
            self.report.add(entry_findings(entry, link, account))
            if entry["sequence"] > link.sequence:
                link = Link.after(entry)
                if link.sequence == account["sequence"]:
                    self.report.add(head_findings(account, link))
        return link

    def _count_differs(self, account: Document, last: int) -> None:
        """The entries end before the account's sequence or go on past it: a finding, unless it has moved on since."""
        current = self._account(account["_id"]) if last > account["sequence"] else account
        if current is None or current["sequence"] < last or last < account["sequence"]:
            message = f"sequence is {(current or account)['sequence']}, the last entry is number {last}"
            self.report.add([Finding(Code.ACCOUNT_SEQUENCE, account["_id"], message)])

    def _transactions(self, filter_: Document) -> None:
        stream = self._find(TRANSACTIONS, filter_, [*TRANSACTION_FIELDS, *OF_REVERSALS])
        for batch in self._batches(stream, TRANSACTION_FIELDS):
            self.report.transactions += len(batch)
            named = {transaction[side] for transaction in batch for side in ("from_account", "to_account")}
            owners = {key: found.get("user") for key, found in self._by_id(ACCOUNTS, named, ["user"]).items()}
            links = {other for made in batch for link in LINKS if isinstance(other := made.get(link), ObjectId)}
            linked = self._by_id(TRANSACTIONS, links, [*TRANSACTION_FIELDS, *LINKS])
            recent = []
            for transaction in batch:
                if transaction["_id"] < self.settled:
                    self.facts.said_by_transaction(transaction)
                else:
                    recent.append(transaction)
                self.report.add(standing_findings(transaction))
                self.report.add(owner_findings(transaction, owners))
                self.report.add(reversal_findings(transaction, linked))
            self._look_entries_up(recent)

    def _batches(self, stream: Iterable[Document], fields: dict[str, type]) -> Iterator[list[Document]]:
        """`stream` in batches, without the malformed documents: those are findings."""
        documents = iter(stream)
        while batch := list(islice(documents, DOCUMENTS_AT_ONCE)):
            yield [document for document in batch if self._well_formed(document, fields)]
            self.progress(len(batch))

    def _well_formed(self, document: Document, fields: dict[str, type]) -> bool:
        findings = [] if has_shape(document, fields) else list(shape_findings(document, fields))
        self.report.add(findings)
        return not findings

    def _account(self, account_id: Any) -> Document | None:
        return self._rows(ACCOUNTS).find_one({"_id": account_id}, list(ACCOUNT_FIELDS), session=self.session)

    def _by_id(self, collection: str, ids: set[ObjectId], fields: Iterable[str]) -> dict[ObjectId, Document]:
        if not ids:
            return {}
        return {found["_id"]: found for found in self._find(collection, {"_id": {"$in": list(ids)}}, fields)}

    def _find(self, collection: str, filter_: Document, fields: Iterable[str]):
        found = self._rows(collection).find(filter_, list(fields), session=self.session)
        return found.batch_size(DOCUMENTS_AT_ONCE)

    def _rows(self, collection: str):
        return database().get_collection(collection, read_concern=ReadConcern("majority"))


def _ids_since(since: datetime | None) -> Document:
    """A filter on the ids of transactions that were made from `since` on."""
    return {"_id": {"$gte": first_id((since - CLOCKS_DIFFER).timestamp())}} if since else {}
