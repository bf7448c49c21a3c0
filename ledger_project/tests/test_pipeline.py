"""Several commands in one round trip: all or none, the first failure told, and no answer left on the connection."""

from collections.abc import Iterator

import pytest
from bson import ObjectId
from bson.errors import InvalidDocument
from pymongo.errors import DuplicateKeyError, PyMongoError, WriteError

from ledger_project.mongo import Document, Unit, database, inserting, run_transaction, setting

WRITE_CONFLICT, SHUTTING_DOWN, REFUSED_BY_VALIDATOR, NO_RIGHT = 112, 91, 121, 13


@pytest.fixture(autouse=True)
def collections():
    database().create_collection("left")
    database().create_collection("right", validator={"mark": {"$type": "string"}})
    database().right.create_index("mark", unique=True)
    yield
    for name in ("left", "right"):
        database().drop_collection(name)


def both(mark: object = "a", at_last: object = "the end") -> list[Document]:
    """Three commands on two collections."""
    return [
        inserting("left", [{"mark": mark}, {"mark": mark}]),
        inserting("right", [{"mark": mark}]),
        inserting("left", [{"mark": at_last}]),
    ]


def stored() -> tuple[int, int]:
    return database().left.count_documents({}), database().right.count_documents({})


def write(*commands: Document) -> None:
    run_transaction(lambda unit: unit.write(commands), timeout_seconds=5)


def assert_connections_are_sound() -> None:
    """Every answer that is read from now on is the one to what was asked."""
    for number in range(20):
        assert database().command("find", "left", filter={"mark": number}, limit=1)["cursor"]["firstBatch"] == []
        assert database().command({"ping": 1})["ok"] == 1


def test_all_of_them_are_carried_out():
    write(*both())
    assert stored() == (3, 1)


def test_a_unit_that_fails_afterwards_has_written_nothing():
    def work(unit: Unit) -> None:
        unit.write(both())
        raise LookupError

    with pytest.raises(LookupError):
        run_transaction(work)
    assert stored() == (0, 0)


def test_the_first_that_fails_is_what_is_told_and_not_what_those_behind_it_say():
    write(*both())
    with pytest.raises(DuplicateKeyError):
        write(*both())
    with pytest.raises(WriteError) as refused:
        write(*both(mark=7))
    assert refused.value.code == REFUSED_BY_VALIDATOR
    assert stored() == (3, 1)
    assert_connections_are_sound()


def test_one_that_fails_without_ending_the_transaction_undoes_those_behind_it_too(fail_command):
    fail_command("update", times=1, errorCode=NO_RIGHT)
    row = run_transaction(lambda unit: unit.database.left.insert_one({"mark": "old"}, session=unit.session)).inserted_id
    with pytest.raises(PyMongoError) as failed:
        write(both()[0], setting("left", [(row, {"mark": "new"})]), both()[1])
    assert failed.value.code == NO_RIGHT
    assert stored() == (1, 0)
    assert_connections_are_sound()


def test_a_transaction_that_began_with_it_is_not_begun_again_on_another_server():
    """By this PyMongo knows that, should a later command have to be repeated elsewhere, the first were lost."""

    def work(unit: Unit) -> bool:
        unit.write(both())
        return unit.session._transaction.has_completed_command

    assert run_transaction(work)


def test_what_cannot_be_encoded_leaves_nothing_and_no_answer_to_what_was_sent_before_it():
    with pytest.raises(InvalidDocument):
        write(*both(at_last=object()))
    assert stored() == (0, 0)
    assert_connections_are_sound()


def test_what_cannot_be_made_leaves_nothing_and_no_answer_to_what_was_sent_before_it():
    def commands() -> Iterator[Document]:
        yield from both()
        raise LookupError

    with pytest.raises(LookupError):
        run_transaction(lambda unit: unit.write(commands()))
    assert stored() == (0, 0)
    assert_connections_are_sound()


def test_a_document_that_is_gone_is_noticed():
    with pytest.raises(AssertionError):
        write(*both(), setting("left", [(ObjectId(), {"mark": "b"})]))
    assert stored() == (0, 0)


@pytest.mark.parametrize("before", [0, 1, 2])
@pytest.mark.parametrize(
    "fault", [{"closeConnection": True}, {"errorCode": WRITE_CONFLICT}, {"errorCode": SHUTTING_DOWN}]
)
def test_a_passing_failure_at_any_of_them_runs_the_unit_again(fail_command, before, fault):
    runs = []

    def work(unit: Unit) -> None:
        runs.append(1)
        if len(runs) == 2:
            fail_command("insert", times=0)
        unit.write(both())
        assert len(runs) == 2, "the fault did not strike"

    labels = {"errorLabels": ["TransientTransactionError"]} if "errorCode" in fault else {}
    fail_command("insert", times={"skip": before}, **fault, **labels)  # so many pass, and all after them fail
    run_transaction(work)
    assert stored() == (3, 1)
    assert_connections_are_sound()


def test_a_server_that_hangs_in_one_of_them_is_waited_for_until_the_deadline_and_no_longer(fail_command):
    fail_command("insert", times={"skip": 1}, blockConnection=True, blockTimeMS=3000)
    with pytest.raises(PyMongoError):
        run_transaction(lambda unit: unit.write(both()), timeout_seconds=1)
    fail_command("insert", times=0)
    assert stored() == (0, 0)
    assert_connections_are_sound()
