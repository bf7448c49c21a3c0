"""Buckets of permits: the same rules in Redis and in memory."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from uuid import uuid4

import pytest
from django.conf import settings

from ledger_project import buckets
from ledger_project.buckets import Charge, MemoryBuckets, Policy, RedisBuckets
from ledger_project.quick_redis import QuickRedis
from users.tests.waiting import wait_until

HOURLY = Policy("hourly", 5, 3600)
OTHER = Policy("other", 3, 3600)
LEASED = Policy("leased", 6000, 60)


class Hoarded(Policy):
    """Slow to fill up, and leased from all the same."""

    lease = 10


def in_redis() -> RedisBuckets:
    return RedisBuckets(QuickRedis(settings.REDIS_URL, timeout_seconds=5))


@pytest.fixture(params=[in_redis, MemoryBuckets], ids=["redis", "memory"])
def store(request):
    return request.param()


@pytest.fixture
def someone():
    return uuid4().hex


def taken(store, *charges) -> bool:
    return not any(standing.wait for standing in store.take(charges))


def test_a_bucket_gives_what_it_holds_and_then_says_how_long_to_wait(store, someone):
    lefts = [store.take([Charge(HOURLY, someone)])[0].left for _ in range(5)]
    (refused,) = store.take([Charge(HOURLY, someone)])

    assert lefts == [4, 3, 2, 1, 0]
    assert 700 < refused.wait <= 720
    assert 3500 < refused.full_in <= 3600


def test_what_is_refused_costs_nothing(store, someone):
    assert taken(store, Charge(HOURLY, someone, 4))
    assert not taken(store, Charge(HOURLY, someone, 2))
    assert taken(store, Charge(HOURLY, someone, 1))


def test_all_buckets_pay_or_none(store, someone):
    assert taken(store, Charge(OTHER, someone, 3))
    assert not taken(store, Charge(HOURLY, someone, 5), Charge(OTHER, someone))
    assert taken(store, Charge(HOURLY, someone, 5))


def test_buckets_of_others_and_of_other_policies_are_full(store, someone):
    assert taken(store, Charge(HOURLY, someone, 5))
    assert taken(store, Charge(HOURLY, "another" + someone, 5), Charge(OTHER, someone, 3))


def test_permits_can_be_given_back_and_never_more_than_there_were(store, someone):
    assert taken(store, Charge(HOURLY, someone, 5))
    assert taken(store, Charge(HOURLY, someone, -2))
    assert taken(store, Charge(HOURLY, someone, 2))
    assert taken(store, Charge(HOURLY, someone, -500))
    assert store.take([Charge(HOURLY, someone, 5)])[0].left == 0
    assert not taken(store, Charge(HOURLY, someone))


def test_permits_come_back_in_time(store, someone):
    quick = Policy("quick", 1, 1)
    assert taken(store, Charge(quick, someone))
    wait_until(lambda: taken(store, Charge(quick, someone)))


@pytest.mark.parametrize("make", [in_redis, MemoryBuckets])
def test_many_at_once_get_no_more_than_there_is(make, someone):
    """In Redis each thread is a process with a connection of its own; in memory they share the one."""
    shared = make()
    stores = [shared if make is MemoryBuckets else make() for _ in range(8)]
    barrier = Barrier(8)

    def ask(store) -> int:
        barrier.wait()
        return sum(taken(store, Charge(HOURLY, someone)) for _ in range(3))

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(ask, stores)) == 5


def test_a_generous_bucket_is_leased_from_and_asked_seldom(someone, monkeypatch):
    store, asked = in_redis(), []
    ask = RedisBuckets._ask
    monkeypatch.setattr(RedisBuckets, "_ask", lambda self, charges: asked.append(charges) or ask(self, charges))
    lefts = [store.take([Charge(LEASED, someone)])[0].left for _ in range(10)]
    assert len(asked) == 1
    assert lefts == [*range(5999, 5989, -1)]


def test_two_processes_lease_no_more_than_the_bucket_holds(someone):
    charge, processes = Charge(Hoarded("hoarded", 25, 3600), someone), (in_redis(), in_redis())
    assert sum(taken(store, charge) for _ in range(20) for store in processes) == 25


def test_a_lease_is_void_after_its_time(someone, monkeypatch):
    store = in_redis()
    assert taken(store, Charge(LEASED, someone))
    monkeypatch.setattr(buckets, "LEASE_SECONDS", -1.0)
    store._leases.put(Charge(LEASED, someone), 1, store.take([Charge(LEASED, someone)])[0])
    assert store._leases.take(Charge(LEASED, someone)) is None


def test_a_full_bucket_is_no_key(someone):
    store, client = in_redis(), QuickRedis(settings.REDIS_URL, timeout_seconds=5)._client
    charge = Charge(HOURLY, someone)
    store.take([charge])
    assert 0 < client.pttl(charge.key) <= 720_000
    store.take([charge._replace(cost=-1)])
    assert not client.exists(charge.key)


def test_a_process_that_holds_all_it_can_is_a_closed_door(someone, monkeypatch):
    monkeypatch.setattr(buckets, "MOST_IN_MEMORY", 2)
    store = MemoryBuckets()
    assert taken(store, Charge(HOURLY, "a"))
    assert taken(store, Charge(HOURLY, "b"))
    assert not taken(store, Charge(HOURLY, "c"))
    assert taken(store, Charge(HOURLY, "a"))
    assert taken(store, Charge(HOURLY, "b", -1))
    assert taken(store, Charge(HOURLY, "c"))
