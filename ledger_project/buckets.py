"""Buckets of permits that fill up steadily (GCRA), in Redis for all processes together, in memory where Redis is away.

A bucket is one number: the time at which it will be full again. Taking permits moves that time on, if it does not get
further than the bucket is deep. A script does this in Redis, for all buckets of a request in one step, by Redis's own
clock: two requests at once cannot both take the last permit. A bucket that is full again is no key: nothing piles up.
"""

import math
import time
from collections.abc import Sequence
from threading import Lock
from typing import NamedTuple

from ledger_project.quick_redis import QuickRedis

LEASE_SECONDS = 10.0
MOST_LEASES = 50_000
MOST_IN_MEMORY = 10_000
MICROSECONDS = 1_000_000


class Policy(NamedTuple):
    """`quota` permits in `window` seconds: so many at once, and then one each `window / quota` seconds."""

    name: str
    quota: int
    window: int

    @property
    def interval_us(self) -> int:
        """How long one permit takes to come back, in microseconds."""
        return max(self.window * MICROSECONDS // self.quota, 1)

    @property
    def lease(self) -> int:
        """How many permits a process takes at once: what a tenth of a second brings back, so mostly one.

        A lease is void after ten seconds. So many processes may waste what they lease, and nobody has less for it.
        """
        return max(self.quota // (self.window * 10), 1)


class Charge(NamedTuple):
    """`cost` permits of the bucket that `subject` has under `policy`; a negative cost gives some back."""

    policy: Policy
    subject: str
    cost: int = 1

    @property
    def key(self) -> str:
        """The bucket's name."""
        return f"throttle:{self.policy.name}:{self.subject}"


class Standing(NamedTuple):
    """How a bucket stands: permits left, seconds until it is full, and until what was refused can be had."""

    policy: Policy
    left: int
    full_in: float
    wait: float = 0.0


# KEYS: the buckets. ARGV, four a bucket: microseconds a permit, quota, the permits that are needed, those that are
# wanted. All buckets have what is needed, or none is touched. Returns four a bucket: permits granted, permits left,
# microseconds until it is full, microseconds until what is needed will be there.
SCRIPT = """
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local refused, full, room, answer = false, {}, {}, {}
for i, key in ipairs(KEYS) do
  local interval, quota, need = tonumber(ARGV[4*i-3]), tonumber(ARGV[4*i-2]), tonumber(ARGV[4*i-1])
  full[i] = math.max(tonumber(redis.call('GET', key) or 0), now)
  room[i] = math.floor((now + quota * interval - full[i]) / interval)
  refused = refused or (need > 0 and need > room[i])
end
for i, key in ipairs(KEYS) do
  local interval, quota, need, want = unpack(ARGV, 4*i-3, 4*i)
  local granted, wait = 0, 0
  if not refused then
    granted = math.min(tonumber(want), math.max(room[i], tonumber(need)))
    full[i] = math.max(full[i] + granted * interval, now)
    if full[i] > now then
      redis.call('SET', key, string.format('%.0f', full[i]), 'PX', math.ceil((full[i] - now) / 1000))
    else
      redis.call('DEL', key)
    end
  else
    wait = math.max(full[i] + need * interval - now - quota * interval, 0)
  end
  for _, number in ipairs({granted, math.floor((now + quota * interval - full[i]) / interval), full[i] - now, wait}) do
    answer[#answer + 1] = number
  end
end
return answer
"""


class RedisBuckets:
    """The buckets of all processes together, and the permits that this one has leased from them."""

    def __init__(self, redis: QuickRedis) -> None:
        self._redis = redis
        self._script = redis.script(SCRIPT)
        self._leases = Leases()

    def take(self, charges: Sequence[Charge]) -> list[Standing]:
        """Take what `charges` ask for, and say how the buckets then stand. Raises RedisAway.

        A standing with a `wait` says that nothing was taken, but for what this process had leased before.
        """
        found = {charge: standing for charge in charges if (standing := self._leases.take(charge))}
        asked = [charge for charge in charges if charge not in found]
        if asked:
            found |= zip(asked, self._ask(asked), strict=True)
        return [found[charge] for charge in charges]

    def _ask(self, charges: Sequence[Charge]) -> list[Standing]:
        arguments: list[int] = []
        for policy, _, cost in charges:
            arguments += (policy.interval_us, policy.quota, cost, cost + policy.lease - 1)
        numbers = self._redis.run(self._script, [charge.key for charge in charges], arguments)
        standings = []
        for charge, (granted, left, full_in, wait) in zip(charges, zip(*[iter(numbers)] * 4, strict=True), strict=True):
            standing = Standing(charge.policy, left, full_in / MICROSECONDS, wait / MICROSECONDS)
            leased = max(granted - charge.cost, 0)
            self._leases.put(charge, leased, standing)
            standings.append(standing._replace(left=left + leased))
        return standings


class Leases:
    """Permits that this process has taken from buckets in Redis and not used yet."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._held: dict[str, tuple[int, float, Standing]] = {}

    def take(self, charge: Charge) -> Standing | None:
        """How the bucket stands, if `charge` was paid from a lease."""
        key = charge.key
        with self._lock:
            left, until, standing = self._held.get(key, (0, 0.0, None))
            if standing is None or not 0 < charge.cost <= left or time.monotonic() > until:
                return None
            self._held[key] = (left - charge.cost, until, standing)
        return standing._replace(left=standing.left + left - charge.cost)

    def put(self, charge: Charge, more: int, standing: Standing) -> None:
        """Keep `more` permits for ten seconds."""
        if not more:
            return
        with self._lock:
            if len(self._held) >= MOST_LEASES:
                self._held.clear()  # what is forgotten was paid for: nobody gets more than is theirs
            left, until, _ = self._held.get(charge.key, (0, 0.0, None))
            now = time.monotonic()
            self._held[charge.key] = (more + (left if now <= until else 0), now + LEASE_SECONDS, standing)


class MemoryBuckets:
    """The same buckets for this process alone. When it can hold no more of them, it refuses: a closed door."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._full_at: dict[str, float] = {}

    def take(self, charges: Sequence[Charge]) -> list[Standing]:
        """As RedisBuckets.take does."""
        now = time.monotonic()
        with self._lock:
            self._make_room(now)
            before = [max(self._full_at.get(charge.key, 0.0), now) for charge in charges]
            waits = [self._wait(charge, full_at - now) for charge, full_at in zip(charges, before, strict=True)]
            refused = any(waits)
            for charge, full_at in zip(charges, before, strict=True):
                if not refused:
                    self._full_at[charge.key] = max(full_at + charge.cost * _interval(charge), now)
            return [
                _standing(charge, self._full_at.get(charge.key, now) - now, wait)
                for charge, wait in zip(charges, waits, strict=True)
            ]

    def _make_room(self, now: float) -> None:
        if len(self._full_at) >= MOST_IN_MEMORY:
            self._full_at = {key: full_at for key, full_at in self._full_at.items() if full_at > now}

    def _wait(self, charge: Charge, full_in: float) -> float:
        if len(self._full_at) >= MOST_IN_MEMORY and charge.key not in self._full_at:
            return _interval(charge)
        depth = charge.policy.quota * _interval(charge)
        return max(full_in + charge.cost * _interval(charge) - depth, 0.0) if charge.cost > 0 else 0.0


def _interval(charge: Charge) -> float:
    return charge.policy.interval_us / MICROSECONDS


def _standing(charge: Charge, full_in: float, wait: float) -> Standing:
    full_in = max(full_in, 0.0)
    left = math.floor(charge.policy.quota - full_in / _interval(charge) + 1e-6)
    return Standing(charge.policy, left, full_in, wait)
