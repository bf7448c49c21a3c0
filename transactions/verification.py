"""Proving the ledger from its entries: every invariant of the design, over any number of entries, amid live traffic.

Why no long snapshot is needed: a transfer commits its accounts, transaction and entries together, and every read here
is causally after the one before it. So an account that was read with sequence n has entries 1 to n, whenever they are
read later, and an entry that was read has its transaction. What looks wrong the other way round (entries past n, an
account not seen before) is read again before it is called a finding. Only the sum of all balances needs one moment for
the whole: that is one short snapshot read.

Memory is bounded by the sizes of the batches, whatever the size of the ledger.
"""

import gc
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from itertools import groupby, islice
from operator import itemgetter
from time import perf_counter
from typing import Any, NamedTuple

from bson import ObjectId
from pymongo.client_session import ClientSession
from pymongo.read_concern import ReadConcern

from accounts.models import GENESIS, Account
from accounts.opening import AccountNotFound
from ledger_project.mongo import Document, database
from transactions.models import Entry, Transaction
from transactions.posting import entry_hash

ACCOUNTS, TRANSACTIONS, ENTRIES = (model._meta.db_table for model in (Account, Transaction, Entry))
ACCOUNTS_AT_ONCE = 1000
DOCUMENTS_AT_ONCE = 2000
LOWEST_ID = ObjectId("0" * 24)
# Without these two, nothing keeps a key or a sequence number from being used twice.
UNIQUE_INDEXES = (
    (TRANSACTIONS, "one_per_key", [("idempotency_key", 1), ("initiator", 1)]),
    (ENTRIES, "one_per_sequence", [("account", 1), ("sequence", 1)]),
)
# What is read of a document, and the type that each field must have.
ACCOUNT_FIELDS = {
    "_id": ObjectId,
    "kind": str,
    "currency": str,
    "may_overdraw": bool,
    "balance_minor": int,
    "sequence": int,
    "chain_head": str,
}
ENTRY_FIELDS = {
    "_id": ObjectId,
    "account": ObjectId,
    "sequence": int,
    "transaction": ObjectId,
    "counter_account": ObjectId,
    "direction": str,
    "amount_minor": int,
    "currency": str,
    "balance_after_minor": int,
    "created_at": datetime,
    "hash": str,
}
TRANSACTION_FIELDS = {
    "_id": ObjectId,
    "from_account": ObjectId,
    "to_account": ObjectId,
    "amount_minor": int,
    "currency": str,
    "status": str,
    "debit_entry": ObjectId,
    "credit_entry": ObjectId,
}
# The transaction's fields that name the entry itself, its account, and the other account.
SIDES = {
    Entry.Direction.DEBIT.value: ("debit_entry", "from_account", "to_account"),
    Entry.Direction.CREDIT.value: ("credit_entry", "to_account", "from_account"),
}
STATUSES = frozenset(Transaction.Status.values)


class Code(StrEnum):
    """What can be wrong, by a stable name."""

    INDEX_MISSING = "index_missing"  # a unique index is gone, or no longer unique
    SUM_NOT_ZERO = "sum_not_zero"  # the balances of a currency do not sum to zero
    MALFORMED = "malformed"  # a field is missing or has a type that no posting writes
    ACCOUNT_UNKNOWN = "account_unknown"  # entries of an account that does not exist
    ACCOUNT_SEQUENCE = "account_sequence"  # the account counts more or fewer entries than there are
    ACCOUNT_BALANCE = "account_balance"  # the account's balance is not what its entries make
    ACCOUNT_CHAIN_HEAD = "account_chain_head"  # the account's head is not its last entry's hash
    ENTRY_SEQUENCE = "entry_sequence"  # a gap, or a number twice
    ENTRY_HASH = "entry_hash"  # the hash is not that of this entry on the one before it
    ENTRY_BALANCE = "entry_balance"  # balance_after is not the balance before plus or minus the amount
    ENTRY_AMOUNT = "entry_amount"  # the amount is not positive
    ENTRY_CURRENCY = "entry_currency"  # another currency than the account's
    BELOW_ZERO = "below_zero"  # the entry takes a customer's balance below zero
    TRANSACTION_MISSING = "transaction_missing"  # the entry's transaction does not exist
    TRANSACTION_DIFFERS = "transaction_differs"  # the entry and its transaction contradict each other
    ENTRY_MISSING = "entry_missing"  # an entry of the transaction does not exist
    TRANSACTION_ACCOUNTS = "transaction_accounts"  # both sides are one account, or one entry
    TRANSACTION_STATUS = "transaction_status"  # a status that the ledger does not know


@dataclass(frozen=True, slots=True)
class Finding:
    """One invariant that does not hold: which, the id of what breaks it, and exact values, amounts in minor units."""

    code: Code
    subject: Any
    message: str


@dataclass(frozen=True, slots=True)
class Total:
    """All balances of one currency at one moment; `issued_minor` is what the equity accounts gave out."""

    sum_minor: int
    issued_minor: int
    accounts: int


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


class Link(NamedTuple):
    """Where a chain stands: the last entry's number and hash, and the balance after it."""

    sequence: int
    hash: str
    balance_minor: int


START = Link(0, GENESIS, 0)


def verify(*, account: ObjectId | None = None, keep: int = 100, progress: Callable[[int], Any] | None = None) -> Report:
    """Verify the whole ledger, or one `account` with its transactions. Transfers may go on meanwhile.

    `progress` is told how many more documents have been looked at. Raises AccountNotFound, and PyMongoError when the
    database cannot be read to the end: then nothing is proven.
    """
    started = perf_counter()
    report = Report(keep)
    with _few_collections(), database().client.start_session(causal_consistency=True) as session:
        verifier = _Verifier(session, report, progress or (lambda documents: None))
        if account is None:
            verifier.verify_ledger()
        else:
            verifier.verify_account(account)
    report.seconds = perf_counter() - started
    return report


@contextmanager
def _few_collections() -> Iterator[None]:
    """Collect garbage rarely: documents form no cycles, and searching them for some takes a third of the time."""
    thresholds = gc.get_threshold()
    gc.set_threshold(50 * DOCUMENTS_AT_ONCE, *thresholds[1:])
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)


def extent(account: ObjectId | None = None) -> int:
    """About how many documents `verify` is going to look at: what a progress bar needs."""
    if account is None:
        return sum(database()[name].estimated_document_count() for name in (ENTRIES, TRANSACTIONS))
    found = database()[ACCOUNTS].find_one({"_id": account}, {"sequence": 1})
    return 2 * found["sequence"] if found else 0


def index_findings(collection: str, name: str, keys: list[tuple[str, int]], found: Document) -> Iterator[Finding]:
    """Whether `found`, the indexes of `collection`, has a unique one on all documents over `keys`."""
    for index in found.values():
        if index["key"] == keys and index.get("unique") and "partialFilterExpression" not in index:
            return
    yield Finding(Code.INDEX_MISSING, f"{collection}.{name}", f"no unique index over {', '.join(k for k, _ in keys)}")


def total_findings(currency: str, total: Total) -> Iterator[Finding]:
    """Whether a currency's balances sum to zero."""
    if total.sum_minor != 0:
        yield Finding(
            Code.SUM_NOT_ZERO, currency, f"{total.accounts} balances of {currency} sum to {total.sum_minor}, not 0"
        )


def has_shape(document: Document, fields: dict[str, type]) -> bool:
    """Whether every field is there with its type, so that the rules below can rely on it."""
    typed = all(map(isinstance, map(document.get, fields), fields.values()))
    return typed and document.get("direction", Entry.Direction.DEBIT.value) in SIDES


def shape_findings(document: Document, fields: dict[str, type]) -> Iterator[Finding]:
    """What keeps `document` from having that shape."""
    for name, type_ in fields.items():
        if not isinstance(document.get(name), type_) or (name == "direction" and document[name] not in SIDES):
            message = f"{name} is {document.get(name)!r}, which no posting writes ({type_.__name__})"
            yield Finding(Code.MALFORMED, document["_id"], message)


def entry_findings(entry: Document, before: Link, account: Document) -> Iterator[Finding]:
    """Whether `entry` follows the link `before` it on `account`."""
    amount, after = entry["amount_minor"], entry["balance_after_minor"]
    if entry["sequence"] != before.sequence + 1:
        # What came before is not known, so neither hash nor balance can be judged.
        message = f"sequence {entry['sequence']} on account {account['_id']} where {before.sequence + 1} was due"
        yield Finding(Code.ENTRY_SEQUENCE, entry["_id"], message)
    else:
        if entry["hash"] != (due := entry_hash(before.hash, entry)):
            yield Finding(Code.ENTRY_HASH, entry["_id"], f"hash is {entry['hash']}, its fields make {due}")
        signed = amount if entry["direction"] == Entry.Direction.CREDIT else -amount
        if after != (due := before.balance_minor + signed):
            message = f"balance after is {after}, {before.balance_minor} {signed:+d} makes {due}"
            yield Finding(Code.ENTRY_BALANCE, entry["_id"], message)
    if amount <= 0:
        yield Finding(Code.ENTRY_AMOUNT, entry["_id"], f"amount is {amount}")
    if entry["currency"] != account["currency"]:
        message = f"currency is {entry['currency']}, that of account {account['_id']} is {account['currency']}"
        yield Finding(Code.ENTRY_CURRENCY, entry["_id"], message)
    if after < 0 and not (account["may_overdraw"] and account["kind"] == Account.Kind.EQUITY):
        yield Finding(Code.BELOW_ZERO, entry["_id"], f"balance of account {account['_id']} after it is {after}")


def head_findings(account: Document, link: Link) -> Iterator[Finding]:
    """Whether `account` says what its entries say, at the link that its sequence names."""
    if account["balance_minor"] != link.balance_minor:
        message = f"balance is {account['balance_minor']}, its {link.sequence} entries make {link.balance_minor}"
        yield Finding(Code.ACCOUNT_BALANCE, account["_id"], message)
    if account["chain_head"] != link.hash:
        message = f"chain head is {account['chain_head']}, the hash of entry {link.sequence} is {link.hash}"
        yield Finding(Code.ACCOUNT_CHAIN_HEAD, account["_id"], message)


def match_findings(entry: Document, transaction: Document | None) -> Iterator[Finding]:
    """Whether `entry` and the transaction that it names tell the same story."""
    if transaction is None:
        message = f"its transaction {entry['transaction']} does not exist"
        yield Finding(Code.TRANSACTION_MISSING, entry["_id"], message)
        return
    itself, own, other = SIDES[entry["direction"]]
    for name, due in (
        (itself, entry["_id"]),
        (own, entry["account"]),
        (other, entry["counter_account"]),
        ("amount_minor", entry["amount_minor"]),
        ("currency", entry["currency"]),
    ):
        if (said := transaction.get(name)) != due:
            message = f"{name} of transaction {transaction['_id']} is {said}, the entry's is {due}"
            yield Finding(Code.TRANSACTION_DIFFERS, entry["_id"], message)


def transaction_findings(transaction: Document, entries: dict[ObjectId, Document]) -> Iterator[Finding]:
    """Whether `transaction` has its two entries among `entries`, and two accounts. match_findings does the rest."""
    subject = transaction["_id"]
    for side in ("debit_entry", "credit_entry"):
        entry = entries.get(transaction[side])
        if entry is None:
            yield Finding(Code.ENTRY_MISSING, subject, f"its {side} {transaction[side]} does not exist")
        elif entry.get("transaction") != subject:
            message = f"its {side} {transaction[side]} belongs to transaction {entry.get('transaction')}"
            yield Finding(Code.TRANSACTION_DIFFERS, subject, message)
    for one, two in (("from_account", "to_account"), ("debit_entry", "credit_entry")):
        if transaction[one] == transaction[two]:
            yield Finding(Code.TRANSACTION_ACCOUNTS, subject, f"{one} and {two} are both {transaction[one]}")
    if transaction["status"] not in STATUSES:
        yield Finding(Code.TRANSACTION_STATUS, subject, f"status is {transaction['status']}")


class _Verifier:
    """Reads the collections batch by batch and applies the rules above."""

    def __init__(self, session: ClientSession, report: Report, progress: Callable[[int], Any]) -> None:
        self.session = session
        self.report = report
        self.progress = progress

    def verify_ledger(self) -> None:
        """All of it."""
        self._indexes()
        self._totals()
        self._accounts_of_odd_ids()
        for accounts, within in self._account_batches():
            self._accounts(accounts, within)
        self._transactions({})

    def verify_account(self, account_id: ObjectId) -> None:
        """One account, its entries and its transactions."""
        account = self._account(account_id)
        if account is None:
            raise AccountNotFound
        self._accounts([account], {"account": account_id})
        self._transactions({"parties": account_id})

    def _indexes(self) -> None:
        for collection, name, keys in UNIQUE_INDEXES:
            found = self._rows(collection).index_information(session=self.session)
            self.report.add(index_findings(collection, name, keys, found))

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
            ids = {entry["transaction"] for entry in batch}
            transactions = self._by_id(TRANSACTIONS, ids, TRANSACTION_FIELDS)
            for entry in batch:
                self.report.add(match_findings(entry, transactions.get(entry["transaction"])))
            yield from batch

    def _chain(self, account: Document, entries: Iterable[Document]) -> None:
        """Follow the chain of `account` through its entries to its head.

        After a finding it goes on from what the entry says of itself, so that one tampered entry is not reported again
        with each entry after it.
        """
        if not self._well_formed(account, ACCOUNT_FIELDS):
            return
        link = START
        if account["sequence"] == 0:
            self.report.add(head_findings(account, link))
        for entry in entries:
            self.report.entries += 1
            self.report.add(entry_findings(entry, link, account))
            if entry["sequence"] > link.sequence:
                link = Link(entry["sequence"], entry["hash"], entry["balance_after_minor"])
                if link.sequence == account["sequence"]:
                    self.report.add(head_findings(account, link))
        if link.sequence != account["sequence"]:
            self._count_differs(account, link.sequence)

    def _count_differs(self, account: Document, last: int) -> None:
        """The entries end before the account's sequence or go on past it: a finding, unless it has moved on since."""
        current = self._account(account["_id"]) if last > account["sequence"] else account
        if current is None or current["sequence"] < last or last < account["sequence"]:
            message = f"sequence is {(current or account)['sequence']}, the last entry is number {last}"
            self.report.add([Finding(Code.ACCOUNT_SEQUENCE, account["_id"], message)])

    def _transactions(self, filter_: Document) -> None:
        for batch in self._batches(self._find(TRANSACTIONS, filter_, TRANSACTION_FIELDS), TRANSACTION_FIELDS):
            self.report.transactions += len(batch)
            ids = {transaction[side] for transaction in batch for side in ("debit_entry", "credit_entry")}
            entries = self._by_id(ENTRIES, ids, ["transaction"])
            for transaction in batch:
                self.report.add(transaction_findings(transaction, entries))

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
        return {found["_id"]: found for found in self._find(collection, {"_id": {"$in": list(ids)}}, fields)}

    def _find(self, collection: str, filter_: Document, fields: Iterable[str]):
        found = self._rows(collection).find(filter_, list(fields), session=self.session)
        return found.batch_size(DOCUMENTS_AT_ONCE)

    def _rows(self, collection: str):
        return database().get_collection(collection, read_concern=ReadConcern("majority"))
