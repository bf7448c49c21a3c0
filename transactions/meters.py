"""How the engine fares: refusals by code, the sizes of groups, how long callers wait. For staff to look at.

A posting only counts in memory. A thread of its own adds the counts to the document of the hour now and then: every
process of every host adds to the same one. Counts of the last seconds are lost when a process is killed.
"""

import atexit
import logging
import os
import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable

import pymongo
from django.conf import settings
from django.utils import timezone
from pymongo.errors import PyMongoError

from ledger_project.errors import LedgerError
from ledger_project.mongo import database

logger = logging.getLogger(__name__)

COLLECTION = "engine_hours"
HOUR = "%Y-%m-%dT%H"
FLUSH_SECONDS = 3  # how long one flush may take
# A value is counted under the first bound that it does not exceed, the last one takes the rest.
MILLISECONDS = (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700, 1000, 2000, 5000, 10_000, 60_000)
SIZES = (1, 2, 3, 4, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700, 1000)


class Meters:
    """The counts of this process since its last flush."""

    def __init__(self) -> None:
        self.begin_anew()

    def begin_anew(self) -> None:
        """Forget everything; in a forked child, whose parent tells of what was counted and whose thread is gone."""
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._thread: threading.Thread | None = None
        self._asked = threading.Event()

    def answered(self, results: Iterable[object], seconds: float) -> None:
        """A caller has `results`, refusals among them, after `seconds`."""
        codes = [f"refusals.{result.code}" for result in results if isinstance(result, LedgerError)]
        with self._lock:
            self._counts["calls"] += 1
            self._counts[f"milliseconds.{_bound(seconds * 1000, MILLISECONDS)}"] += 1
            for code in codes:
                self._counts[code] += 1
        self._ask()

    def committed(self, size: int) -> None:
        """A group was committed, and `size` transfers in it."""
        with self._lock:
            self._counts["groups"] += 1
            self._counts["transfers"] += size
            self._counts[f"sizes.{_bound(size, SIZES)}"] += 1

    def flush(self) -> None:
        """Add the counts to the hour's document; what cannot be written in time waits for the next flush."""
        with self._lock:
            counts, self._counts = self._counts, Counter()
        if not counts:
            return
        try:
            with pymongo.timeout(FLUSH_SECONDS):
                database()[COLLECTION].update_one(
                    {"_id": timezone.now().strftime(HOUR)}, {"$inc": dict(counts)}, upsert=True
                )
        except PyMongoError as error:
            logger.warning("the engine's counts wait: %s", type(error).__name__)
            with self._lock:
                self._counts.update(counts)

    def _ask(self) -> None:
        if settings.METERS_FLUSH_SECONDS is None or self._asked.is_set():
            return
        self._asked.set()
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                atexit.register(self.flush)
                self._thread = threading.Thread(target=self._run, name="meters", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        pause = threading.Event()
        while True:
            self._asked.wait()
            pause.wait(settings.METERS_FLUSH_SECONDS)
            self._asked.clear()
            self.flush()


def _bound(value: float, bounds: tuple[int, ...]) -> int:
    return bounds[min(bisect_left(bounds, value), len(bounds) - 1)]


meters = Meters()
os.register_at_fork(after_in_child=meters.begin_anew)
