"""/healthz says that the process lives, /readyz what it can reach."""

import time
from collections.abc import Callable
from threading import Lock

import pymongo
from django.core.cache import cache
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpResponse
from pymongo.errors import PyMongoError
from rest_framework.request import Request

from ledger_project import jsonio
from ledger_project.mongo import is_writable_primary
from ledger_project.public import PublicPage
from ledger_project.tasks import seconds_since_round_trip
from transactions import continuous_audit
from transactions.verification import unfinished_import

ANSWER_SECONDS = 4  # probes do not wait longer for a MongoDB that is away
FRESH_SECONDS = 1.0  # so long an answer is good for everybody who asks this process
STALE_SECONDS = 10.0  # so long it is good while another one is being looked for
WORKER_SILENCE_SECONDS = 60  # a few canaries, and a turn or two of e-mail before them


class Liveness(PublicPage):
    """/healthz."""

    def get(self, request: Request) -> HttpResponse:
        """The process answers. Touches nothing else."""
        return _json({"status": "ok"}, 200)


class Readiness(PublicPage):
    """/readyz."""

    def get(self, request: Request) -> HttpResponse:
        """The state of each part, and what follows from it."""
        return _json(*latest.answer())


class Latest:
    """What `readiness` said last. Anybody may ask, as often as they like: that costs a look a second and one thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._found: tuple[dict, int] = {}, 503
        self._at = float("-inf")  # on the monotonic clock

    def answer(self) -> tuple[dict, int]:
        """An answer of the last second, or a new one; while one request looks for that, the last is told to others."""
        age = time.monotonic() - self._at
        if age < FRESH_SECONDS or not self._lock.acquire(blocking=age > STALE_SECONDS):
            return self._found
        try:
            if time.monotonic() - self._at >= FRESH_SECONDS:  # nobody was before us while we waited
                with pymongo.timeout(ANSWER_SECONDS):
                    self._found = readiness()
                self._at = time.monotonic()
            return self._found
        finally:
            self._lock.release()


latest = Latest()


def readiness() -> tuple[dict, int]:
    """Each part's state; 503 when money cannot move: MongoDB has no writable primary, or migrations are missing.

    Redis and workers may be lost without harm to the money (e-mail waits in the outbox): then "degraded", still 200. So
    is a ledger of which the continuous audit has findings: their accounts are frozen, the others go on.
    `lastRoundTripSeconds` is how long ago beat sent the newest canary that a worker ran.
    """
    needed = {"mongodb": _state(_mongodb), "migrations": _state(_migrations)}
    silence = _silence()
    helpful = {"redis": _state(_redis), "workers": _workers(silence), "ledger": _state(continuous_audit.health)}
    if any(state != "ok" for state in needed.values()):
        status = "unavailable"
    else:
        status = "ok" if all(state == "ok" for state in helpful.values()) else "degraded"
    body = {"status": status, "checks": needed | helpful, "lastRoundTripSeconds": silence}
    return body, 503 if status == "unavailable" else 200


def _state(check: Callable[[], str]) -> str:
    try:
        return check()
    except Exception as error:  # noqa: BLE001  (a health check reports every failure as a state, by its name only)
        return f"down: {type(error).__name__}"


def _mongodb() -> str:
    return "ok" if is_writable_primary() else "down: no writable primary"


def _migrations() -> str:
    if unfinished_import():
        return "down: an import is not finished"
    return "ok" if _all_applied() else "down: not applied"


def _all_applied() -> bool:
    executor = MigrationExecutor(connection)
    return not executor.migration_plan(executor.loader.graph.leaf_nodes())


def _redis() -> str:
    cache.get("readyz")
    return "ok"


def _silence() -> float | None:
    try:
        return seconds_since_round_trip()
    except PyMongoError:  # which the check of MongoDB reports
        return None


def _workers(silence: float | None) -> str:
    if silence is None:
        return "down: none seen"
    return "ok" if silence < WORKER_SILENCE_SECONDS else f"down: silent for {silence:.0f} s"


def _json(body: dict, status: int) -> HttpResponse:
    return HttpResponse(jsonio.dumps(body), status=status, content_type="application/json")
