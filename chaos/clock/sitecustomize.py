"""Imported by every Python that starts under libfaketime (see processes.py), granian's parent too.

Under libfaketime 0.9.10 Python's own way to sleep, clock_nanosleep until a monotonic moment, fails with EINVAL.
"""

import threading
import time


def _sleep(seconds: float) -> None:
    threading.Event().wait(seconds)


time.sleep = _sleep  # type: ignore[assignment]
