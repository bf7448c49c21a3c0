"""The network, the disks and the clocks."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from chaos.cluster import Cluster
from chaos.faults.kinds import Chance, fault
from chaos.faults.mongodb import after_commit
from chaos.processes import Member, NotInTime, wait_until

JUMP_SECONDS = 300
LEFT_BYTES = (2**16, 2**20, 2**24)  # one after the other, until it fits

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
def primary_partitioned_after_a_commit(cluster: Cluster, chance: Chance) -> Iterator[None]:
    with after_commit(cluster) as primary:
        _cut(cluster, _between([primary], _others(cluster, primary)))
    yield
    cluster.network.rules()


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
