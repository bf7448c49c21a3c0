"""The invariants of the ledger, pure: documents in, findings out. verification.py reads what they are applied to."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from bson import ObjectId
from bson.code import Code as JavaScript  # BSON has a type for it, which passes for a string

from accounts.models import GENESIS, Account
from ledger_project.money import UnknownCurrency, to_major
from ledger_project.mongo import Document
from transactions.models import Entry, Transaction
from transactions.posting import Reversal, Transfer, entry_hash

# What is read of a document, and the type that each field must have.
ACCOUNT_FIELDS = {
    "_id": ObjectId,
    "user": ObjectId,
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
    "kind": str,
    "initiator": ObjectId,
    "idempotency_key": str,
    "fingerprint": str,
    "debit_entry": ObjectId,
    "credit_entry": ObjectId,
    "parties": list,
    "created_at": datetime,
}
# What an entry and its transaction both say, besides the entry's own id and the accounts.
SAID_TWICE = ("amount_minor", "currency", "created_at")
# The transaction's fields that name the entry itself, its account, and the other account.
SIDES = {
    Entry.Direction.DEBIT.value: ("debit_entry", "from_account", "to_account"),
    Entry.Direction.CREDIT.value: ("credit_entry", "to_account", "from_account"),
}
SAME_ON_BOTH = (("amount_minor", "amount_minor"), ("currency", "currency"))
# What a transaction has only when it is a reversal, or was reversed.
LINKS = ("reverses", "reversed_by")
OF_REVERSALS = (*LINKS, "reason")
STATUSES, KINDS = frozenset(Transaction.Status.values), frozenset(Transaction.Kind.values)


class Code(StrEnum):
    """What can be wrong, by a stable name."""

    INDEX_MISSING = "index_missing"  # a unique index is gone, or no longer unique
    SUM_NOT_ZERO = "sum_not_zero"  # the balances of a currency do not sum to zero
    MALFORMED = "malformed"  # a field is missing or has a type that no posting writes
    ACCOUNT_UNKNOWN = "account_unknown"  # entries of an account that does not exist
    ACCOUNT_SEQUENCE = "account_sequence"  # the account counts more or fewer entries than there are
    ACCOUNT_BALANCE = "account_balance"  # the account's balance is not what its entries make
    ACCOUNT_KIND = "account_kind"  # it may be overdrawn though it is no equity account, or the other way round
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
    TRANSACTION_STATUS = "transaction_status"  # a status or kind that the ledger does not know
    TRANSACTION_FINGERPRINT = "transaction_fingerprint"  # not that of what it says: a repeat would be refused
    TRANSACTION_PARTIES = "transaction_parties"  # not its accounts and their owners: it is shown to others, or to none
    TRANSACTION_INITIATOR = "transaction_initiator"  # it was not asked for by the payer
    REVERSAL_LINK = "reversal_link"  # a reversal and its original do not name each other
    ANCHOR_MISSING = "anchor_missing"  # an anchor that was given out is not in the ledger
    ANCHOR_DIFFERS = "anchor_differs"  # the ledger is not what the anchor stands for
    IMPORT_UNFINISHED = "import_unfinished"  # an import broke off: this is a part of a ledger
    REVERSAL_DIFFERS = "reversal_differs"  # a reversal is not its original the other way round


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


class Link(NamedTuple):
    """Where an account stands after an entry: its number, its hash, the balance. Before the first one at zero."""

    sequence: int = 0
    hash: str = GENESIS
    balance_minor: int = 0

    @classmethod
    def after(cls, entry: Document) -> "Link":
        """Where `entry` leaves its account."""
        return cls(entry["sequence"], entry["hash"], entry["balance_after_minor"])


START = Link()


def index_findings(
    collection: str, name: str, keys: list[tuple[str, int]], only: Document | None, found: Document
) -> Iterator[Finding]:
    """Whether `found`, the indexes of `collection`, has a unique one over `keys`, on all or `only` on some."""
    for index in found.values():
        if index["key"] == keys and index.get("unique") and index.get("partialFilterExpression") == only:
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
    values = [document.get(name) for name in fields]
    typed = all(map(isinstance, values, fields.values())) and JavaScript not in map(type, values)
    return typed and document.get("direction", Entry.Direction.DEBIT.value) in SIDES


def shape_findings(document: Document, fields: dict[str, type]) -> Iterator[Finding]:
    """What keeps `document` from having that shape."""
    for name, type_ in fields.items():
        value = document.get(name)
        is_typed = isinstance(value, type_) and not isinstance(value, JavaScript)
        if not is_typed or (name == "direction" and value not in SIDES):
            message = f"{name} is {value!r}, which no posting writes ({type_.__name__})"
            yield Finding(Code.MALFORMED, document["_id"], message)


def link_findings(entry: Document, before: Link) -> Iterator[Finding]:
    """Whether `entry` follows the link `before` it in its chain."""
    amount, after = entry["amount_minor"], entry["balance_after_minor"]
    if entry["sequence"] != before.sequence + 1:
        # What came before is not known, so neither hash nor balance can be judged.
        message = f"sequence {entry['sequence']} on account {entry['account']} where {before.sequence + 1} was due"
        yield Finding(Code.ENTRY_SEQUENCE, entry["_id"], message)
        return
    if entry["hash"] != (due := entry_hash(before.hash, entry)):
        yield Finding(Code.ENTRY_HASH, entry["_id"], f"hash is {entry['hash']}, its fields make {due}")
    signed = amount if entry["direction"] == Entry.Direction.CREDIT else -amount
    if after != (due := before.balance_minor + signed):
        message = f"balance after is {after}, {before.balance_minor} {signed:+d} makes {due}"
        yield Finding(Code.ENTRY_BALANCE, entry["_id"], message)


def entry_findings(entry: Document, before: Link, account: Document) -> Iterator[Finding]:
    """Whether `entry` follows the link `before` it, and is one that `account` may have."""
    amount, after = entry["amount_minor"], entry["balance_after_minor"]
    yield from link_findings(entry, before)
    if amount <= 0:
        yield Finding(Code.ENTRY_AMOUNT, entry["_id"], f"amount is {amount}")
    if entry["currency"] != account["currency"]:
        message = f"currency is {entry['currency']}, that of account {account['_id']} is {account['currency']}"
        yield Finding(Code.ENTRY_CURRENCY, entry["_id"], message)
    if after < 0 and not (account["may_overdraw"] and account["kind"] == Account.Kind.EQUITY):
        yield Finding(Code.BELOW_ZERO, entry["_id"], f"balance of account {account['_id']} after it is {after}")


def account_findings(account: Document) -> Iterator[Finding]:
    """Whether `account` may go below zero if and only if it is one that money enters the ledger by."""
    if account["may_overdraw"] != (account["kind"] == Account.Kind.EQUITY):
        message = f"may_overdraw is {account['may_overdraw']} of a {account['kind']} account"
        yield Finding(Code.ACCOUNT_KIND, account["_id"], message)


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
        *((name, entry[name]) for name in SAID_TWICE),
    ):
        if (said := transaction.get(name)) != due:
            message = f"{name} of transaction {transaction['_id']} is {said}, the entry's is {due}"
            yield Finding(Code.TRANSACTION_DIFFERS, entry["_id"], message)


def entries_findings(transaction: Document, entries: dict[ObjectId, Document]) -> Iterator[Finding]:
    """Whether `transaction` has its two entries among `entries`; match_findings does the rest."""
    subject = transaction["_id"]
    for side in ("debit_entry", "credit_entry"):
        entry = entries.get(transaction[side])
        if entry is None:
            yield Finding(Code.ENTRY_MISSING, subject, f"its {side} {transaction[side]} does not exist")
        elif entry.get("transaction") != subject:
            message = f"its {side} {transaction[side]} belongs to transaction {entry.get('transaction')}"
            yield Finding(Code.TRANSACTION_DIFFERS, subject, message)


def standing_findings(transaction: Document) -> Iterator[Finding]:
    """Whether `transaction` is one by itself.

    Between two accounts, with a kind, a status, the links that these need, and the fingerprint of what it says.
    """
    subject = transaction["_id"]
    for one, two in (("from_account", "to_account"), ("debit_entry", "credit_entry")):
        if transaction[one] == transaction[two]:
            yield Finding(Code.TRANSACTION_ACCOUNTS, subject, f"{one} and {two} are both {transaction[one]}")
    if transaction["status"] not in STATUSES:
        yield Finding(Code.TRANSACTION_STATUS, subject, f"status is {transaction['status']}")
    if transaction["kind"] not in KINDS:
        yield Finding(Code.TRANSACTION_STATUS, subject, f"kind is {transaction['kind']}")
    for link, due in _due_links(transaction).items():
        if (link in transaction) != due:
            said = f"{link} is {transaction.get(link)}"
            message = f"{said} of a {transaction['kind']} that is {transaction['status']}"
            yield Finding(Code.REVERSAL_LINK, subject, message)
    if transaction["fingerprint"] != (due_fingerprint := _fingerprint(transaction)):
        message = f"fingerprint is {transaction['fingerprint']}, what it says makes {due_fingerprint}"
        yield Finding(Code.TRANSACTION_FINGERPRINT, subject, message)


def _fingerprint(transaction: Document) -> str | None:
    """That of the command which `transaction` says it was made of; None where no command says that."""
    initiator, key = transaction["initiator"], transaction["idempotency_key"]
    if transaction["kind"] == Transaction.Kind.REVERSAL:
        original, reason = transaction.get("reverses"), transaction.get("reason")
        return Reversal(initiator, original, reason, key).fingerprint if original and reason else None
    payer = transaction["from_account"] if transaction["kind"] == Transaction.Kind.TRANSFER else None
    try:
        amount = to_major(transaction["amount_minor"], transaction["currency"])
    except UnknownCurrency:
        return None
    return Transfer(initiator, payer, transaction["to_account"], amount, key).fingerprint


def owner_findings(transaction: Document, owners: Mapping[ObjectId, Any]) -> Iterator[Finding]:
    """Whether `transaction` was asked for by the payer, and names both owners; `owners` are those of its accounts.

    A reversal is asked for by staff. Of an account that does not exist other findings tell.
    """
    accounts = [transaction["from_account"], transaction["to_account"]]
    if any(account not in owners for account in accounts):
        return
    payer, payee = (owners[account] for account in accounts)
    if transaction["parties"] != (due := list(dict.fromkeys((*accounts, payer, payee)))):
        message = f"parties are {_listed(transaction['parties'])}, its accounts and their owners {_listed(due)}"
        yield Finding(Code.TRANSACTION_PARTIES, transaction["_id"], message)
    if transaction["kind"] != Transaction.Kind.REVERSAL and transaction["initiator"] != payer:
        message = f"initiator is {transaction['initiator']}, the owner of account {accounts[0]} is {payer}"
        yield Finding(Code.TRANSACTION_INITIATOR, transaction["_id"], message)


def _listed(ids: Sequence[Any]) -> str:
    return ", ".join(map(str, ids))


def reversal_findings(transaction: Document, linked: dict[ObjectId, Document]) -> Iterator[Finding]:
    """Whether what the links of `transaction` name, in `linked`, fits; standing_findings tells which it must have."""
    due = _due_links(transaction)
    for link, back in (LINKS, LINKS[::-1]):
        if link in transaction and due[link]:
            named = transaction[link]
            other = linked.get(named) if isinstance(named, ObjectId) else None
            yield from _link_findings(transaction, link, other, back)


def _due_links(transaction: Document) -> dict[str, bool]:
    """Which links its kind and status call for."""
    return {
        "reverses": transaction["kind"] == Transaction.Kind.REVERSAL,
        "reversed_by": transaction["status"] == Transaction.Status.REVERSED,
    }


def _link_findings(transaction: Document, link: str, other: Document | None, back: str) -> Iterator[Finding]:
    """Whether the `other` that `link` names exists, names `transaction` by `back`, and is the same the other way."""
    if other is None:
        message = f"{link} names {transaction[link]}, which does not exist"
        yield Finding(Code.REVERSAL_LINK, transaction["_id"], message)
        return
    if other.get(back) != transaction["_id"]:
        message = f"{back} of transaction {other['_id']}, which {link} names, is {other.get(back)}"
        yield Finding(Code.REVERSAL_LINK, transaction["_id"], message)
    for name, mirrored in (("from_account", "to_account"), ("to_account", "from_account"), *SAME_ON_BOTH):
        if transaction[name] != other.get(mirrored):
            message = f"{name} is {transaction[name]}, {mirrored} of {other['_id']} is {other.get(mirrored)}"
            yield Finding(Code.REVERSAL_DIFFERS, transaction["_id"], message)
