"""A Redis that is asked within a request: it answers in tens of milliseconds, or is left alone for some seconds."""

import logging
import time
from collections.abc import Sequence
from threading import Lock

from redis import ConnectionPool, Redis, RedisError
from redis.backoff import NoBackoff
from redis.commands.core import Script
from redis.retry import Retry

logger = logging.getLogger(__name__)

PAUSE_SECONDS = 5.0


class RedisAway(Exception):
    """Redis did not answer in time, or did not a moment ago."""


class QuickRedis:
    """Runs scripts on the Redis at `url`, each within `timeout_seconds`.

    After a failure nobody asks for five seconds; then one request tries, and the others go on without until it has an
    answer. So a Redis that hangs costs a process one time-out in five seconds, whatever its load.
    """

    def __init__(self, url: str, *, timeout_seconds: float) -> None:
        pool = ConnectionPool.from_url(
            url,
            socket_timeout=timeout_seconds,
            socket_connect_timeout=timeout_seconds,
            retry=Retry(NoBackoff(), 0),
        )
        self._client = Redis(connection_pool=pool)
        self._lock = Lock()
        self._away_until = 0.0  # on the monotonic clock; 0 while all is well

    def script(self, source: str) -> Script:
        """`source`, to be run by `run`; Redis keeps it, and is told it again after a restart."""
        return self._client.register_script(source)

    def run(self, script: Script, keys: Sequence[str], arguments: Sequence[int]) -> list[int]:
        """What the script returns. Raises RedisAway."""
        if self._away_until and not self._is_my_turn():
            raise RedisAway
        try:
            answer = script(keys=keys, args=arguments)
        except RedisError as error:
            self._away_until = time.monotonic() + PAUSE_SECONDS
            logger.error("Redis is left alone for %d s: %s", PAUSE_SECONDS, type(error).__name__)
            raise RedisAway from None
        self._away_until = 0.0
        return answer

    def _is_my_turn(self) -> bool:
        """Whether it is time to try again; only one of those who ask at once is told so."""
        with self._lock:
            now = time.monotonic()
            if now < self._away_until:
                return False
            self._away_until = now + PAUSE_SECONDS
            return True
