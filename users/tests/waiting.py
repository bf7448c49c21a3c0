"""Waiting for a condition, in the tests that have other processes or threads to wait for."""

import time
from collections.abc import Callable


def wait_until(condition: Callable[[], object], *, seconds: float = 15) -> None:
    """Return as soon as `condition()` holds; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s in vain"
        time.sleep(0.02)
