"""The harness itself, where it can be tested without servers: its schedule, its judgement, its wire."""

import random
from types import SimpleNamespace

import pytest
from bson import ObjectId

from chaos.__main__ import FULL, schedule
from chaos.checks import Checks, Violation
from chaos.clients import OK, REFUSED, UNKNOWN, Answer, Move, Person, _answer
from chaos.faults import FAULTS
from chaos.wire import Wire

ALL = list(FAULTS.values())
ID = ObjectId()


def move(*words: str) -> Move:
    answers = [
        Answer(0, word, "200" if word == OK else "400 no", {"_id": str(ID)} if word == OK else None) for word in words
    ]
    return Move(Person("", "a"), Person("", "b"), 5, "key", answers)


def judge(asked: Move, stored: int, amount_minor: int = 500) -> None:
    checks = Checks(SimpleNamespace(cluster=None, history=None))
    checks._compare_one(asked, asked.word, [{"_id": ID, "amount_minor": amount_minor}] * stored)


def test_the_same_seed_makes_the_same_schedule_and_another_another():
    assert schedule("a", FULL, ALL) == schedule("a", FULL, ALL)
    assert schedule("a", FULL, ALL) != schedule("b", FULL, ALL)


def test_a_full_schedule_has_every_fault_alone_and_at_least_a_hundred_in_all():
    steps = schedule("a", FULL, ALL)
    assert {step.faults[0].name for step in steps if len(step.faults) == 1} == set(FAULTS)
    assert sum(len(step.faults) for step in steps) >= 100


def test_faults_that_come_together_strike_different_parts():
    mixed = [step for step in schedule("a", FULL, ALL) if len(step.faults) > 1]
    assert mixed
    assert all(len({fault.part for fault in step.faults}) == len(step.faults) for step in mixed)


@pytest.mark.parametrize(
    ("asked", "stored"),
    [(move(OK), 1), (move(UNKNOWN, OK), 1), (move(REFUSED), 0), (move(UNKNOWN), 0), (move(UNKNOWN), 1)],
)
def test_what_may_be_is_no_violation(asked, stored):
    judge(asked, stored)


@pytest.mark.parametrize(
    ("asked", "stored"),
    [(move(OK), 0), (move(OK), 2), (move(REFUSED), 1), (move(UNKNOWN), 2), (move(OK, REFUSED), 1)],
    ids=["lost", "doubled", "refused and stored", "unknown and doubled", "refused after it was acknowledged"],
)
def test_what_must_not_be_is_a_violation(asked, stored):
    with pytest.raises(Violation):
        judge(asked, stored)


def test_another_amount_and_another_answer_are_violations():
    with pytest.raises(Violation):
        judge(move(OK), 1, amount_minor=501)
    different = move(OK, OK)
    different.answers[1] = different.answers[1]._replace(transaction={"_id": "other"})
    with pytest.raises(Violation):
        judge(different, 1)


@pytest.mark.parametrize(
    ("status", "code", "word"),
    [
        (400, "insufficient_funds", REFUSED),
        (503, "not_posted", REFUSED),
        (503, "outcome_unknown", UNKNOWN),
        (503, "unavailable", UNKNOWN),
        (500, "internal_error", UNKNOWN),
        (0, "ConnectionResetError", UNKNOWN),
    ],
)
def test_only_an_answer_that_says_that_nothing_moved_is_a_refusal(status, code, word):
    assert _answer(0, status, {"code": code}).word == word


def packet(source: int, to: int) -> bytes:
    return bytes(12) + bytes([10, 0, 0, source]) + bytes([10, 0, 0, to])


def test_the_wire_cuts_one_way_and_delays_the_other():
    wire, delivered = Wire("a", {}), []
    wire.deliver = delivered.append
    wire.obey(b'[["10.0.0.1", "10.0.0.2", 1, 0], ["10.0.0.2", "*", 0, 60000]]')
    for source, to in ((1, 2), (2, 1), (1, 3)):
        wire.take(packet(source, to))
    assert delivered == [packet(1, 3)]
    assert [held[2] for held in wire.in_flight] == [packet(2, 1)]
    assert 0 < wire.deliver_due() <= 90_000


def test_the_wire_loses_about_as_many_as_it_is_told():
    wire, delivered = Wire("a", {}), []
    wire.deliver = delivered.append
    wire.obey(b'[["*", "*", 0.1, 0]]')
    for _ in range(1000):
        wire.take(packet(*random.sample(range(9), 2)))
    assert 850 < len(delivered) < 950
