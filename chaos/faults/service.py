"""The processes of the service, and what they lean on: web servers, workers, mail and Redis."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import redis

from chaos.cluster import Cluster
from chaos.faults.kinds import Bite, Chance, fault
from chaos.processes import NotInTime, Worker, wait_until

OUTLASTS_TIME_OUTS = 6  # the workers' of Redis is 5 s, all others are shorter

# --- Web -------------------------------------------------------------------------------------------------------------


@fault("web")
def web_process_killed(cluster: Cluster, chance: Chance) -> Iterator[Bite]:
    """Its parent starts another."""
    web = chance.choice(cluster.webs)
    web.is_struck = True
    children = web.children()
    for child in children:
        os.kill(child, signal.SIGKILL)
    yield lambda: children


@fault("web")
def web_server_killed(cluster: Cluster, chance: Chance) -> Iterator[Bite]:
    web = chance.choice(cluster.webs)
    web.is_struck = True
    web.kill()
    yield None
    web.start()


@fault("web")
def web_server_told_to_end(cluster: Cluster, chance: Chance) -> Iterator[Bite]:
    """SIGTERM under load, and once it has ended a new one in its place."""
    web = chance.choice(cluster.webs)
    web.is_struck = True
    web.process.terminate()
    with suppress(subprocess.TimeoutExpired):
        web.process.wait(20)
    web.kill()
    yield None
    web.start()


# --- Workers and mail ------------------------------------------------------------------------------------------------


@contextmanager
def _caught_sending(cluster: Cluster, mode: str) -> Iterator[bool]:
    """A worker waits for the mail server's answer; or none does, when nothing is to be sent for a while."""
    cluster.mail.be(mode)
    with suppress(NotInTime):
        wait_until(cluster.mail.was_met, seconds=10, what="a worker that sends")
    try:
        yield cluster.mail.was_met()
    finally:
        cluster.mail.be("accept")


def _kill_children(workers: list[Worker]) -> None:
    for child in (child for worker in workers for child in worker.children()):
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)


of_senders = fault("mail", strikes_senders=True)


@of_senders
def celery_child_killed_before_sending(cluster: Cluster, chance: Chance) -> Iterator[Bite]:
    with _caught_sending(cluster, "hold") as is_caught:
        _kill_children(cluster.workers)
    yield lambda: is_caught


@of_senders
def celery_child_killed_after_sending(cluster: Cluster, chance: Chance) -> Iterator[Bite]:
    with _caught_sending(cluster, "hold-after") as is_caught:
        _kill_children(cluster.workers)
    yield lambda: is_caught


@of_senders
def celery_parent_killed_before_sending(cluster: Cluster, chance: Chance) -> Iterator[Bite]:
    yield from _parents_killed(cluster, "hold")


@of_senders
def celery_parent_killed_after_sending(cluster: Cluster, chance: Chance) -> Iterator[Bite]:
    yield from _parents_killed(cluster, "hold-after")


def _parents_killed(cluster: Cluster, mode: str) -> Iterator[Bite]:
    with _caught_sending(cluster, mode) as is_caught:
        for worker in cluster.workers:
            with suppress(ProcessLookupError):
                os.kill(worker.process.pid, signal.SIGKILL)
            worker.process.wait()
    yield lambda: is_caught
    for worker in cluster.workers:
        with suppress(ProcessLookupError):  # its child, if that outlived it
            os.killpg(worker.process.pid, signal.SIGKILL)
        worker.start()


@fault("mail")
def beat_killed(cluster: Cluster, chance: Chance) -> Iterator[Bite]:
    cluster.beat.kill()
    yield None
    cluster.beat.start()


@of_senders
def mail_server_down(cluster: Cluster, chance: Chance) -> Iterator[Bite]:
    cluster.mail.kill()
    yield None
    cluster.mail.start()


@fault("mail")
def mail_server_slow(cluster: Cluster, chance: Chance) -> Iterator[Bite]:
    yield from _mail_server_is(cluster, "slow")


@fault("mail")
def mail_server_refuses(cluster: Cluster, chance: Chance) -> Iterator[Bite]:
    yield from _mail_server_is(cluster, "refuse")


def _mail_server_is(cluster: Cluster, mode: str) -> Iterator[Bite]:
    """In `mode`, and a worker has met with that."""
    was_met = False
    cluster.mail.be(mode)
    yield lambda: was_met
    was_met = cluster.mail.was_met()
    cluster.mail.be("accept")


# --- Redis -----------------------------------------------------------------------------------------------------------


@fault("redis", least_seconds=OUTLASTS_TIME_OUTS)
def redis_stopped(cluster: Cluster, chance: Chance) -> Iterator[Bite]:
    cluster.redis.pause()
    yield None
    cluster.redis.go_on()


@fault("redis")
def redis_killed(cluster: Cluster, chance: Chance) -> Iterator[Bite]:
    cluster.redis.kill()
    yield None
    cluster.redis.start()


@fault("redis")
def redis_flushed(cluster: Cluster, chance: Chance) -> Iterator[Bite]:
    with redis.Redis.from_url(cluster.redis.url) as client:
        client.flushall()
    yield None


@fault("redis")
def redis_full(cluster: Cluster, chance: Chance) -> Iterator[Bite]:
    """It refuses every write."""
    with redis.Redis.from_url(cluster.redis.url) as client:
        client.config_set("maxmemory", 1)
        is_full = _refuses_to_write(client)
        yield lambda: is_full
        client.config_set("maxmemory", 0)


def _refuses_to_write(client: redis.Redis) -> bool:
    try:
        client.set("chaos", "")
    except redis.ResponseError:
        return True
    return False
