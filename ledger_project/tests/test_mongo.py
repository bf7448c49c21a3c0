"""The one door to a multi-document write, with MongoDB failing in every way that a commit can fail."""

import pytest
from bson import ObjectId
from pymongo.errors import PyMongoError

from ledger_project.mongo import Unit, database, run_transaction
from users.models import User

NOT_PRIMARY, WRITE_CONFLICT, STEPPED_DOWN, SHUTTING_DOWN, NO_SUCH_TRANSACTION = 10107, 112, 189, 91, 251


def write_pair(unit: Unit, mark: str) -> None:
    """Two documents in two collections: both or neither."""
    unit.database.left.insert_one({"mark": mark}, session=unit.session)
    unit.database.right.insert_one({"mark": mark}, session=unit.session)


def stored(mark: str) -> tuple[int, int]:
    return (database().left.count_documents({"mark": mark}), database().right.count_documents({"mark": mark}))


@pytest.fixture(autouse=True)
def collections():
    for name in ("left", "right"):
        database().create_collection(name)
    yield
    for name in ("left", "right"):
        database().drop_collection(name)


def assert_the_thread_is_sound() -> None:
    """The next transaction on this thread is one: it is undone as a whole, and it commits as a whole."""

    def breaks(unit: Unit) -> None:
        write_pair(unit, "undone")
        raise LookupError

    with pytest.raises(LookupError):
        run_transaction(breaks)
    assert stored("undone") == (0, 0)
    run_transaction(lambda unit: write_pair(unit, "next"))
    assert stored("next") == (1, 1)


@pytest.mark.parametrize("times", [1, 2, 10])
def test_a_commit_whose_connection_is_closed_is_repeated_until_it_is_known(fail_command, times):
    fail_command("commitTransaction", times=times, closeConnection=True)
    run_transaction(lambda unit: write_pair(unit, "a"))
    assert stored("a") == (1, 1)
    assert_the_thread_is_sound()


def test_a_commit_that_was_done_but_whose_answer_failed_counts_once(fail_command):
    fail_command("commitTransaction", writeConcernError={"code": SHUTTING_DOWN, "errmsg": "shutting down"}, times=1)
    run_transaction(lambda unit: write_pair(unit, "a"))
    assert stored("a") == (1, 1)


@pytest.mark.parametrize("command", ["insert", "commitTransaction"])
@pytest.mark.parametrize("code", [WRITE_CONFLICT, NOT_PRIMARY, STEPPED_DOWN, SHUTTING_DOWN, NO_SUCH_TRANSACTION])
def test_a_passing_error_runs_the_whole_unit_again(fail_command, command, code):
    runs = []

    def work(unit: Unit) -> None:
        runs.append(1)
        write_pair(unit, "a")

    labels = {"errorLabels": ["TransientTransactionError"]} if command == "insert" else {}
    fail_command(command, times=1, errorCode=code, **labels)
    run_transaction(work)
    assert stored("a") == (1, 1)
    assert len(runs) <= 2
    assert_the_thread_is_sound()


def test_a_commit_that_never_succeeds_ends_at_the_deadline_and_leaves_nothing(fail_command):
    fail_command("commitTransaction", times="alwaysOn", closeConnection=True)
    with pytest.raises(PyMongoError):
        run_transaction(lambda unit: write_pair(unit, "a"), timeout_seconds=1)
    fail_command("ping", times=0)
    assert stored("a") == (0, 0)
    assert_the_thread_is_sound()


def test_a_lasting_error_is_raised_and_leaves_nothing(fail_command):
    fail_command("insert", times=1, errorCode=8000)
    with pytest.raises(PyMongoError):
        run_transaction(lambda unit: write_pair(unit, "a"))
    assert stored("a") == (0, 0)
    assert_the_thread_is_sound()


def test_a_database_error_that_the_orm_wrapped_is_recognised_as_passing(fail_command, new_user):
    def work(unit: Unit) -> None:
        unit.database.left.insert_one({"mark": "a"}, session=unit.session)
        User(email="a@example.com", name="A", password="!").save(force_insert=True)

    fail_command("insert", times={"skip": 1}, errorCode=WRITE_CONFLICT)  # the first insert passes, the ORM's fails
    with pytest.raises(PyMongoError):
        run_transaction(work, timeout_seconds=1)
    assert database().left.count_documents({}) == 0
    fail_command("insert", times=1, errorCode=WRITE_CONFLICT)
    run_transaction(work)
    assert User.objects.filter(email="a@example.com").count() == 1
    assert database().left.count_documents({}) == 1


def test_orm_calls_inside_join_the_transaction(new_user):
    user = new_user(name="Before")

    def breaks(unit: Unit) -> None:
        User.objects.filter(pk=user.pk).update(name="After")
        assert User.objects.get(pk=user.pk).name == "After"
        raise LookupError

    with pytest.raises(LookupError):
        run_transaction(breaks)
    assert User.objects.get(pk=user.pk).name == "Before"


def test_callbacks_run_once_after_the_commit_even_when_the_unit_ran_twice(fail_command):
    called = []

    def work(unit: Unit) -> None:
        write_pair(unit, "a")
        unit.after_commit(lambda: called.append(stored("a")))

    fail_command("commitTransaction", times=1, errorCode=NO_SUCH_TRANSACTION)
    run_transaction(work)
    assert called == [(1, 1)]


def test_a_callback_that_fails_reaches_neither_the_caller_nor_its_neighbours():
    called = []

    def work(unit: Unit) -> str:
        write_pair(unit, "a")
        unit.after_commit(lambda: 1 / 0)
        unit.after_commit(lambda: called.append("second"))
        return "result"

    assert run_transaction(work) == "result"
    assert called == ["second"]
    assert stored("a") == (1, 1)


def test_no_callback_runs_when_the_unit_fails():
    called = []

    def breaks(unit: Unit) -> None:
        unit.after_commit(lambda: called.append(ObjectId()))
        raise LookupError

    with pytest.raises(LookupError):
        run_transaction(breaks)
    assert called == []
