"""The rules of posting, pure: no database, only values in and out."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from bson import ObjectId
from hypothesis import given
from hypothesis import strategies as st

from accounts.models import GENESIS, Account
from ledger_project.errors import LedgerError
from ledger_project.money import MAX_BALANCE_MINOR, InvalidAmount
from transactions import refusals
from transactions.models import Transaction
from transactions.posting import AccountState, Books, Posting, Replay, Reversal, Transfer, decide, entry_hash

NOW = datetime(2026, 11, 22, 9, 30, 0, 123000, tzinfo=UTC)
USERS = [ObjectId(f"{number:024x}") for number in range(1, 4)]
SYSTEM = ObjectId("f" * 24)


def state(number: int, user: ObjectId, balance_minor: int = 0, **fields) -> AccountState:
    given = {
        "id": ObjectId(f"a{number:023x}"),
        "user": user,
        "kind": Account.Kind.CUSTOMER.value,
        "status": Account.Status.ACTIVE.value,
        "currency": "INR",
        "may_overdraw": False,
        "balance_minor": balance_minor,
        "sequence": 0,
        "chain_head": GENESIS,
    }
    return AccountState(**(given | fields))


def equity(**fields) -> AccountState:
    return state(99, SYSTEM, kind=Account.Kind.EQUITY.value, may_overdraw=True, **fields)


def books_of(*accounts: AccountState) -> Books:
    return Books(accounts={account.id: account for account in accounts})


def transfer(payer: AccountState | None, payee: AccountState, amount: str = "1", key: str = "k", **fields) -> Transfer:
    given = {
        "initiator": payer.user if payer else SYSTEM,
        "from_account": payer.id if payer else None,
        "to_account": payee.id,
        "amount": Decimal(amount),
        "idempotency_key": key,
    }
    return Transfer(**(given | fields))


def snapshot(books: Books):
    return dict(books.accounts), dict(books.known)


ASHA, BEN = state(1, USERS[0], 50000), state(2, USERS[1], 1000)


def test_a_posting_debits_the_payer_and_credits_the_payee():
    posting = decide(transfer(ASHA, BEN, "10.5"), books_of(ASHA, BEN), NOW)
    debit, credit = posting.entries
    assert (debit["direction"], debit["account"], debit["balance_after_minor"]) == ("DEBIT", ASHA.id, 48950)
    assert (credit["direction"], credit["account"], credit["balance_after_minor"]) == ("CREDIT", BEN.id, 2050)
    assert debit["amount_minor"] == credit["amount_minor"] == posting.transaction["amount_minor"] == 1050
    assert posting.debited == ASHA._replace(balance_minor=48950, sequence=1, chain_head=debit["hash"])
    assert posting.credited == BEN._replace(balance_minor=2050, sequence=1, chain_head=credit["hash"])
    assert posting.transaction["parties"] == [ASHA.id, BEN.id, ASHA.user, BEN.user]
    assert posting.transaction["created_at"] == debit["created_at"] == credit["created_at"] == NOW


def test_deciding_changes_nothing_until_the_posting_is_applied():
    books = books_of(ASHA, BEN)
    before = snapshot(books)
    posting = decide(transfer(ASHA, BEN), books, NOW)
    assert snapshot(books) == before
    books.apply(posting)
    assert books.accounts[ASHA.id] == posting.debited
    assert books.known[ASHA.user, "k"] == posting.transaction


FROZEN = {"status": Account.Status.FROZEN.value}
CLOSED = {"status": Account.Status.CLOSED.value}
REFUSED = {
    "payer unknown": (transfer(ASHA, BEN), [BEN], refusals.InvalidAccounts),
    "payee unknown": (transfer(ASHA, BEN), [ASHA], refusals.InvalidAccounts),
    "payer another's": (transfer(ASHA, BEN, initiator=USERS[2]), [ASHA, BEN], refusals.InvalidAccounts),
    "same account": (transfer(ASHA, ASHA), [ASHA], refusals.SameAccount),
    "two currencies": (transfer(ASHA, BEN), [ASHA, BEN._replace(currency="USD")], refusals.CurrencyMismatch),
    "payer frozen": (transfer(ASHA, BEN), [ASHA._replace(**FROZEN), BEN], refusals.AccountNotActive),
    "payee frozen": (transfer(ASHA, BEN), [ASHA, BEN._replace(**FROZEN)], refusals.AccountNotActive),
    "payer closed": (transfer(ASHA, BEN), [ASHA._replace(**CLOSED), BEN], refusals.AccountNotActive),
    "payee closed": (transfer(ASHA, BEN), [ASHA, BEN._replace(**CLOSED)], refusals.AccountNotActive),
    "too fine": (transfer(ASHA, BEN, "0.001"), [ASHA, BEN], InvalidAmount),
    "one too many": (transfer(ASHA, BEN, "500.01"), [ASHA, BEN], refusals.InsufficientFunds),
    "payee full": (transfer(ASHA, BEN), [ASHA, BEN._replace(balance_minor=2**63 - 1)], refusals.BalanceOutOfRange),
    "funds for nobody": (transfer(None, BEN), [equity()], refusals.InvalidToAccount),
    "funds from nowhere": (transfer(None, BEN), [BEN], refusals.SystemAccountNotFound),
    "funds, currency": (transfer(None, BEN), [BEN, equity(currency="USD")], refusals.SystemAccountNotFound),
    "funds, another's": (transfer(None, BEN, initiator=USERS[2]), [BEN, equity()], refusals.SystemAccountNotFound),
    "funds used up": (transfer(None, BEN), [BEN, equity(balance_minor=-(2**63 - 1))], refusals.BalanceOutOfRange),
}


@pytest.mark.parametrize("case", REFUSED)
def test_each_rule_has_its_refusal_and_a_refusal_changes_nothing(case):
    command, accounts, refusal = REFUSED[case]
    books = books_of(*accounts)
    before = snapshot(books)
    with pytest.raises(refusal):
        decide(command, books, NOW)
    assert snapshot(books) == before


@pytest.mark.parametrize("amount", ["500", "500.0", "500.00", "5e2", "5E+2"])
def test_equal_amounts_are_one_request(amount):
    assert transfer(ASHA, BEN, amount).fingerprint == transfer(ASHA, BEN, "500").fingerprint


@pytest.mark.parametrize(
    "other",
    [
        transfer(ASHA, BEN, "500.01"),
        transfer(ASHA, BEN, "50"),
        transfer(BEN, ASHA, "500"),
        transfer(ASHA, state(3, USERS[2]), "500"),
        transfer(None, BEN, "500"),
    ],
)
def test_another_amount_account_or_kind_is_another_request(other):
    assert other.fingerprint != transfer(ASHA, BEN, "500").fingerprint


def test_who_asks_and_by_which_key_is_no_part_of_the_fingerprint():
    same = transfer(ASHA, BEN, "500", key="another", initiator=USERS[2])
    assert same.fingerprint == transfer(ASHA, BEN, "500").fingerprint


def test_a_known_key_is_settled_before_any_other_rule():
    books = books_of(ASHA, BEN)
    posting = decide(transfer(ASHA, BEN), books, NOW)
    books.apply(posting)
    books.accounts[ASHA.id] = books.accounts[ASHA.id]._replace(balance_minor=0, **FROZEN)
    assert decide(transfer(ASHA, BEN), books, NOW) == Replay(posting.transaction)
    with pytest.raises(refusals.IdempotencyKeyReused):
        decide(transfer(ASHA, BEN, "2"), books, NOW)


def test_a_hash_depends_on_every_field_of_the_entry():
    entry = dict(decide(transfer(ASHA, BEN), books_of(ASHA, BEN), NOW).entries[0])
    recorded = entry.pop("hash")
    assert entry_hash(GENESIS, entry) == recorded
    assert entry_hash("1" * 64, entry) != recorded
    for name, value in entry.items():
        changed = {
            int: lambda v: v + 1,
            str: lambda v: v + "x",
            ObjectId: lambda v: ObjectId(),
            datetime: lambda v: v.replace(year=2027),
        }[type(value) if type(value) in (int, ObjectId, datetime) else str](value)
        assert entry_hash(GENESIS, entry | {name: changed}) != recorded, name


STAFF = ObjectId("c" * 24)


def books_after(*commands: Transfer) -> Books:
    """Asha and Ben after these, the first of which may be reversed."""
    books = books_of(ASHA, BEN)
    for number, command in enumerate(commands):
        posting = decide(command, books, NOW)
        books.apply(posting)
        if number == 0:
            books.originals[posting.transaction["_id"]] = posting.transaction
    return books


def reversal(books: Books, **fields) -> Reversal:
    given = {"initiator": STAFF, "original": next(iter(books.originals)), "reason": "wrong"}
    return Reversal(**(given | fields))


def test_a_reversal_is_the_original_the_other_way_round():
    books = books_after(transfer(ASHA, BEN, "10.5"))
    (original,) = books.originals.values()
    posting = decide(reversal(books), books, NOW)
    books.apply(posting)
    assert (posting.debited.id, posting.credited.id) == (BEN.id, ASHA.id)
    assert {a.id: a.balance_minor for a in books.accounts.values()} == {ASHA.id: 50000, BEN.id: 1000}
    links = {name: posting.transaction[name] for name in ("kind", "reverses", "reason", "amount_minor")}
    assert links == {"kind": "REVERSAL", "reverses": original["_id"], "reason": "wrong", "amount_minor": 1050}
    assert books.originals[original["_id"]]["status"] == Transaction.Status.REVERSED
    assert original["status"] == Transaction.Status.COMPLETED  # deciding is on copies


def frozen(books: Books, account: AccountState, **fields) -> None:
    books.accounts[account.id] = books.accounts[account.id]._replace(**fields)


NOT_REVERSED = {
    "unknown": (lambda books: books.originals.clear(), refusals.TransactionNotFound),
    "account gone": (lambda books: books.accounts.pop(BEN.id), refusals.InvalidAccounts),
    "spent": (lambda books: frozen(books, BEN, balance_minor=1049), refusals.InsufficientFunds),
    "receiver frozen": (lambda books: frozen(books, BEN, **FROZEN), refusals.AccountNotActive),
    "payer frozen": (lambda books: frozen(books, ASHA, **FROZEN), refusals.AccountNotActive),
    "payer closed": (lambda books: frozen(books, ASHA, **CLOSED), refusals.AccountNotActive),
    "payer full": (lambda books: frozen(books, ASHA, balance_minor=2**63 - 1), refusals.BalanceOutOfRange),
    "reversed": (lambda books: books.apply(decide(reversal(books, reason="x"), books, NOW)), refusals.AlreadyReversed),
}


@pytest.mark.parametrize("case", NOT_REVERSED)
def test_each_rule_of_reversals_has_its_refusal_and_a_refusal_changes_nothing(case):
    books = books_after(transfer(ASHA, BEN, "10.5"))
    command = reversal(books)
    spoil, refusal = NOT_REVERSED[case]
    spoil(books)
    before = snapshot(books), dict(books.originals)
    with pytest.raises(refusal):
        decide(command, books, NOW)
    assert (snapshot(books), dict(books.originals)) == before


def test_a_reversal_is_not_reversed():
    books = books_after(transfer(ASHA, BEN))
    made = decide(reversal(books), books, NOW)
    books.apply(made)
    books.originals = {made.transaction["_id"]: made.transaction}
    with pytest.raises(refusals.ReversalIsFinal):
        decide(reversal(books), books, NOW)


def test_a_reversal_is_known_by_its_key_or_by_what_it_says():
    books = books_after(transfer(ASHA, BEN))
    assert reversal(books).idempotency_key == reversal(books).fingerprint
    assert reversal(books, given_key="k").idempotency_key == "k"
    prints = {reversal(books, **f).fingerprint for f in ({}, {"reason": "fraud"}, {"original": ObjectId()})}
    assert len(prints) == 3
    assert reversal(books, given_key="k", initiator=SYSTEM).fingerprint in prints


# --- Whatever is asked for, in whatever order --------------------------------------------------------------------

PEOPLE = [state(number, USERS[number % 3]) for number in range(4)]
IDS = [account.id for account in PEOPLE] + [ObjectId("b" * 24)]

amounts = st.one_of(
    st.decimals(min_value="0.01", max_value="300", places=2),
    st.sampled_from([Decimal("0.001"), Decimal("1e13"), Decimal("100"), Decimal("100.0")]),
)
commands = st.lists(
    st.builds(
        Transfer,
        initiator=st.sampled_from([*USERS, SYSTEM]),
        from_account=st.sampled_from([None, *IDS]),
        to_account=st.sampled_from(IDS),
        amount=amounts,
        idempotency_key=st.sampled_from("abcdefgh"),
    ),
    max_size=25,
)


def carry_out(orders: list[Transfer]) -> tuple[Books, list[Posting]]:
    books, postings = books_of(equity(), *PEOPLE), []
    for order in orders:
        before = snapshot(books)
        try:
            decided = decide(order, books, NOW)
        except LedgerError:
            assert snapshot(books) == before
            continue
        if isinstance(decided, Posting):
            books.apply(decided)
            postings.append(decided)
    return books, postings


@given(commands)
def test_money_is_conserved_and_no_customer_is_below_zero(orders):
    books, _ = carry_out(orders)
    assert sum(account.balance_minor for account in books.accounts.values()) == 0
    for account in books.accounts.values():
        assert account.may_overdraw or account.balance_minor >= 0
        assert abs(account.balance_minor) <= MAX_BALANCE_MINOR


@given(commands)
def test_entries_are_equal_and_opposite_in_unbroken_sequence_and_chain(orders):
    books, postings = carry_out(orders)
    seen = {account.id: (0, 0, GENESIS) for account in books.accounts.values()}
    for posting in postings:
        debit, credit = posting.entries
        assert (debit["direction"], credit["direction"]) == ("DEBIT", "CREDIT")
        assert debit["amount_minor"] == credit["amount_minor"] > 0
        assert (debit["account"], debit["counter_account"]) == (credit["counter_account"], credit["account"])
        for entry, sign in ((debit, -1), (credit, 1)):
            balance_minor, sequence, head = seen[entry["account"]]
            assert entry["sequence"] == sequence + 1
            assert entry["balance_after_minor"] == balance_minor + sign * entry["amount_minor"]
            assert entry["hash"] == entry_hash(head, entry)
            seen[entry["account"]] = (entry["balance_after_minor"], entry["sequence"], entry["hash"])
    for account in books.accounts.values():
        assert seen[account.id] == (account.balance_minor, account.sequence, account.chain_head)


@given(commands)
def test_doing_everything_twice_is_doing_it_once(orders):
    """In place: each command is repeated at once. What was posted is a replay; what was refused is refused again."""
    once, _ = carry_out(orders)
    twice, _ = carry_out([order for order in orders for _ in range(2)])
    assert {a.id: (a.balance_minor, a.sequence) for a in once.accounts.values()} == {
        a.id: (a.balance_minor, a.sequence) for a in twice.accounts.values()
    }


@given(commands)
def test_a_key_has_at_most_one_transaction_and_it_is_the_first_that_was_posted(orders):
    books, postings = carry_out(orders)
    keys = [(p.transaction["initiator"], p.transaction["idempotency_key"]) for p in postings]
    assert len(keys) == len(set(keys)) == len(books.known)
    for posting in postings:
        known = books.known[posting.transaction["initiator"], posting.transaction["idempotency_key"]]
        assert known is posting.transaction


@given(st.data())
def test_when_everybody_has_enough_the_order_does_not_matter_to_the_balances(data):
    rich = [account._replace(balance_minor=10**12) for account in PEOPLE]
    pairs = st.sampled_from([(payer, payee) for payer in rich for payee in rich if payer is not payee])
    cents = st.decimals(min_value="0.01", max_value="1000", places=2)
    wanted = data.draw(st.lists(st.tuples(pairs, cents), max_size=15))
    orders = [transfer(a, b, str(amount), key=str(number)) for number, ((a, b), amount) in enumerate(wanted)]

    def balances(commands: list[Transfer]) -> dict[ObjectId, int]:
        books = books_of(*rich)
        for command in commands:
            books.apply(decide(command, books, NOW))
        return {account.id: account.balance_minor for account in books.accounts.values()}

    assert balances(orders) == balances(data.draw(st.permutations(orders)))
