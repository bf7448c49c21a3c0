"""Group commit by itself, with a commit function that the test holds in its hand."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from transactions.group_commit import COMMIT_SHARE, GroupCommit
from transactions.refusals import Overdue, TooBusy
from users.tests.waiting import wait_until

SECONDS = 60  # how long a machine that is busy may take; no test waits for it to pass


class Commit:
    """A commit that waits to be let go and remembers its groups."""

    def __init__(self) -> None:
        self.groups: list[list[str]] = []
        self.deadlines: list[float] = []
        self.may_go = threading.Semaphore(0)
        self.entered = threading.Semaphore(0)
        self.fails_with: type[BaseException] | None = None

    def __call__(self, orders, deadline):
        self.groups.append(list(orders))
        self.deadlines.append(deadline)
        self.entered.release()
        assert self.may_go.acquire(timeout=SECONDS)
        if self.fails_with:
            raise self.fails_with
        return [order.upper() for order in orders]


@contextmanager
def committing(commit: Commit, group: GroupCommit, pool: ThreadPoolExecutor):
    """While "a" is being committed."""
    first = pool.submit(group.submit, "a", timeout_seconds=SECONDS)
    assert commit.entered.acquire(timeout=SECONDS)
    yield first


@pytest.fixture
def commit():
    return Commit()


@pytest.fixture
def group(commit):
    return GroupCommit(commit, group_limit=3, queue_limit=4)


@pytest.fixture
def pool():
    with ThreadPoolExecutor(16) as threads:
        yield threads


def submit_in_turn(group, pool, *orders, seconds=SECONDS):
    """Submit orders so that they queue in the order given."""
    futures = []
    for order in orders:
        size = len(group._waiting)
        futures.append(pool.submit(group.submit, order, timeout_seconds=seconds))
        wait_until(lambda size=size: len(group._waiting) > size)
    return futures


def test_one_alone_is_committed_at_once(commit, group):
    commit.may_go.release()
    assert group.submit("a", timeout_seconds=SECONDS) == "A"
    assert commit.groups == [["a"]]


def test_what_arrives_during_a_commit_goes_together_into_the_next(commit, group, pool):
    with committing(commit, group, pool) as first:
        others = submit_in_turn(group, pool, "b", "c", "d")
        commit.may_go.release(2)
        assert [future.result(SECONDS) for future in (first, *others)] == ["A", "B", "C", "D"]
    assert commit.groups == [["a"], ["b", "c", "d"]]


def test_a_group_takes_no_more_transfers_than_its_limit_and_never_splits_an_order(commit, group, pool):
    with committing(commit, group, pool):
        others = submit_in_turn(group, pool, "bb", "cc")
        commit.may_go.release(3)
        assert [future.result(SECONDS) for future in others] == ["BB", "CC"]
    assert commit.groups == [["a"], ["bb"], ["cc"]]


def test_an_order_larger_than_the_limit_is_committed_by_itself(commit, group):
    commit.may_go.release()
    assert group.submit("abcdefgh", timeout_seconds=SECONDS) == "ABCDEFGH"


def test_a_full_queue_refuses_at_once(commit, group, pool):
    with committing(commit, group, pool):
        submit_in_turn(group, pool, "bb", "cc")
        with pytest.raises(TooBusy):
            group.submit("d", timeout_seconds=SECONDS)
        commit.may_go.release(3)


def test_one_that_waits_too_long_leaves_the_queue_and_is_never_committed(commit, group, pool):
    with committing(commit, group, pool) as first:
        with pytest.raises(TooBusy):
            group.submit("b", timeout_seconds=0.01)
        commit.may_go.release()
        assert first.result(SECONDS) == "A"
    commit.may_go.release()
    assert group.submit("c", timeout_seconds=SECONDS) == "C"
    assert commit.groups == [["a"], ["c"]]


def test_who_leads_after_waiting_commits_in_what_is_left_of_its_own_time(commit, group, pool):
    with committing(commit, group, pool):
        before = time.monotonic()
        (second,) = submit_in_turn(group, pool, "b")
        queued = time.monotonic()
        commit.may_go.release(2)
        assert second.result(SECONDS) == "B"
    assert before + SECONDS * COMMIT_SHARE <= commit.deadlines[1] <= queued + SECONDS * COMMIT_SHARE


def test_one_whose_commit_does_not_answer_is_told_that_nobody_knows(commit, group, pool):
    with committing(commit, group, pool):
        leads = submit_in_turn(group, pool, "b", "c")[0]
        (follows,) = submit_in_turn(group, pool, "d", seconds=2)
        commit.may_go.release()
        assert commit.entered.acquire(timeout=SECONDS)  # the second group runs, "d" in it
        with pytest.raises(Overdue):
            follows.result(SECONDS)
        commit.may_go.release()
        assert leads.result(SECONDS) == "B"


def test_an_error_of_the_commit_reaches_all_of_its_group_and_the_lead_goes_on(commit, group, pool):
    commit.fails_with = LookupError
    with committing(commit, group, pool) as first:
        others = submit_in_turn(group, pool, "b", "c")
        commit.may_go.release(2)
        for future in (first, *others):
            with pytest.raises(LookupError):
                future.result(SECONDS)
    commit.fails_with = None
    commit.may_go.release()
    assert group.submit("d", timeout_seconds=SECONDS) == "D"


def test_a_leader_that_is_told_to_end_does_not_end_those_who_follow(commit, group, pool):
    with committing(commit, group, pool):
        commit.fails_with = SystemExit
        leads, follows = submit_in_turn(group, pool, "b", "c")
        commit.may_go.release(2)
        with pytest.raises(SystemExit):
            leads.result(SECONDS)
        with pytest.raises(Overdue):
            follows.result(SECONDS)


def test_many_threads_all_get_their_own_answer(group, commit, pool):
    commit.may_go.release(10_000)
    big = GroupCommit(commit, group_limit=50, queue_limit=10_000)
    names = [f"order-{n}" for n in range(500)]
    assert list(pool.map(lambda name: big.submit(name, timeout_seconds=SECONDS), names)) == [n.upper() for n in names]
    assert sorted(order for orders in commit.groups for order in orders) == sorted(names)


def test_a_turn_that_fails_is_told_to_the_one_who_asked_and_stops_nobody_else(commit):
    class BrokenOnce:
        broken = True

        def __enter__(self):
            if self.broken:
                self.broken = False
                raise OSError("no turn")

        def __exit__(self, *error):
            pass

    group = GroupCommit(commit, group_limit=3, queue_limit=4, turn=BrokenOnce())
    with pytest.raises(OSError, match="no turn"):
        group.submit("a", timeout_seconds=SECONDS)
    commit.may_go.release()
    assert group.submit("b", timeout_seconds=SECONDS) == "B"
    assert commit.groups == [["b"]]
