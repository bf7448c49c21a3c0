"""mongod dies, stops or steps down, at random and amid a commit."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from typing import Any

from pymongo.errors import PyMongoError

from chaos.cluster import Cluster
from chaos.faults.kinds import Chance, fault
from chaos.processes import Member

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
def caught_amid(cluster: Cluster, name: str, **data: Any) -> Iterator[Member]:
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
    return caught_amid(cluster, "failCommand", **blocked, appName="ledger")


def after_commit(cluster: Cluster) -> AbstractContextManager[Member]:
    """It has committed by itself, and neither waited for a majority nor answered."""
    return caught_amid(cluster, "hangBeforeWaitingForWriteConcern")


@fault("mongod")
def primary_killed_before_a_commit(cluster: Cluster, chance: Chance) -> Iterator[None]:
    with _before_commit(cluster) as primary, _killed(primary):
        yield


@fault("mongod")
def primary_killed_after_a_commit(cluster: Cluster, chance: Chance) -> Iterator[None]:
    with after_commit(cluster) as primary, _killed(primary):
        yield


@fault("mongod")
def primary_stepped_down_before_a_commit(cluster: Cluster, chance: Chance) -> Iterator[None]:
    with _before_commit(cluster) as primary:
        _step_down(primary)
    yield
