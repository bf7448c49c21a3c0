"""Group commit: requests that arrive while a commit is running share the next one.

    group = GroupCommit(commit)      # commit: orders and their deadline in, as many results out
    result = group.submit(order, timeout_seconds=7)

A commit costs the same round trips and the same journal flush whether it carries one transfer or a hundred. So the
first request that finds nobody committing leads: it takes everything that waits, its own order with it, and commits
that as one. When it is done it hands the lead to the first of those that came meanwhile and goes home with its own
result. There is no thread of its own here: a client that is alone pays no hand-over.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Generic, Protocol, TypeVar

from transactions.refusals import Overdue, TooBusy


class Sized(Protocol):
    """An order says how many transfers it carries."""

    def __len__(self) -> int: ...


# Of its time, an order may wait in the queue until the first share of it is over. By the end of the second its group is
# committed or has failed; what is left is for ending what hangs, and for looking up what became of it.
QUEUE_SHARE, COMMIT_SHARE = 0.65, 0.8

O = TypeVar("O", bound=Sized)  # noqa: E741
R = TypeVar("R")


class _Ticket(Generic[O, R]):
    """One request in the queue. Woken either with its result, or with none: then it is to lead."""

    __slots__ = ("_sleep", "error", "is_woken", "order", "result")

    def __init__(self, order: O) -> None:
        self.order = order
        self.result: R | None = None
        self.error: Exception | None = None
        self.is_woken = False
        self._sleep = threading.Lock()  # held until it is woken; an Event costs ten times as much
        self._sleep.acquire()

    def wait(self, until: float) -> bool:
        """Sleep until woken; False when that takes too long."""
        return self._sleep.acquire(timeout=max(until - time.monotonic(), 0))

    def wake(self) -> None:
        """Let the request go on; again is as good as once."""
        if not self.is_woken:
            self.is_woken = True
            self._sleep.release()

    @property
    def is_settled(self) -> bool:
        return self.result is not None or self.error is not None

    def take(self) -> R:
        """The result, or the error of the commit."""
        if self.error is not None:
            raise self.error
        assert self.result is not None
        return self.result


class GroupCommit(Generic[O, R]):
    """Collects orders from many threads and commits them in groups, one group at a time.

    `commit` gets the orders of a group in the order they came, and the time by which the first of them must be
    committed, and returns one result each. At most `group_limit` transfers go into a group (an order is never split),
    and at most `queue_limit` wait. A group is taken and committed inside `turn`.
    """

    def __init__(
        self,
        commit: Callable[[Sequence[O], float], Sequence[R]],
        *,
        group_limit: int,
        queue_limit: int,
        turn: AbstractContextManager[None] | None = None,
    ) -> None:
        self._commit = commit
        self._turn = turn or nullcontext()
        self._group_limit = group_limit
        self._queue_limit = queue_limit
        self._lock = threading.Lock()
        self._waiting: deque[_Ticket[O, R]] = deque()
        self._size = 0  # transfers that wait
        self._someone_leads = False

    def submit(self, order: O, *, timeout_seconds: float) -> R:
        """Commit `order`, together with what else waits, and return its result.

        Raises TooBusy at once when the queue is full, and when the order has waited in it for too long: in both cases
        it will not be committed. Raises Overdue when it is being committed but the answer does not come in time: then
        only the database knows.
        """
        began = time.monotonic()
        ticket: _Ticket[O, R] = _Ticket(order)
        if not self._enter(ticket):
            self._wait(ticket, began + timeout_seconds * QUEUE_SHARE, began + timeout_seconds)
        if not ticket.is_settled:
            self._lead(ticket, began + timeout_seconds * COMMIT_SHARE)
        return ticket.take()

    def _enter(self, ticket: _Ticket[O, R]) -> bool:
        """Join the queue; True when nobody leads, so that the ticket has to."""
        with self._lock:
            if self._waiting and self._size + len(ticket.order) > self._queue_limit:
                raise TooBusy
            self._waiting.append(ticket)
            self._size += len(ticket.order)
            leads, self._someone_leads = not self._someone_leads, True
            return leads

    def _wait(self, ticket: _Ticket[O, R], patience: float, end: float) -> None:
        """Until woken, with a result or with the lead; in the queue until `patience`, for a result until `end`.

        Both are times on the monotonic clock. Whoever leads the group came first, so it has an answer before `end`.
        """
        if ticket.wait(patience):
            return
        with self._lock:
            if ticket in self._waiting and not ticket.is_woken:
                self._withdraw(ticket)
                raise TooBusy
        if not ticket.wait(end):
            raise Overdue

    def _lead(self, own: _Ticket[O, R], deadline: float) -> None:
        """Commit one group, `own` at its head, until `deadline`, and hand the lead on, whatever happens."""
        group: list[_Ticket[O, R]] = []
        try:
            with self._turn:  # while it waits for its turn, the group grows
                group = self._take_group()
                results = self._commit([ticket.order for ticket in group], deadline)
            for ticket, result in zip(group, results, strict=True):
                ticket.result = result
        except BaseException as error:
            told = error if isinstance(error, Exception) else Overdue()  # this thread is to end, the others are not
            for ticket in group or self._alone(own):
                ticket.error = told
            if told is not error:
                raise
        finally:
            self._hand_on(group)

    def _alone(self, ticket: _Ticket[O, R]) -> list[_Ticket[O, R]]:
        """A group of the one ticket, whose turn never came."""
        with self._lock:
            self._withdraw(ticket)
        return [ticket]

    def _withdraw(self, ticket: _Ticket[O, R]) -> None:
        """Out of the queue, with the lock held."""
        self._waiting.remove(ticket)
        self._size -= len(ticket.order)

    def _take_group(self) -> list[_Ticket[O, R]]:
        """The tickets at the head of the queue, as many as fit; at least one."""
        with self._lock:
            group = [self._waiting.popleft()]
            size = len(group[0].order)
            while self._waiting and size + len(self._waiting[0].order) <= self._group_limit:
                group.append(self._waiting.popleft())
                size += len(group[-1].order)
            self._size -= size
            return group

    def _hand_on(self, group: list[_Ticket[O, R]]) -> None:
        """Wake those that are served, and whoever is first in the queue, to lead."""
        with self._lock:
            if self._waiting:
                self._waiting[0].wake()
            else:
                self._someone_leads = False
        for ticket in group:
            ticket.wake()
