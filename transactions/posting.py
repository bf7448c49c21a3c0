"""The rules of posting, pure: a command and the state of the books go in, a posting or a named refusal comes out.

No I/O, no clock, no database: what is needed is passed in, only fresh ids are made up. ledger.py loads the books and
stores the postings.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from hashlib import sha256
from typing import Any, NamedTuple

from bson import ObjectId

from accounts.models import Account
from ledger_project.errors import LedgerError
from ledger_project.jsonio import plain
from ledger_project.money import MAX_BALANCE_MINOR, to_major, to_minor
from transactions import refusals
from transactions.models import Entry, Transaction
from users.tokens import Token

Document = dict[str, Any]

# The words as they are stored: an enumeration's `value` is looked up anew each time, and a batch asks for thousands.
ACTIVE, COMPLETED = Account.Status.ACTIVE.value, Transaction.Status.COMPLETED.value
CREDIT, DEBIT = Entry.Direction.CREDIT.value, Entry.Direction.DEBIT.value


@dataclass(frozen=True, slots=True)
class Transfer:
    """A command: move `amount` between two accounts, once for each (initiator, idempotency key).

    `amount` is in major units, as the client said it: how many minor units that is depends on the currency, and the
    currency on the account, which is not known before the books are loaded (ADR 0003).
    Without `from_account` the money comes from the initiator's equity account: these are initial funds.
    """

    initiator: ObjectId
    from_account: ObjectId | None
    to_account: ObjectId
    amount: Decimal
    idempotency_key: str
    # What makes two requests the same: SHA-256 over kind, accounts and amount (500, 500.0 and "500" are one). Made
    # by whoever asks, not while a group is decided and all others wait.
    fingerprint: str = field(init=False)

    def __post_init__(self) -> None:
        said = f"{self.kind.value}|{self.from_account}|{self.to_account}|{plain(self.amount)}"
        object.__setattr__(self, "fingerprint", sha256(said.encode()).hexdigest())

    @property
    def kind(self) -> Transaction.Kind:
        """What the ledger calls it."""
        return Transaction.Kind.TRANSFER if self.from_account else Transaction.Kind.INITIAL_FUNDS


@dataclass(frozen=True, slots=True)
class Reversal:
    """A command: move the money of the transaction `original` back to where it came from, all of it, once (ADR 0009).

    Without an `idempotency_key` of the client's it is known by its fingerprint.
    """

    initiator: ObjectId
    original: ObjectId
    reason: str
    given_key: str | None = None

    @property
    def kind(self) -> Transaction.Kind:
        """What the ledger calls it."""
        return Transaction.Kind.REVERSAL

    @property
    def idempotency_key(self) -> str:
        """The key it is stored by."""
        return self.given_key or self.fingerprint

    @property
    def fingerprint(self) -> str:
        """What makes two requests the same: SHA-256 over kind, original and reason."""
        said = f"{self.kind.value}|{self.original}|{self.reason}"
        return sha256(said.encode()).hexdigest()


Command = Transfer | Reversal


@dataclass(frozen=True, slots=True)
class Order:
    """Commands that were given together, carried out in their order; `atomic`: all of them or none.

    `token` is the one it was asked for with, where that was over HTTP: it must still count when the money moves.
    `attempts` are the transactions that were decided for it, one or none of which is stored for each key in the end:
    when an answer of the database was lost, they tell what it did from what an earlier request had done.
    """

    transfers: tuple[Command, ...]
    atomic: bool = False
    token: Token | None = None
    attempts: set[ObjectId] = field(default_factory=set, compare=False)

    def __len__(self) -> int:
        """How many transfers it carries."""
        return len(self.transfers)

    def parts(self, size: int) -> "list[Order]":
        """The same in orders of at most `size`, but for an atomic one; what is decided for them is decided for this."""
        if self.atomic or len(self) <= size:
            return [self]
        return [replace(self, transfers=self.transfers[at : at + size]) for at in range(0, len(self), size)]


class AccountState(NamedTuple):
    """What posting needs to know of an account. (A frozen dataclass takes three times as long to make.)"""

    id: ObjectId
    user: ObjectId
    kind: str
    status: str
    currency: str
    may_overdraw: bool
    balance_minor: int
    sequence: int
    chain_head: str

    def after(self, entry: Document) -> "AccountState":
        """The account once `entry` is posted on it."""
        return AccountState(*self[:6], entry["balance_after_minor"], entry["sequence"], entry["hash"])


@dataclass(slots=True)
class Books:
    """The part of the ledger that a group of commands touches.

    Accounts, transactions whose keys are taken, and the transactions that are to be reversed, by their ids.
    """

    accounts: dict[ObjectId, AccountState] = field(default_factory=dict)
    known: dict[tuple[ObjectId, str], Document] = field(default_factory=dict)
    originals: dict[ObjectId, Document] = field(default_factory=dict)
    _equity: dict[tuple[ObjectId, str], ObjectId] | None = None

    def equity_of(self, user: ObjectId, currency: str) -> AccountState | None:
        """The account in which money of this currency enters the ledger, for this system user."""
        if self._equity is None:
            equity = (a for a in self.accounts.values() if a.kind == Account.Kind.EQUITY)
            self._equity = {(account.user, account.currency): account.id for account in equity}
        account_id = self._equity.get((user, currency))
        return self.accounts[account_id] if account_id else None

    def copy(self) -> "Books":
        """Books that can be tried out and thrown away."""
        return Books(dict(self.accounts), dict(self.known), dict(self.originals))

    def apply(self, posting: "Posting") -> None:
        """Take `posting` into the books, so that the next command sees its balances and its key."""
        for account in (posting.debited, posting.credited):
            self.accounts[account.id] = account
        transaction = posting.transaction
        self.known[transaction["initiator"], transaction["idempotency_key"]] = transaction
        if "reverses" in transaction:
            original = self.originals[transaction["reverses"]]
            self.originals[original["_id"]] = original | reversed_by(transaction)


@dataclass(frozen=True, slots=True)
class Posting:
    """A decided transaction: its documents, and both accounts as it leaves them."""

    transaction: Document
    entries: tuple[Document, Document]  # the debit, the credit
    debited: AccountState
    credited: AccountState


@dataclass(frozen=True, slots=True)
class Replay:
    """The command was carried out before: the transaction that it made then."""

    transaction: Document


Decision = Posting | Replay | LedgerError


def carry_out(order: Order, books: Books, now: datetime) -> tuple[list[Decision], Books]:
    """What becomes of each transfer of `order`, and the books after it.

    Of an atomic order in which one is refused nothing comes: that one has its refusal, and all others are BatchRefused.
    """
    after = books.copy() if order.atomic else books
    decisions: list[Decision] = []
    for transfer in order.transfers:
        try:
            decision = decide(transfer, after, now)
        except LedgerError as refusal:
            decisions.append(refusal.with_traceback(None))  # it would hold on to the books
            if order.atomic:
                return _none_of(order, refused_at=len(decisions) - 1, refusal=refusal), books
            continue
        if isinstance(decision, Posting):
            after.apply(decision)
        decisions.append(decision)
    return decisions, after


def _none_of(order: Order, *, refused_at: int, refusal: LedgerError) -> list[Decision]:
    return [refusal if at == refused_at else refusals.BatchRefused() for at in range(len(order))]


def decide(command: Command, books: Books, now: datetime) -> Posting | Replay:
    """What becomes of `command` given `books`; `now` has whole milliseconds. Raises a Refusal, InvalidAmount.

    A known key is settled first: a replay answers what was answered, even if the account was frozen or emptied since.
    """
    if known := books.known.get((command.initiator, command.idempotency_key)):
        if known["fingerprint"] != command.fingerprint:
            raise refusals.IdempotencyKeyReused
        return Replay(known)
    if isinstance(command, Reversal):
        return _reversal(command, books, now)
    payer, payee = _accounts(command, books)
    amount_minor = _allowed(payer, payee, command.amount)
    return _posting(command, payer, payee, amount_minor, now)


def _reversal(reversal: Reversal, books: Books, now: datetime) -> Posting:
    """The original the other way round, under the rules of any transfer. Raises a Refusal."""
    original = books.originals.get(reversal.original)
    if original is None:
        raise refusals.TransactionNotFound
    check_reversible(original)
    payer, payee = (books.accounts.get(original[side]) for side in ("to_account", "from_account"))
    if payer is None or payee is None:  # nothing deletes an account; if it is gone all the same, only this one fails
        raise refusals.InvalidAccounts
    amount_minor = _allowed(payer, payee, to_major(original["amount_minor"], original["currency"]))
    assert amount_minor == original["amount_minor"]
    posting = _posting(reversal, payer, payee, amount_minor, now)
    posting.transaction.update(reverses=original["_id"], reason=reversal.reason)
    return posting


def check_reversible(original: Document) -> None:
    """Raise ReversalIsFinal or AlreadyReversed for a transaction that cannot be reversed."""
    if original["kind"] == Transaction.Kind.REVERSAL:
        raise refusals.ReversalIsFinal
    if original["status"] == Transaction.Status.REVERSED:
        raise refusals.AlreadyReversed


def reversed_by(reversal: Document) -> Document:
    """What changes of a transaction when the transaction `reversal` reverses it: nothing else of it ever does."""
    return {
        "status": Transaction.Status.REVERSED.value,
        "reversed_by": reversal["_id"],
        "updated_at": reversal["created_at"],
    }


def _accounts(transfer: Transfer, books: Books) -> tuple[AccountState, AccountState]:
    """The paying and the receiving account. Raises InvalidAccounts, InvalidToAccount, SystemAccountNotFound."""
    payee = books.accounts.get(transfer.to_account)
    if transfer.from_account is None:
        if payee is None:
            raise refusals.InvalidToAccount
        payer = books.equity_of(transfer.initiator, payee.currency)
        if payer is None:
            raise refusals.SystemAccountNotFound
        return payer, payee
    payer = books.accounts.get(transfer.from_account)
    if payer is None or payee is None or payer.user != transfer.initiator:
        raise refusals.InvalidAccounts
    return payer, payee


def _allowed(payer: AccountState, payee: AccountState, amount: Decimal) -> int:
    """The amount in minor units, if it may move. Raises the refusal of the first rule that it breaks."""
    if payer.id == payee.id:
        raise refusals.SameAccount
    if payer.currency != payee.currency:
        raise refusals.CurrencyMismatch
    if payer.status != ACTIVE or payee.status != ACTIVE:
        raise refusals.AccountNotActive
    amount_minor = to_minor(amount, payer.currency)
    if not payer.may_overdraw and payer.balance_minor < amount_minor:
        raise refusals.InsufficientFunds(to_major(payer.balance_minor, payer.currency), amount)
    if max(amount_minor - payer.balance_minor, payee.balance_minor + amount_minor) > MAX_BALANCE_MINOR:
        raise refusals.BalanceOutOfRange
    return amount_minor


def _posting(command: Command, payer: AccountState, payee: AccountState, amount_minor: int, now: datetime) -> Posting:
    assert amount_minor > 0
    transaction_id = ObjectId()
    debit, debited = _entry(payer, payee, -amount_minor, transaction_id, now)
    credit, credited = _entry(payee, payer, amount_minor, transaction_id, now)
    assert debited.balance_minor + credited.balance_minor == payer.balance_minor + payee.balance_minor
    transaction = {
        "_id": transaction_id,
        "from_account": payer.id,
        "to_account": payee.id,
        "amount_minor": amount_minor,
        "currency": payer.currency,
        "status": COMPLETED,
        "kind": command.kind.value,
        "initiator": command.initiator,
        "idempotency_key": command.idempotency_key,
        "fingerprint": command.fingerprint,
        "debit_entry": debit["_id"],
        "credit_entry": credit["_id"],
        "parties": list(dict.fromkeys((payer.id, payee.id, payer.user, payee.user))),
        "created_at": now,
        "updated_at": now,
    }
    return Posting(transaction, (debit, credit), debited, credited)


def _entry(
    account: AccountState, counter_account: AccountState, change_minor: int, transaction_id: ObjectId, now: datetime
) -> tuple[Document, AccountState]:
    """The entry that changes `account` by `change_minor`, and the account after it."""
    entry: Document = {
        "_id": ObjectId(),
        "account": account.id,
        "sequence": account.sequence + 1,
        "transaction": transaction_id,
        "counter_account": counter_account.id,
        "direction": CREDIT if change_minor > 0 else DEBIT,
        "amount_minor": abs(change_minor),
        "currency": account.currency,
        "balance_after_minor": account.balance_minor + change_minor,
        "created_at": now,
    }
    entry["hash"] = entry_hash(account.chain_head, entry)
    return entry, account.after(entry)


def entry_hash(previous: str, entry: Document) -> str:
    """SHA-256 over the hash of the account's previous entry and the fields of this one, joined by "|", times in ms.

    No field can hold a "|" (ids, numbers, codes), so two different entries never read the same.
    """
    said = (
        f"{previous}|{entry['_id']}|{entry['account']}|{entry['sequence']}|{entry['transaction']}"
        f"|{entry['counter_account']}|{entry['direction']}|{entry['amount_minor']}|{entry['currency']}"
        f"|{entry['balance_after_minor']}|{round(entry['created_at'].timestamp() * 1000)}"
    )
    return sha256(said.encode()).hexdigest()
