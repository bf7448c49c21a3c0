"""The faults: each a function that inflicts it, yields while it lasts, and heals it.

A fault strikes one part of the whole; two of the same part are never mixed.
"""

import os
import random
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import redis
from pymongo.errors import PyMongoError

from chaos.cluster import ELECTION_MS, Cluster, Member, NotInTime, Worker, wait_until

Chance = random.Random
Strike = Callable[[Cluster, Chance], Iterator[None]]
JUMP_SECONDS = 300
LEFT_BYTES = (2**16, 2**20, 2**24)  # one after the other, until it fits


@dataclass(frozen=True)
class Fault:
    """A kind of fault; `strike(cluster, chance)` is a block while which it lasts."""

    name: str
    part: str
    strike: Callable[[Cluster, Chance], AbstractContextManager[None]]
    needs: str = ""  # "root", "clock" or nothing

    @property
    def least_seconds(self) -> float:
        """For so long it lasts at least: a network that fails for less than an election takes has changed nothing."""
        return ELECTION_MS / 1000 + 1 if self.part == "network" else 0


FAULTS: dict[str, Fault] = {}


def fault(part: str, needs: str = "") -> Callable[[Strike], Strike]:
    """Enter a function into FAULTS, under its name in words."""

    def enter(strike: Strike) -> Strike:
        name = strike.__name__.replace("_", " ")
        FAULTS[name] = Fault(name, part, contextmanager(strike), needs)
        return strike

    return enter


# --- The database's processes ----------------------------------------------------------------------------------------


@contextmanager
def _killed(*members: Member) -> Iterator[None]:
    for member in members:
        member.kill()
    try:
        yield
    finally:
        _start_all(members)


def _start_all(members: tuple[Member, ...]) -> None:
    for member in members:
        member.start()


@contextmanager
def _paused(*members: Member) -> Iterator[None]:
    for member in members:
        member.pause()
    try:
        yield
    finally:
        for member in members:
            member.go_on()


@fault("mongod")
def primary_killed(cluster: Cluster, chance: Chance) -> Iterator[None]:
    with _killed(cluster.primary()):
        yield


@fault("mongod")
def secondary_killed(cluster: Cluster, chance: Chance) -> Iterator[None]:
    with _killed(chance.choice(cluster.secondaries())):
        yield


@fault("mongod")
def all_mongod_killed(cluster: Cluster, chance: Chance) -> Iterator[None]:
    with _killed(*cluster.members):
        yield


@fault("mongod")
def primary_stopped(cluster: Cluster, chance: Chance) -> Iterator[None]:
    with _paused(cluster.primary()):
        yield


@fault("mongod")
def secondary_stopped(cluster: Cluster, chance: Chance) -> Iterator[None]:
    with _paused(chance.choice(cluster.secondaries())):
        yield


@fault("mongod")
def all_mongod_stopped(cluster: Cluster, chance: Chance) -> Iterator[None]:
    with _paused(*cluster.members):
        yield


@fault("mongod")
def primary_stepped_down(cluster: Cluster, chance: Chance) -> Iterator[None]:
    _step_down(cluster.primary())
    yield


def _step_down(member: Member) -> None:
    with member.client() as client, suppress(PyMongoError):  # it may have stepped down by itself
        client.admin.command("replSetStepDown", 5, secondaryCatchUpPeriodSecs=1, force=True)


# --- The worst moments: amid a commit --------------------------------------------------------------------------------


@contextmanager
def _caught_amid(cluster: Cluster, name: str, **data: Any) -> Iterator[Member]:
    """The primary, in the very moment that the fail point says; as it is if nobody commits just then."""
    primary = cluster.primary()
    with ExitStack() as stack:
        with suppress(PyMongoError):
            entered = stack.enter_context(cluster.fail_point(primary, name, **data))
            entered()
        yield primary


def _before_commit(cluster: Cluster) -> AbstractContextManager[Member]:
    """Clients have sent commitTransaction, and the primary has not begun to carry it out."""
    blocked = {"failCommands": ["commitTransaction"], "blockConnection": True, "blockTimeMS": 8000}
    return _caught_amid(cluster, "failCommand", **blocked, appName="ledger")


def _after_commit(cluster: Cluster) -> AbstractContextManager[Member]:
    """It has committed by itself, and neither waited for a majority nor answered."""
    return _caught_amid(cluster, "hangBeforeWaitingForWriteConcern")


@fault("mongod")
def primary_killed_before_a_commit(cluster: Cluster, chance: Chance) -> Iterator[None]:
    with _before_commit(cluster) as primary, _killed(primary):
        yield


@fault("mongod")
def primary_killed_after_a_commit(cluster: Cluster, chance: Chance) -> Iterator[None]:
    with _after_commit(cluster) as primary, _killed(primary):
        yield


@fault("mongod")
def primary_stepped_down_before_a_commit(cluster: Cluster, chance: Chance) -> Iterator[None]:
    with _before_commit(cluster) as primary:
        _step_down(primary)
    yield


@fault("network", needs="root")
def primary_partitioned_after_a_commit(cluster: Cluster, chance: Chance) -> Iterator[None]:
    with _after_commit(cluster) as primary:
        _cut(cluster, _between([primary], _others(cluster, primary)))
    yield
    cluster.network.rules()


# --- The network -----------------------------------------------------------------------------------------------------

Rule = tuple[str, str, float, float]


def _others(cluster: Cluster, member: Member) -> list[Member]:
    return [other for other in cluster.members if other is not member]


def _between(some: list[Member], others: list[Member]) -> list[Rule]:
    """Nothing passes between these, either way."""
    pairs = [(one.host, other.host) for one in some for other in others]
    return [rule for one, other in pairs for rule in ((one, other, 1, 0), (other, one, 1, 0))]


def _cut(cluster: Cluster, rules: list[Rule]) -> None:
    cluster.network.rules(*rules)


@fault("network", needs="root")
def primary_cut_off_from_the_others(cluster: Cluster, chance: Chance) -> Iterator[None]:
    """Its clients still reach it: it does not know yet that it is no primary any more."""
    primary = cluster.primary()
    _cut(cluster, _between([primary], _others(cluster, primary)))
    yield
    cluster.network.rules()


@fault("network", needs="root")
def primary_cut_off_from_all(cluster: Cluster, chance: Chance) -> Iterator[None]:
    host = cluster.primary().host
    _cut(cluster, [(host, "*", 1, 0), ("*", host, 1, 0)])
    yield
    cluster.network.rules()


@fault("network", needs="root")
def primary_heard_by_nobody(cluster: Cluster, chance: Chance) -> Iterator[None]:
    """One way: it hears all."""
    _cut(cluster, [(cluster.primary().host, "*", 1, 0)])
    yield
    cluster.network.rules()


@fault("network", needs="root")
def primary_hears_nobody(cluster: Cluster, chance: Chance) -> Iterator[None]:
    """The other way."""
    _cut(cluster, [("*", cluster.primary().host, 1, 0)])
    yield
    cluster.network.rules()


@fault("network", needs="root")
def majority_cut_off(cluster: Cluster, chance: Chance) -> Iterator[None]:
    """Two of three are alone with themselves each: nobody can commit."""
    _cut(cluster, [rule for host in cluster.secondaries() for rule in ((host.host, "*", 1, 0), ("*", host.host, 1, 0))])
    yield
    cluster.network.rules()


@fault("network", needs="root")
def packets_delayed(cluster: Cluster, chance: Chance) -> Iterator[None]:
    cluster.network.rules(("*", "*", 0, chance.choice([10, 30, 80])))
    yield
    cluster.network.rules()


@fault("network", needs="root")
def packets_lost(cluster: Cluster, chance: Chance) -> Iterator[None]:
    cluster.network.rules(("*", "*", chance.choice([0.02, 0.05, 0.1]), 0))
    yield
    cluster.network.rules()


# --- Disks and clocks ------------------------------------------------------------------------------------------------


@contextmanager
def _full(member: Member) -> Iterator[None]:
    """No byte left on its disk: mongod gives up when it cannot write. Then there is room again, and it starts."""
    ballast = member.directory / "ballast"
    with ballast.open("wb") as file:
        for left in LEFT_BYTES:
            disk = os.statvfs(member.directory)
            with suppress(OSError):  # mongod was faster
                os.posix_fallocate(file.fileno(), 0, disk.f_bavail * disk.f_frsize - left)
                break
    try:
        yield
    finally:
        ballast.unlink()
        with suppress(NotInTime):  # it ends, or it has not noticed
            wait_until(lambda: member.process.poll() is not None, seconds=2, what="the end of a mongod")
        member.start()


@fault("mongod", needs="root")
def disk_of_the_primary_full(cluster: Cluster, chance: Chance) -> Iterator[None]:
    with _full(cluster.primary()):
        yield


@fault("mongod", needs="root")
def disk_of_a_secondary_full(cluster: Cluster, chance: Chance) -> Iterator[None]:
    with _full(chance.choice(cluster.secondaries())):
        yield


@fault("mongod", needs="clock")
def clock_of_a_mongod_jumps(cluster: Cluster, chance: Chance) -> Iterator[None]:
    member = chance.choice(cluster.members)
    member.set_clock(chance.choice([-1, 1]) * JUMP_SECONDS)
    yield
    member.set_clock(0)


@fault("web", needs="clock")
def clock_of_a_web_server_jumps(cluster: Cluster, chance: Chance) -> Iterator[None]:
    web = chance.choice(cluster.webs)
    web.set_clock(chance.choice([-1, 1]) * JUMP_SECONDS)
    yield
    web.set_clock(0)


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
