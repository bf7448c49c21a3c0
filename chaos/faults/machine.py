"""The network, the disks and the clocks."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pymongo
from pymongo.errors import PyMongoError

from chaos.cluster import Cluster
from chaos.faults.kinds import OUTLASTS_AN_ELECTION, Bite, Chance, elects, fault
from chaos.faults.mongodb import after_commit
from chaos.processes import Member, NotInTime, Web, wait_until

JUMP_SECONDS = 300
JUMP_LASTS_SECONDS = 5
SHOWS_SECONDS = 10
LEFT_BYTES = (2**16, 2**20, 2**24)  # one after the other, until it fits
JOURNAL_MB = 200  # twice what a file of the journal has
WRITES_SECONDS = 10

# --- The network -----------------------------------------------------------------------------------------------------

Rule = tuple[str, str, float, float]
of_network = fault("network", needs="root", least_seconds=OUTLASTS_AN_ELECTION)


def _others(cluster: Cluster, member: Member) -> list[Member]:
    return [other for other in cluster.members if other is not member]


def _between(some: list[Member], others: list[Member]) -> list[Rule]:
    """Nothing passes between these, either way."""
    pairs = [(one.host, other.host) for one in some for other in others]
    return [rule for one, other in pairs for rule in ((one, other, 1, 0), (other, one, 1, 0))]


def _cut(cluster: Cluster, rules: list[Rule]) -> None:
    cluster.network.rules(*rules)


@of_network
def primary_partitioned_after_a_commit(cluster: Cluster, chance: Chance) -> Iterator[Bite]:
    with after_commit(cluster) as (primary, is_amid):
        _cut(cluster, _between([primary], _others(cluster, primary)))
    yield lambda: is_amid
    cluster.network.rules()


@of_network
def primary_cut_off_from_the_others(cluster: Cluster, chance: Chance) -> Iterator[Bite]:
    """Its clients still reach it: it does not know yet that it is no primary any more."""
    elected, primary = elects(cluster), cluster.primary()
    _cut(cluster, _between([primary], _others(cluster, primary)))
    yield elected
    cluster.network.rules()


@of_network
def primary_cut_off_from_all(cluster: Cluster, chance: Chance) -> Iterator[Bite]:
    elected, host = elects(cluster), cluster.primary().host
    _cut(cluster, [(host, "*", 1, 0), ("*", host, 1, 0)])
    yield elected
    cluster.network.rules()


@of_network
def primary_heard_by_nobody(cluster: Cluster, chance: Chance) -> Iterator[Bite]:
    """One way: it hears all."""
    elected = elects(cluster)
    _cut(cluster, [(cluster.primary().host, "*", 1, 0)])
    yield elected
    cluster.network.rules()


@of_network
def primary_hears_nobody(cluster: Cluster, chance: Chance) -> Iterator[Bite]:
    """The other way."""
    elected = elects(cluster)
    _cut(cluster, [("*", cluster.primary().host, 1, 0)])
    yield elected
    cluster.network.rules()


@of_network
def majority_cut_off(cluster: Cluster, chance: Chance) -> Iterator[Bite]:
    """Two of three are alone with themselves each: nobody can commit."""
    elected = elects(cluster)
    _cut(cluster, [rule for host in cluster.secondaries() for rule in ((host.host, "*", 1, 0), ("*", host.host, 1, 0))])
    yield elected
    cluster.network.rules()


@of_network
def packets_delayed(cluster: Cluster, chance: Chance) -> Iterator[Bite]:
    cluster.network.rules(("*", "*", 0, chance.choice([10, 30, 80])))
    yield None
    cluster.network.rules()


@of_network
def packets_lost(cluster: Cluster, chance: Chance) -> Iterator[Bite]:
    cluster.network.rules(("*", "*", chance.choice([0.02, 0.05, 0.1]), 0))
    yield None
    cluster.network.rules()


# --- Disks and clocks ------------------------------------------------------------------------------------------------


@contextmanager
def _full(member: Member) -> Iterator[Bite]:
    """No byte left on its disk, and something to write: it gives up. Then there is room again, and it starts."""
    ballast = member.directory / "ballast"
    with ballast.open("wb") as file:
        for left in LEFT_BYTES:
            disk = os.statvfs(member.directory)
            with suppress(OSError):  # mongod was faster
                os.posix_fallocate(file.fileno(), 0, disk.f_bavail * disk.f_frsize - left)
                break
    gave_up = _has_to_write(member)
    try:
        yield lambda: gave_up
    finally:
        ballast.unlink()
        member.start()


def _has_to_write(member: Member) -> bool:
    """Whether `member` ended when it had more to write than the journal has room laid by for.

    What it writes is in `local`, which is not replicated, so that secondaries take it as well.
    """
    with suppress(PyMongoError), member.client() as client, pymongo.timeout(WRITES_SECONDS):
        client.local.drop_collection("chaos")
        for _ in range(JOURNAL_MB):
            client.local.chaos.insert_one({"nothing": os.urandom(2**20)})
            client.admin.command("fsync")  # a checkpoint
    with suppress(NotInTime):
        wait_until(member.has_ended, seconds=2, what="the end of a mongod")
    return member.has_ended()


@fault("mongod", needs="root")
def disk_of_the_primary_full(cluster: Cluster, chance: Chance) -> Iterator[Bite]:
    with _full(cluster.primary()) as gave_up:
        yield gave_up


@fault("mongod", needs="root")
def disk_of_a_secondary_full(cluster: Cluster, chance: Chance) -> Iterator[Bite]:
    with _full(chance.choice(cluster.secondaries())) as gave_up:
        yield gave_up


@fault("mongod", needs="clock", least_seconds=JUMP_LASTS_SECONDS)
def clock_of_a_mongod_jumps(cluster: Cluster, chance: Chance) -> Iterator[Bite]:
    """When the clock is right again it is started anew: its timers would stand still for as long as the jump was."""
    member = chance.choice(cluster.members)
    yield from _clock_jumps(member, chance)
    member.kill()
    member.start()


@fault("web", needs="clock", least_seconds=JUMP_LASTS_SECONDS)
def clock_of_a_web_server_jumps(cluster: Cluster, chance: Chance) -> Iterator[Bite]:
    yield from _clock_jumps(chance.choice(cluster.webs), chance)


def _clock_jumps(server: Member | Web, chance: Chance) -> Iterator[Bite]:
    """Its wall clock is wrong, and it says so itself; one that is busy is asked again."""
    is_shown = False
    server.set_clock(chance.choice([-1, 1]) * JUMP_SECONDS)
    yield lambda: is_shown
    with suppress(NotInTime):
        what = "a clock that is wrong"
        wait_until(lambda: server.clock_is_wrong_by() > JUMP_SECONDS / 2, seconds=SHOWS_SECONDS, what=what)
        is_shown = True
    server.set_clock(0)
