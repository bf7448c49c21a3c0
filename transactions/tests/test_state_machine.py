"""The engine and a model of ten lines, side by side: whatever is asked for, in whatever order, they agree.

The engine is the real one, on the real MongoDB. What runs at the same time must be what some order would have made.
"""

import os
from collections import Counter
from copy import deepcopy
from dataclasses import replace
from decimal import Decimal
from functools import partial
from itertools import permutations

import pytest
from bson import ObjectId
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, multiple, rule, run_state_machine_as_test

from accounts.models import Account
from accounts.opening import StatusRefused, ensure_system_account, open_account, set_status
from ledger_project.errors import LedgerError
from ledger_project.mongo import collection
from transactions import ledger, notices
from transactions.models import Entry, NoticesDue, Transaction
from transactions.posting import Command, Order, Reversal, Transfer
from transactions.tests.crowd import answer, at_once, in_one_group, word
from transactions.verification import verify
from users.models import Notification

Status = Account.Status
SYSTEM = ObjectId("f" * 24)
USERS = [ObjectId(f"{number:024x}") for number in range(1, 4)]
OWNERS = [USERS[0], USERS[0], USERS[1], USERS[2], USERS[2]]  # of the customers' accounts; the last one holds USD
CURRENCIES = ["INR"] * 4 + ["USD"]
NOBODYS = ObjectId("b" * 24)
STAFF = [ObjectId("c" * 24), ObjectId("d" * 24)]
PLACES = range(len(OWNERS))
STEPS = 30
FEW, MANY = 5, 500 if "FUZZ_SECONDS" in os.environ else 20  # examples; the many are those of `make fuzz`


class Model:
    """A ledger: what each account holds, which are active, what each key was used for, and which were reversed.

    `named` is the one thing that it learns from the engine: the key of each transaction by its id.
    """

    def __init__(
        self, owners: dict[ObjectId, ObjectId], currencies: dict[ObjectId, str], equity: ObjectId, named: dict
    ) -> None:
        self.owners, self.currencies, self.equity, self.named = owners, currencies, equity, named
        self.held = Counter(dict.fromkeys(owners, 0))
        self.status = dict.fromkeys(owners, Status.ACTIVE)
        self.keys: dict[tuple[ObjectId, str], Command] = {}
        self.reversed: set[tuple[ObjectId, str]] = set()

    def refusal(self, asked: Transfer, payer: ObjectId | None) -> str | None:
        """The first rule that `asked` breaks."""
        payee, cents = asked.to_account, asked.amount * 100
        if asked.from_account is None and payee not in self.owners:
            return "invalid_to_account"
        if asked.from_account is None and (asked.initiator != SYSTEM or self.currencies[payee] != "INR"):
            return "system_account_not_found"
        if not {payer, payee} <= self.owners.keys() or self.owners[payer] != asked.initiator:
            return "invalid_accounts"
        rules = {
            "same_account": payer != payee,
            "currency_mismatch": self.currencies[payer] == self.currencies[payee],
            "account_not_active": self.status[payer] == self.status[payee] == Status.ACTIVE,
            "invalid_amount": cents == int(cents),
            "insufficient_funds": payer == self.equity or self.held[payer] >= cents,
        }
        return next((code for code, holds in rules.items() if not holds), None)

    def post(self, asked: Command) -> str:
        """Carry out one command; the answer in a word."""
        key = (asked.initiator, asked.idempotency_key)
        if key in self.keys:
            return "replayed" if self.keys[key] == asked else "idempotency_key_reused"
        if isinstance(asked, Reversal):
            return self.reverse(asked, key)
        payer = asked.from_account or self.equity
        if code := self.refusal(asked, payer):
            return code
        self.keys[key] = asked
        self.held[payer] -= int(asked.amount * 100)
        self.held[asked.to_account] += int(asked.amount * 100)
        return "posted"

    def reverse(self, asked: Reversal, key: tuple[ObjectId, str]) -> str:
        """Move the money of a transaction back."""
        name = self.named.get(asked.original)
        if name is None:
            return "transaction_not_found"
        original = self.keys[name]
        if isinstance(original, Reversal):
            return "reversal_is_final"
        payer, payee = original.to_account, original.from_account or self.equity
        rules = {
            "already_reversed": name not in self.reversed,
            "account_not_active": self.status[payer] == self.status[payee] == Status.ACTIVE,
            "insufficient_funds": self.held[payer] >= original.amount * 100,
        }
        for code, holds in rules.items():
            if not holds:
                return code
        self.keys[key] = asked
        self.reversed.add(name)
        self.held[payer] -= int(original.amount * 100)
        self.held[payee] += int(original.amount * 100)
        return "posted"

    def carry_out(self, order: Order) -> list[str]:
        """Carry out transfers in their order; atomic: all or none."""
        before = deepcopy((self.held, self.keys, self.reversed))
        answers = []
        for at, asked in enumerate(order.transfers):
            answers.append(self.post(asked))
            if order.atomic and answers[-1] not in ("posted", "replayed"):
                self.held, self.keys, self.reversed = before
                return [answers[-1] if n == at else "batch_refused" for n in range(len(order))]
        return answers

    def set_status(self, account: ObjectId, status: Status) -> list[str]:
        """Freeze, unfreeze, close."""
        if self.status[account] == Status.CLOSED or (status == Status.CLOSED and self.held[account]):
            return ["status_refused"]
        self.status[account] = status
        return ["set"]

    def after(self, step) -> tuple[list[str], "Model"]:
        """The answers to `step`, and the ledger after it."""
        model = Model(self.owners, self.currencies, self.equity, self.named)
        model.held, model.status, model.keys = self.held.copy(), self.status.copy(), self.keys.copy()
        model.reversed = self.reversed.copy()
        return (model.carry_out(step) if isinstance(step, Order) else model.set_status(*step)), model


# Mostly what can be posted: a ledger that only refuses has little to show.
amounts = st.sampled_from(
    [Decimal(cents) / 100 for cents in (1, 50, 100, 250, 300)] * 4 + [Decimal("0.001"), Decimal(99)]
)
sound = [(payer, payee) for payer in PLACES[:-1] for payee in PLACES[:-1] if payer != payee]
pairs = st.sampled_from(sound * 2 + [(0, 0), (3, 4), (4, 1), ("nobody", 1), (1, "nobody")])
askers = st.sampled_from([None] * 20 + [*USERS, SYSTEM])  # None: the payer's owner
keys = st.text("abcdefghij", min_size=1, max_size=2)
transfers = st.tuples(askers, pairs, amounts, keys)
reasons = st.tuples(st.sampled_from(STAFF), st.sampled_from(["wrong", "fraud"]), st.none() | keys)
orders = st.tuples(st.lists(transfers, min_size=1, max_size=4), st.booleans())
statuses = st.tuples(
    st.sampled_from(PLACES),
    st.sampled_from([Status.FROZEN, Status.ACTIVE, Status.ACTIVE, Status.ACTIVE, Status.CLOSED]),
)


class Ledger(RuleBasedStateMachine):
    """Every rule asks both for the same and compares."""

    asked = Bundle("asked")

    @initialize()
    def open(self) -> None:
        """Accounts, each but the one in USD with 10.00 in it."""
        clear()
        self.accounts = [
            open_account(user_id=owner, currency=currency).pk
            for owner, currency in zip(OWNERS, CURRENCIES, strict=True)
        ]
        equity = ensure_system_account(user_id=SYSTEM, currency="INR", kind=Account.Kind.EQUITY).pk
        owners = dict(zip([*self.accounts, equity], [*OWNERS, SYSTEM], strict=True))
        currencies = dict(zip([*self.accounts, equity], [*CURRENCIES, "INR"], strict=True))
        self.named: dict[ObjectId, tuple[ObjectId, str]] = {}
        self.model = Model(owners, currencies, equity, self.named)
        self.ids: dict[tuple[ObjectId, str], ObjectId] = {}  # what each key's transaction is called
        self.together([self.funds(place, Decimal(10), f"funds-{place}") for place in PLACES[:-1]], atomic=True)

    def place(self, place: int | str) -> ObjectId:
        return NOBODYS if place == "nobody" else self.accounts[place]

    def transfer(self, asker, pair, amount, key) -> Transfer:
        payer, payee = pair
        asks = asker or (USERS[0] if payer == "nobody" else OWNERS[payer])
        return Transfer(asks, self.place(payer), self.place(payee), amount, key)

    def funds(self, payee, amount, key, initiator=SYSTEM) -> Transfer:
        return Transfer(initiator, None, self.place(payee), amount, key)

    def reversal(self, asked: Command, why) -> Reversal:
        """One of what was posted for `asked`; of nothing, when that was refused."""
        staff, reason, key = why
        original = self.ids.get((asked.initiator, asked.idempotency_key), NOBODYS)
        return Reversal(staff, original, reason, key or Reversal(staff, original, reason).idempotency_key)

    def together(self, transfers: list[Command], *, atomic: bool = False) -> None:
        order = Order(tuple(transfers), atomic)
        results = ledger.post_together(transfers, atomic=atomic)
        assert [word(result) for result in results] == self.model.carry_out(order)
        self.remember(order, results)

    def remember(self, order: Order, results) -> None:
        """A key has one transaction, and every answer that names it names that one."""
        for asked, result in zip(order.transfers, results, strict=True):
            if not isinstance(result, LedgerError):
                key, transaction = (asked.initiator, asked.idempotency_key), result.transaction
                assert self.ids.setdefault(key, transaction.pk) == transaction.pk
                assert self.named.setdefault(transaction.pk, key) == key
                if isinstance(asked, Reversal):
                    assert transaction.reverses == asked.original
                    continue
                assert transaction.amount == asked.amount
                assert transaction.from_account_id == (asked.from_account or self.model.equity)
                assert transaction.to_account_id == asked.to_account

    @rule(target=asked, wanted=transfers)
    def one(self, wanted):
        """A lone transfer."""
        asked = self.transfer(*wanted)
        result = answer(partial(ledger.post, asked))
        assert word(result) == self.model.post(asked)
        self.remember(alone(asked), [result])
        return asked

    @rule(asked=st.lists(asked, min_size=1, max_size=3), atomic=st.booleans())
    def again(self, asked, atomic):
        """The very same once more: replays of what was posted, and another try of what was refused."""
        self.together(asked, atomic=atomic)

    @rule(asked=asked, amount=amounts)
    def key_of_another(self, asked, amount):
        """A key that may have been used, for an amount that may be another; or for another reason."""
        other = {"reason": str(amount)} if isinstance(asked, Reversal) else {"amount": amount}
        self.together([replace(asked, **other)])

    @rule(target=asked, original=asked, why=reasons)
    def reverse(self, original, why):
        """What staff do about a transaction that went wrong, or about a reversal."""
        reversal = self.reversal(original, why)
        self.together([reversal])
        return reversal

    @rule(target=asked, original=asked, whys=st.lists(reasons, min_size=2, max_size=3), atomic=st.booleans())
    def reverse_together(self, original, whys, atomic):
        """One transaction, several times in one order."""
        reversals = [self.reversal(original, why) for why in whys]
        self.together(reversals, atomic=atomic)
        return multiple(*reversals)

    @rule(
        payee=st.sampled_from([*PLACES, "nobody"]),
        amount=amounts,
        key=keys,
        initiator=st.sampled_from([SYSTEM, SYSTEM, SYSTEM, USERS[0]]),
    )
    def initial_funds(self, payee, amount, key, initiator):
        """Money from the equity account, or for somebody who has none to issue."""
        self.together([self.funds(payee, amount, key, initiator)])

    @rule(target=asked, wanted=orders)
    def batch(self, wanted):
        """Transfers in one order, atomic or not."""
        order = self.order(wanted)
        self.together(list(order.transfers), atomic=order.atomic)
        return multiple(*order.transfers)

    @rule(wanted=statuses)
    def freeze_unfreeze_or_close(self, wanted):
        """What staff do."""
        place, status = wanted
        assert self.set_status(self.accounts[place], status) == self.model.set_status(self.accounts[place], status)

    def set_status(self, account: ObjectId, status: Status) -> list[str]:
        try:
            set_status(account_id=account, status=status)
        except StatusRefused as refused:
            return [refused.code]
        return ["set"]

    @rule(
        target=asked,
        wanted=st.lists(orders, min_size=1, max_size=3),
        changed=st.lists(statuses, max_size=1),
        repeated=st.lists(asked, max_size=2),
        reverted=st.lists(st.tuples(asked, reasons), max_size=2),
    )
    def at_the_same_time(self, wanted, changed, repeated, reverted):
        """Orders, a freeze, reversals, repeats, a thread each: the answers are those of some order of theirs."""
        changes = [(self.accounts[place], status) for place, status in changed]
        reversals = [alone(self.reversal(*each)) for each in reverted]
        return self.explained([*reversals, *map(self.order, wanted), *changes, *map(alone, repeated)][:4], at_once)

    @rule(
        target=asked,
        wanted=st.lists(orders, min_size=1, max_size=4),
        repeated=st.lists(asked, max_size=2),
        reverted=st.lists(st.tuples(asked, reasons), min_size=1, max_size=2),
    )
    def in_one_commit(self, wanted, repeated, reverted):
        """Orders of several threads that share a commit."""
        reversals = [alone(self.reversal(*each)) for each in reverted]
        return self.explained([*reversals, *map(alone, repeated), *map(self.order, wanted)][:4], in_one_group)

    def order(self, wanted) -> Order:
        transfers, atomic = wanted
        return Order(tuple(self.transfer(*each) for each in transfers), atomic)

    def explained(self, steps, run):
        """Let `run` take the steps, compare with the model, and give what was asked for in them."""
        self.explain(steps, run([partial(self.take, step) for step in steps]))
        return multiple(*(asked for step in steps if isinstance(step, Order) for asked in step.transfers))

    def take(self, step):
        return (
            ledger.post_together(step.transfers, atomic=step.atomic)
            if isinstance(step, Order)
            else self.set_status(*step)
        )

    def explain(self, steps, results) -> None:
        """Find an order in which the model gives these answers, and go on from there.

        Which of two changes of status came last, no answer tells: the accounts do.
        """
        given = [list(map(word, r)) if isinstance(s, Order) else r for s, r in zip(steps, results, strict=True)]
        stored = {row["_id"]: row["status"] for row in collection(Account).find()}
        for turns in permutations(range(len(steps))):
            model, answers = self.model, {}
            for turn in turns:
                answers[turn], model = model.after(steps[turn])
            if [answers[turn] for turn in range(len(steps))] == given and model.status == stored:
                self.model = model
                break
        else:
            raise AssertionError(f"no order of {steps} gives {given}")
        for step, result in zip(steps, results, strict=True):
            if isinstance(step, Order):
                self.remember(step, result)

    def teardown(self) -> None:
        """The whole database says what the model says, and is whole."""
        if not hasattr(self, "model"):
            return
        assert verify().findings == []
        rows = list(collection(Account).find())
        assert {row["_id"]: row["balance_minor"] for row in rows} == dict(self.model.held)
        assert {row["_id"]: row["status"] for row in rows} == self.model.status
        transactions = list(collection(Transaction).find())
        assert {self.said(row): row["_id"] for row in transactions} == {
            asked: self.ids[key] for key, asked in self.model.keys.items()
        }
        assert len(transactions) == len(self.model.keys)
        assert collection(Entry).count_documents({}) == 2 * len(transactions)
        while notices.write_due(limit=10):
            pass
        assert {row["_id"] for row in transactions if row["status"] == Transaction.Status.REVERSED} == {
            self.ids[key] for key in self.model.reversed
        }
        told = sum(1 if self.from_equity(asked) else 2 for asked in self.model.keys.values())
        assert collection(Notification).count_documents({}) == told

    def from_equity(self, asked: Command) -> bool:
        """Whether the equity account, whose owner is told nothing, is one side of it."""
        moved = self.model.keys[self.named[asked.original]] if isinstance(asked, Reversal) else asked
        return moved.from_account is None

    def said(self, row) -> Command:
        """The command that a stored transaction is of."""
        if row["kind"] == Transaction.Kind.REVERSAL:
            return Reversal(row["initiator"], row["reverses"], row["reason"], row["idempotency_key"])
        payer = None if row["kind"] == Transaction.Kind.INITIAL_FUNDS else row["from_account"]
        amount = Decimal(row["amount_minor"]) / 100
        return Transfer(row["initiator"], payer, row["to_account"], amount, row["idempotency_key"])


def alone(asked: Command) -> Order:
    """An order of one."""
    return Order((asked,))


def clear() -> None:
    """Leave no document of the example before."""
    for model in (Account, Transaction, Entry, NoticesDue, Notification):
        collection(model).delete_many({})


@pytest.mark.parametrize("examples", [FEW, pytest.param(MANY, marks=pytest.mark.slow)])
def test_the_engine_and_a_model_of_ten_lines_agree_on_every_answer_and_on_the_ledger(examples):
    run_state_machine_as_test(
        Ledger,
        settings=settings(
            max_examples=examples,
            stateful_step_count=STEPS,
            phases=[Phase.generate],  # to shrink a failure on a real database takes minutes; add Phase.shrink for it
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
