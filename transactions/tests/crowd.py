"""Many callers at the same time, and the engine's answers in a word each."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

from ledger_project.errors import LedgerError
from transactions import ledger
from transactions.ledger import Outcome
from users.tests.waiting import together, wait_until


def answer(call: Callable[[], Any]) -> Any:
    """What `call` returns, or the LedgerError that it raises."""
    try:
        return call()
    except LedgerError as error:
        return error


def word(result: Outcome | LedgerError) -> str:
    """`posted`, `replayed`, or the code of the error."""
    if isinstance(result, LedgerError):
        return result.code
    return "replayed" if result.replayed else "posted"


def at_once(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    """Run the callables in a thread each, let go together; their answers."""
    return together([partial(answer, call) for call in calls])


def in_one_group(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    """Run the callables, each of which posts one order, in a thread each, so that one commit carries them all."""
    with ThreadPoolExecutor(len(calls)) as pool, _the_lead_held(len(calls)):
        answers = [pool.submit(answer, call) for call in calls]
    return [each.result() for each in answers]


@contextmanager
def _the_lead_held(orders: int) -> Iterator[None]:
    """What is submitted inside queues, as behind a commit that is running, until `orders` wait."""
    group = ledger._group_commit
    with group._lock:
        assert not group._someone_leads
        group._someone_leads = True
    yield
    wait_until(lambda: len(group._waiting) == orders)
    group._hand_on([])
