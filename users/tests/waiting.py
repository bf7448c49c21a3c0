"""Threads in tests: let go together, and waiting for what other threads or processes do."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any


def together(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    """Run the callables in a thread each, let go at the same moment; what they return."""
    gate = Barrier(len(calls))

    def run(call: Callable[[], Any]) -> Any:
        gate.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


def wait_until(condition: Callable[[], Any], *, seconds: float = 60) -> Any:
    """Return as soon as `condition()` holds, what it is then; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited {seconds} s in vain"
        time.sleep(0.02)
    return found
