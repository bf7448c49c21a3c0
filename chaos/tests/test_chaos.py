"""The harness itself, where it can be tested without servers: its schedule, its judgement, its wire."""

import json
import random
import time
from types import SimpleNamespace

import pytest
from bson import ObjectId

from chaos import breaking
from chaos.__main__ import FULL, SHORT, SHORT_FAULTS, schedule
from chaos.breaks import BREAKS
from chaos.checks import Checks, Violation
from chaos.clients import OK, REFUSED, TOO_MUCH, UNKNOWN, Answer, Move, Person, Watched, _answer
from chaos.faults import FAULTS, Struck
from chaos.faults.kinds import OUTLASTS_AN_ELECTION
from chaos.wire import Wire

ALL = list(FAULTS.values())
ID = ObjectId()


TRANSIENT = "transient"


def said(word: str) -> Answer:
    text = {OK: "200", REFUSED: "400 no", TRANSIENT: "503 not_posted", UNKNOWN: "503 outcome_unknown"}[word]
    return Answer(0, REFUSED if word == TRANSIENT else word, text, {"_id": str(ID)} if word == OK else None)


def move(*words: str, amount: int = 5) -> Move:
    return Move(Person("", "a"), Person("", "b"), amount, "key", [said(word) for word in words])


def harness(*, faults: list[Struck] = (), broken: str = "") -> Checks:
    history = SimpleNamespace(faults=list(faults), wrong=[], moves=[])
    return Checks(SimpleNamespace(cluster=SimpleNamespace(broken=broken), history=history))


def judge(asked: Move, stored: int, amount_minor: int = 500) -> None:
    harness()._compare_one(asked, asked.word, [{"_id": ID, "amount_minor": amount_minor}] * stored)


def test_the_same_seed_makes_the_same_schedule_and_another_another():
    assert schedule("a", FULL, ALL) == schedule("a", FULL, ALL)
    assert schedule("a", FULL, ALL) != schedule("b", FULL, ALL)


def test_a_full_schedule_has_every_fault_alone_and_at_least_a_hundred_in_all():
    steps = schedule("a", FULL, ALL)
    assert {step.faults[0].name for step in steps if len(step.faults) == 1} == set(FAULTS)
    assert sum(len(step.faults) for step in steps) >= 100


def test_the_short_form_strikes_in_the_order_that_is_written_down():
    steps = schedule("a", SHORT, [FAULTS[name] for name in SHORT_FAULTS])
    assert [step.faults[0].name for step in steps] == list(SHORT_FAULTS)


def test_a_network_that_fails_and_a_primary_that_stops_do_so_for_longer_than_an_election():
    lasting = [fault for fault in ALL if fault.part == "network" or fault.name.endswith("stopped")]
    assert lasting
    assert all(fault.least_seconds >= OUTLASTS_AN_ELECTION for fault in lasting)


def test_faults_that_come_together_strike_different_parts():
    mixed = [step for step in schedule("a", FULL, ALL) if len(step.faults) > 1]
    assert mixed
    assert all(len({fault.part for fault in step.faults}) == len(step.faults) for step in mixed)


@pytest.mark.parametrize(
    ("asked", "stored"),
    [
        (move(OK), 1),
        (move(UNKNOWN, OK), 1),
        (move(REFUSED), 0),
        (move(UNKNOWN), 0),
        (move(UNKNOWN), 1),
        (move(UNKNOWN, REFUSED), 0),
        (move(UNKNOWN, TRANSIENT), 1),
    ],
)
def test_what_may_be_is_no_violation(asked, stored):
    judge(asked, stored)


@pytest.mark.parametrize(
    ("asked", "stored"),
    [
        (move(OK), 0),
        (move(OK), 2),
        (move(REFUSED), 1),
        (move(TRANSIENT), 1),
        (move(UNKNOWN), 2),
        (move(UNKNOWN, REFUSED), 1),
        (move(OK, REFUSED), 1),
    ],
    ids=[
        "lost",
        "doubled",
        "refused and stored",
        "not posted and stored",
        "unknown and doubled",
        "unknown, then refused by a rule, and stored",
        "refused after it was acknowledged",
    ],
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
        (503, "too_busy", UNKNOWN),
        (503, "outcome_unknown", UNKNOWN),
        (503, "unavailable", UNKNOWN),
        (500, "internal_error", UNKNOWN),
        (0, "ConnectionResetError", UNKNOWN),
    ],
)
def test_only_an_answer_that_says_that_nothing_moved_is_a_refusal(status, code, word):
    assert _answer(0, status, {"code": code}).word == word


@pytest.mark.parametrize(("word", "settles"), [(OK, True), (REFUSED, True), (TRANSIENT, False), (UNKNOWN, False)])
def test_only_an_acknowledgement_or_a_4xx_says_what_became_of_a_key(word, settles):
    assert said(word).settles is settles


@pytest.mark.parametrize(
    ("amount", "answer", "odd"),
    [
        (5, "400 insufficient_funds", True),
        (5, "422 idempotency_key_reused", True),
        (5, "500 internal_error", True),
        (5, "503 outcome_unknown", False),
        (5, "0 ConnectionResetError", False),
        (TOO_MUCH, "400 insufficient_funds", False),
        (TOO_MUCH, "400 invalid_accounts", True),
    ],
)
def test_a_refusal_of_what_can_be_paid_is_odd(amount, answer, odd):
    word = UNKNOWN if answer[0] in "05" else REFUSED
    assert move(amount=amount).is_odd(Answer(0, word, answer, None)) is odd


def test_an_acknowledged_overdraft_is_odd():
    assert move(amount=TOO_MUCH).is_odd(said(OK))


def test_a_thread_of_the_load_does_not_end_unnoticed():
    checks = harness()
    thread = Watched("client-1", checks.load)
    thread.start()
    thread.join()
    assert checks.history.wrong == ["client-1 ended: NotImplementedError()"]
    checks.load.threads = [thread]
    with pytest.raises(Violation, match="client-1 ended"):
        checks._observers_live()


@pytest.mark.parametrize(
    ("kind", "seconds_before", "is_excuse"),
    [
        ("celery child killed after sending", 10, True),
        ("primary killed", 10, True),
        ("primary killed", 60, False),
        ("web server killed", 10, False),
        ("redis flushed", 10, False),
    ],
)
def test_a_second_delivery_is_excused_only_by_a_fault_that_kept_a_worker_from_noting_the_first(
    kind, seconds_before, is_excuse
):
    began = time.monotonic() - seconds_before
    struck = Struck((FAULTS[kind],), began, healed=began + 5, recovered=began + 20)
    assert harness(faults=[struck])._may_be_unnoted(time.time()) is is_excuse


def found(**counts: int) -> str:
    return json.dumps({"whole": False, "counts": counts}) + "\nCommandError: The ledger is not whole\n"


def test_findings_of_verify_ledger_are_violations_and_an_index_that_the_harness_dropped_is_none():
    with pytest.raises(Violation, match="index_missing"):
        harness()._judge(found(index_missing=1))
    harness(broken="no version guard")._judge(found(index_missing=1))
    with pytest.raises(Violation, match="account_balance"):
        harness(broken="no version guard")._judge(found(index_missing=1, account_balance=2))
    with pytest.raises(Violation, match="gives no answer"):
        harness()._judge("Traceback …")


def test_every_break_has_faults_and_words_that_it_must_be_caught_by():
    assert {one.name for one in breaking.BREAKS} == set(BREAKS)
    assert all(set(one.faults) <= set(FAULTS) and one.noticed_by for one in breaking.BREAKS)
    assert not any("index_missing" in words for one in breaking.BREAKS for words in one.noticed_by)


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
