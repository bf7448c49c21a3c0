"""Verifying an exported ledger from its file alone: no database, and no more memory than its accounts take.

The entries of an account stand together in their order, so each chain is followed as it passes by. Transactions stand
elsewhere than their entries: what they say of each other is compared by facts.py.
"""

from collections import defaultdict
from pathlib import Path
from time import perf_counter

from bson import ObjectId

from accounts.models import Account
from ledger_project.mongo import Document
from transactions import export_file
from transactions.facts import EntryFacts, LinkFacts
from transactions.invariants import (
    ACCOUNT_FIELDS,
    ENTRY_FIELDS,
    START,
    TRANSACTION_FIELDS,
    Code,
    Finding,
    Link,
    Total,
    account_findings,
    entry_findings,
    has_shape,
    head_findings,
    owner_findings,
    shape_findings,
    standing_findings,
    total_findings,
)
from transactions.models import Entry, Transaction
from transactions.verification import Report

FIELDS = {
    Account._meta.db_table: ACCOUNT_FIELDS,
    Entry._meta.db_table: ENTRY_FIELDS,
    Transaction._meta.db_table: TRANSACTION_FIELDS,
}


def verify_file(path: Path, *, keep: int = 100) -> Report:
    """Verify the exported ledger in `path`. Raises ExportBroken when it is not a whole export, OSError."""
    started = perf_counter()
    work = _Offline(Report(keep))
    for name, document in export_file.documents(path):
        if name in FIELDS:
            work.take(name, document)
    work.end()
    work.report.seconds = perf_counter() - started
    return work.report


class _Offline:
    """Takes the documents in the order of the file: the accounts before any entry."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.accounts: dict[ObjectId, Document] = {}
        self.owners: dict[ObjectId, ObjectId] = {}
        self.account: Document | None = None  # whose entries are passing by
        self.link: Link = START
        self.entry_facts, self.link_facts = EntryFacts(), LinkFacts()

    def take(self, name: str, document: Document) -> None:
        """One document."""
        if not has_shape(document, FIELDS[name]):
            self.report.add(shape_findings(document, FIELDS[name]))
        elif name == Account._meta.db_table:
            self.report.accounts += 1
            self.report.add(account_findings(document))
            self.owners[document["_id"]] = document["user"]
            self.accounts[document["_id"]] = {field: document[field] for field in ACCOUNT_FIELDS}
        elif name == Entry._meta.db_table:
            self._entry(document)
        else:
            self._transaction(document)

    def end(self) -> None:
        """What can be told when all have passed."""
        self._end_chain()
        for account in self.accounts.values():
            if account.get("is_done"):
                continue
            if account["sequence"]:
                message = f"sequence is {account['sequence']}, there is no entry"
                self.report.add([Finding(Code.ACCOUNT_SEQUENCE, account["_id"], message)])
            else:
                self.report.add(head_findings(account, START))
        self._totals()
        if not self.entry_facts.agree:
            message = "the transactions and their entries do not say the same; verify_ledger tells which, once imported"
            self.report.add([Finding(Code.TRANSACTION_DIFFERS, "the export", message)])
        if not self.link_facts.agree:
            message = "reversals and their originals do not say the same; verify_ledger tells which, once imported"
            self.report.add([Finding(Code.REVERSAL_LINK, "the export", message)])

    def _entry(self, entry: Document) -> None:
        self.report.entries += 1
        self.entry_facts.said_by_entry(entry)
        if self.account is None or self.account["_id"] != entry["account"]:
            self._end_chain()
            self.account, self.link = self.accounts.get(entry["account"]), START
            if self.account is None:
                self.report.add([Finding(Code.ACCOUNT_UNKNOWN, entry["account"], "an entry names it")])
        if self.account is not None:
            self.report.add(entry_findings(entry, self.link, self.account))
            self.link = Link.after(entry)

    def _end_chain(self) -> None:
        if self.account is None:
            return
        self.account["is_done"] = True
        if self.link.sequence == self.account["sequence"]:
            self.report.add(head_findings(self.account, self.link))
        else:
            message = f"sequence is {self.account['sequence']}, the last entry is number {self.link.sequence}"
            self.report.add([Finding(Code.ACCOUNT_SEQUENCE, self.account["_id"], message)])

    def _transaction(self, transaction: Document) -> None:
        self.report.transactions += 1
        self.report.add(standing_findings(transaction))
        self.report.add(owner_findings(transaction, self.owners))
        self.entry_facts.said_by_transaction(transaction)
        self.link_facts.said_by(transaction)

    def _totals(self) -> None:
        sums: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
        for account in self.accounts.values():
            total = sums[account["currency"]]
            total[0] += account["balance_minor"]
            total[1] -= account["balance_minor"] if account["kind"] == Account.Kind.EQUITY else 0
            total[2] += 1
        for currency, (sum_minor, issued_minor, accounts) in sorted(sums.items()):
            self.report.totals[currency] = Total(sum_minor, issued_minor, accounts)
            self.report.add(total_findings(currency, self.report.totals[currency]))
