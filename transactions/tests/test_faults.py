"""MongoDB fails at random under sixteen threads, and every answer is true to what the ledger then holds.

Each answer is one of four: posted, refused, not posted, or unknown. The seed of a storm that finds a lie is in the
note to its failure.
"""

import os
import random
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from decimal import Decimal
from threading import Event
from typing import Any
from uuid import uuid4

import pytest
from bson import Int64, ObjectId

from accounts.models import Account
from ledger_project.errors import LedgerError
from ledger_project.mongo import collection
from transactions import ledger, posting
from transactions.ledger import Outcome
from transactions.models import Transaction
from transactions.posting import Transfer
from transactions.refusals import BatchRefused, Forbidden, NotPosted, OutcomeUnknown, TooBusy
from transactions.tests.crowd import in_one_group, word
from transactions.verification import verify
from users.tests.waiting import wait_until

THREADS = 16
DEADLINE_SECONDS = 1
# Storage, transaction gone, shutting down, interrupted, stepped down, no primary: what a server in trouble says.
CODES = (112, 251, 91, 11600, 189, 10107)
COMMANDS = ("insert", "update", "find", "aggregate", "commitTransaction")

Result = Outcome | LedgerError
# What a repeat may be answered once a transfer was posted: it is there, or, this request did nothing.
MAY_FOLLOW = (Outcome, OutcomeUnknown, BatchRefused, TooBusy)


@dataclass
class Asked:
    """A transfer, and the answers to it, the first one first."""

    transfer: Transfer
    results: list[Result] = field(default_factory=list)

    @property
    def key(self) -> tuple[ObjectId, str]:
        return self.transfer.initiator, self.transfer.idempotency_key

    @property
    def ids(self) -> set[ObjectId]:
        """The transactions that the answers name."""
        return {result.transaction.pk for result in self.results if isinstance(result, Outcome)}

    @property
    def may_be_there(self) -> bool:
        """Whether an answer left it open, or said yes."""
        return any(isinstance(result, (Outcome, OutcomeUnknown)) for result in self.results)


def some_fault(chance: random.Random) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Commands, and what is to happen to them."""
    commands = tuple(chance.sample(COMMANDS, chance.randint(1, 3)))
    failing = {"errorCode": chance.choice(CODES)}
    fault = chance.choice(
        [
            failing,
            failing | {"errorLabels": ["TransientTransactionError"]},
            {"closeConnection": True},
            {"blockConnection": True, "blockTimeMS": chance.choice([20, 200, 1500])},
            failing | {"blockConnection": True, "blockTimeMS": 100},
        ]
    )
    if chance.random() < 0.25:  # the command is carried out, and then the server says that it cannot vouch for it
        commands, fault = (
            ("commitTransaction",),
            {"writeConcernError": {"code": chance.choice([91, 64]), "errmsg": "?"}},
        )
    return commands, fault


class Storm:
    """Sixteen threads that move money among a dozen accounts, while fault after fault is armed."""

    def __init__(self, accounts: list[Account], fail_command: Callable[..., None], seed: int) -> None:
        self.accounts = accounts
        self.fail_command = fail_command
        self.seed = seed
        self.over = Event()
        self.asked: list[list[Asked]] = [[] for _ in range(THREADS)]

    def rage(self, seconds: float) -> list[Asked]:
        """All that was asked for, with its answers, in the order of each thread.

        On a slow machine it takes longer until enough was posted and refused for the storm to show anything.
        """
        chance, until = random.Random(self.seed), time.monotonic() + seconds
        with ThreadPoolExecutor(THREADS) as pool:
            threads = [pool.submit(self.ask, number) for number in range(THREADS)]
            try:
                while time.monotonic() < until or (not self.shows(seconds) and time.monotonic() < until + 60):
                    if any(thread.done() for thread in threads):
                        break
                    self.blow(chance)
            finally:
                self.over.set()
                self.fail_command("ping", times=0)
            for thread in threads:
                thread.result()
        return [asked for of_thread in self.asked for asked in of_thread]

    def shows(self, least: float) -> bool:
        """Whether more than `least` were posted, and somebody had too little."""
        words = Counter(word(result) for mine in self.asked for asked in list(mine) for result in list(asked.results))
        return words["posted"] > least and words["insufficient_funds"] > 0

    def blow(self, chance: random.Random) -> None:
        """One fault, at times for longer than a request has, and then a calm in which what is left of it clears up."""
        commands, fault = some_fault(chance)
        mode = chance.choice([1, 3, 10, {"activationProbability": 0.3}, "alwaysOn"])
        before, patience = self.answers, time.monotonic() + chance.choice([0.3, 1.5 * DEADLINE_SECONDS])
        self.fail_command(*commands, times=mode, **fault)
        wait_until(lambda: self.answers >= before + THREADS or time.monotonic() > patience)
        self.fail_command("ping", times=0)
        before = self.answers
        patience = time.monotonic() + 10 * DEADLINE_SECONDS  # what a killed transaction locked is free again by then
        wait_until(lambda: self.answers >= before + THREADS or time.monotonic() > patience)

    @property
    def answers(self) -> int:
        return sum(map(len, self.asked))

    def ask(self, number: int) -> None:
        """One thread: singles, batches, atomic batches, and repeats of what it asked before."""
        chance, mine = random.Random(f"{self.seed} {number}"), self.asked[number]
        while not self.over.is_set():
            together = [Asked(self.transfer(chance)) for _ in range(chance.choice([1, 1, 1, 5]))]
            if mine and chance.random() < 0.3:
                together.append(chance.choice(mine))
            results = ledger.post_together([asked.transfer for asked in together], atomic=chance.random() < 0.3)
            for asked, result in zip(together, results, strict=True):
                asked.results.append(result)
                if len(asked.results) == 1:
                    mine.append(asked)

    def transfer(self, chance: random.Random) -> Transfer:
        payer, payee = chance.sample(self.accounts, 2)
        amount = Decimal(chance.choice([1, 2, 3, 5, 8, 5000]))  # nobody ever has the last
        return Transfer(payer.user_id, payer.pk, payee.pk, amount, f"{chance.getrandbits(96):x}")


def in_the_ledger() -> dict[tuple[ObjectId, str], list[ObjectId]]:
    """The transactions of each (initiator, key); there should be one."""
    found: dict[tuple[ObjectId, str], list[ObjectId]] = {}
    for row in collection(Transaction).find():
        found.setdefault((row["initiator"], row["idempotency_key"]), []).append(row["_id"])
    return found


def assert_every_answer_is_true(everything: list[Asked]) -> None:
    """Against the ledger as it is, then against what each key says when it is repeated."""
    assert verify().findings == []
    there = in_the_ledger()
    assert all(len(ids) == 1 for ids in there.values())
    for asked in everything:
        words = [word(result) for result in asked.results]
        assert len(asked.ids) <= 1, words
        if asked.ids:
            assert there.get(asked.key) == list(asked.ids), words
            first = next(at for at, result in enumerate(asked.results) if isinstance(result, Outcome))
            assert all(isinstance(result, MAY_FOLLOW) for result in asked.results[first:]), words
        elif not asked.may_be_there:
            assert asked.key not in there, words
    for asked, result in zip(everything, repeated(everything), strict=True):
        assert not isinstance(result, (NotPosted, OutcomeUnknown)), word(result)
        if asked.key in there:
            assert word(result) == "replayed", [*map(word, asked.results), word(result)]
            assert [result.transaction.pk] == there[asked.key]
    assert verify().findings == []
    assert all(len(ids) == 1 for ids in in_the_ledger().values())
    assert sum(Account.objects.values_list("balance_minor", flat=True)) == 0


def repeated(everything: list[Asked]) -> list[Result]:
    transfers = [asked.transfer for asked in everything]
    return [result for at in range(0, len(transfers), 500) for result in ledger.post_together(transfers[at : at + 500])]


# `make fuzz` has many of them. In rounds: between them the server's one fail point is free for others.
MOST = 30 if "FUZZ_SECONDS" in os.environ else 2
ROUNDS = [pytest.param(10, marks=pytest.mark.slow, id=f"10 s, round {number}") for number in range(1, MOST + 1)]


@pytest.mark.parametrize("seconds", [pytest.param(4, id="4 s"), *ROUNDS])
def test_whatever_fails_under_sixteen_threads_every_answer_is_true(
    seconds, new_user, new_account, fail_command, settings
):
    accounts = [new_account(new_user(), funds=1000) for _ in range(12)]
    seed = random.SystemRandom().getrandbits(32)
    settings.POSTING_DEADLINE_SECONDS = DEADLINE_SECONDS
    try:
        everything = Storm(accounts, fail_command, seed).rage(seconds)
        settings.POSTING_DEADLINE_SECONDS = 60
        assert_every_answer_is_true(everything)
    except BaseException as error:
        error.add_note(f"the storm's seed was {seed}")
        raise
    words = Counter(word(result) for asked in everything for result in asked.results)
    assert words["posted"] > seconds, words
    assert words["insufficient_funds"] > 0, words


def test_a_lasting_refusal_by_the_database_hits_one_order_of_a_group_and_not_its_neighbours(new_user, new_account):
    payers = [new_account(new_user(), funds=100) for _ in range(15)]
    payee, spoilt = new_account(new_user()), new_account(new_user())
    transfers = [Transfer(payer.user_id, payer.pk, payee.pk, Decimal(10), uuid4().hex) for payer in payers]
    transfers.insert(7, Transfer(payers[0].user_id, payers[0].pk, spoilt.pk, Decimal(10), uuid4().hex))
    store_balance(spoilt, -5000)  # after ten more it is still below zero, and that the server's own rule forbids
    results = in_one_group([lambda transfer=transfer: ledger.post(transfer) for transfer in transfers])
    assert Counter(map(word, results)) == {"posted": 15, "posting_forbidden": 1}
    refused = results[7]
    assert isinstance(refused, Forbidden)
    assert (refused.status, refused.retryable) == (503, False)
    store_balance(spoilt, 0)
    assert verify().findings == []
    assert Transaction.objects.filter(to_account=payee.pk).count() == 15
    assert not Transaction.objects.filter(to_account=spoilt.pk).exists()


def test_a_lasting_refusal_by_the_database_takes_its_whole_atomic_order_with_it(new_user, new_account):
    payer, payee, spoilt = new_account(new_user(), funds=100), new_account(new_user()), new_account(new_user())
    store_balance(spoilt, -5000)
    order = [Transfer(payer.user_id, payer.pk, to.pk, Decimal(10), uuid4().hex) for to in (payee, spoilt, payee)]
    neighbour = Transfer(payer.user_id, payer.pk, payee.pk, Decimal(1), uuid4().hex)
    refused, posted = in_one_group(
        [lambda: ledger.post_together(order, atomic=True), lambda: ledger.post_together([neighbour])]
    )
    assert ([word(result) for result in refused], word(posted[0])) == (["posting_forbidden"] * 3, "posted")
    store_balance(spoilt, 0)
    assert verify().findings == []
    assert Account.objects.get(pk=payer.pk).balance == 99


def test_a_lasting_refusal_by_the_database_hits_one_transfer_of_a_batch_and_not_the_others(new_user, new_account):
    payer, payee, spoilt = new_account(new_user(), funds=100), new_account(new_user()), new_account(new_user())
    store_balance(spoilt, -5000)
    payees = [payee, payee, spoilt, payee, payee]
    batch = [Transfer(payer.user_id, payer.pk, to.pk, Decimal(10), f"item-{at}") for at, to in enumerate(payees)]
    words = [word(result) for result in ledger.post_together(batch)]
    assert words == ["posted", "posted", "posting_forbidden", "posted", "posted"]
    store_balance(spoilt, 0)
    assert verify().findings == []
    assert Account.objects.get(pk=payer.pk).balance == 60


def test_an_order_that_our_own_code_trips_over_does_not_take_its_neighbours_with_it(new_user, new_account, monkeypatch):
    payer, payee = new_account(new_user(), funds=100), new_account(new_user())
    transfers = [Transfer(payer.user_id, payer.pk, payee.pk, Decimal(1), key) for key in ("one", "odd", "other")]
    decide = posting.decide

    def stumble(command, *given):
        return {}[command] if command.idempotency_key == "odd" else decide(command, *given)

    monkeypatch.setattr(posting, "decide", stumble)
    results = in_one_group([lambda transfer=transfer: ledger.post(transfer) for transfer in transfers])
    assert [word(result) for result in results] == ["posted", "posting_forbidden", "posted"]
    assert Account.objects.get(pk=payee.pk).balance == 2


def store_balance(account: Account, balance_minor: int) -> None:
    """What no posting would: past the ledger and past the server's validator."""
    rows = collection(Account)
    rows.update_one(
        {"_id": account.pk}, {"$set": {"balance_minor": Int64(balance_minor)}}, bypass_document_validation=True
    )
