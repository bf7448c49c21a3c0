"""The processes of the service, and what they lean on: web servers, workers, mail and Redis."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import redis

from chaos.cluster import Cluster
from chaos.faults.kinds import Chance, fault
from chaos.processes import NotInTime, Worker, wait_until

# --- Web -------------------------------------------------------------------------------------------------------------


@fault("web")
def web_process_killed(cluster: Cluster, chance: Chance) -> Iterator[None]:
    """Its parent starts another."""
    for child in chance.choice(cluster.webs).children():
        os.kill(child, signal.SIGKILL)
    yield


@fault("web")
def web_server_killed(cluster: Cluster, chance: Chance) -> Iterator[None]:
    web = chance.choice(cluster.webs)
    web.kill()
    yield
    web.start()


@fault("web")
def web_server_told_to_end(cluster: Cluster, chance: Chance) -> Iterator[None]:
    """SIGTERM under load, and a new one in its place."""
    web = chance.choice(cluster.webs)
    web.process.terminate()
    yield
    with suppress(subprocess.TimeoutExpired):
        web.process.wait(20)
    web.kill()
    web.start()


# --- Workers and mail ------------------------------------------------------------------------------------------------


@contextmanager
def _caught_sending(cluster: Cluster, mode: str) -> Iterator[None]:
    """A worker waits for the mail server's answer; as it is when nothing is to be sent for a while."""
    cluster.mail.be(mode)
    with suppress(NotInTime):
        wait_until(cluster.mail.keeps_waiting, seconds=10, what="a worker that sends")
    try:
        yield
    finally:
        cluster.mail.be("accept")


def _kill_children(workers: list[Worker]) -> None:
    for child in (child for worker in workers for child in worker.children()):
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)


@fault("mail")
def celery_child_killed_before_sending(cluster: Cluster, chance: Chance) -> Iterator[None]:
    with _caught_sending(cluster, "hold"):
        _kill_children(cluster.workers)
    yield


@fault("mail")
def celery_child_killed_after_sending(cluster: Cluster, chance: Chance) -> Iterator[None]:
    with _caught_sending(cluster, "hold-after"):
        _kill_children(cluster.workers)
    yield


@fault("mail")
def celery_parent_killed_before_sending(cluster: Cluster, chance: Chance) -> Iterator[None]:
    yield from _parents_killed(cluster, "hold")


@fault("mail")
def celery_parent_killed_after_sending(cluster: Cluster, chance: Chance) -> Iterator[None]:
    yield from _parents_killed(cluster, "hold-after")


def _parents_killed(cluster: Cluster, mode: str) -> Iterator[None]:
    with _caught_sending(cluster, mode):
        for worker in cluster.workers:
            os.kill(worker.process.pid, signal.SIGKILL)
            worker.process.wait()
    yield
    for worker in cluster.workers:
        with suppress(ProcessLookupError):  # its child, if that outlived it
            os.killpg(worker.process.pid, signal.SIGKILL)
        worker.start()


@fault("mail")
def beat_killed(cluster: Cluster, chance: Chance) -> Iterator[None]:
    cluster.beat.kill()
    yield
    cluster.beat.start()


@fault("mail")
def mail_server_down(cluster: Cluster, chance: Chance) -> Iterator[None]:
    cluster.mail.kill()
    yield
    cluster.mail.start()


@fault("mail")
def mail_server_slow(cluster: Cluster, chance: Chance) -> Iterator[None]:
    cluster.mail.be("slow")
    yield
    cluster.mail.be("accept")


@fault("mail")
def mail_server_refuses(cluster: Cluster, chance: Chance) -> Iterator[None]:
    cluster.mail.be("refuse")
    yield
    cluster.mail.be("accept")


# --- Redis -----------------------------------------------------------------------------------------------------------


@fault("redis")
def redis_stopped(cluster: Cluster, chance: Chance) -> Iterator[None]:
    cluster.redis.pause()
    yield
    cluster.redis.go_on()


@fault("redis")
def redis_killed(cluster: Cluster, chance: Chance) -> Iterator[None]:
    cluster.redis.kill()
    yield
    cluster.redis.start()


@fault("redis")
def redis_flushed(cluster: Cluster, chance: Chance) -> Iterator[None]:
    with redis.Redis.from_url(cluster.redis.url) as client:
        client.flushall()
    yield


@fault("redis")
def redis_full(cluster: Cluster, chance: Chance) -> Iterator[None]:
    """It refuses every write."""
    with redis.Redis.from_url(cluster.redis.url) as client:
        client.config_set("maxmemory", 1)
        yield
        client.config_set("maxmemory", 0)
