"""mongod dies, stops or steps down, at random and amid a commit."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from typing import Any

from pymongo.errors import PyMongoError

from chaos.cluster import Cluster
from chaos.faults.kinds import OUTLASTS_AN_ELECTION, Bite, Chance, elects, fault
from chaos.processes import Member

# --- The database's processes ----------------------------------------------------------------------------------------


@contextmanager
def _killed(*members: Member) -> Iterator[None]:
    for member in members:
        member.kill()
    try:
        yield
    finally:
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
def primary_killed(cluster: Cluster, chance: Chance) -> Iterator[Bite]:
    elected = elects(cluster)
    with _killed(cluster.primary()):
        yield elected


@fault("mongod")
def secondary_killed(cluster: Cluster, chance: Chance) -> Iterator[Bite]:
    with _killed(chance.choice(cluster.secondaries())):
        yield None


@fault("mongod")
def all_mongod_killed(cluster: Cluster, chance: Chance) -> Iterator[Bite]:
    with _killed(*cluster.members):
        yield None


@fault("mongod", least_seconds=OUTLASTS_AN_ELECTION)
def primary_stopped(cluster: Cluster, chance: Chance) -> Iterator[Bite]:
    elected = elects(cluster)
    with _paused(cluster.primary()):
        yield elected


@fault("mongod", least_seconds=OUTLASTS_AN_ELECTION)
def secondary_stopped(cluster: Cluster, chance: Chance) -> Iterator[Bite]:
    with _paused(chance.choice(cluster.secondaries())):
        yield None


@fault("mongod", least_seconds=OUTLASTS_AN_ELECTION)
def all_mongod_stopped(cluster: Cluster, chance: Chance) -> Iterator[Bite]:
    with _paused(*cluster.members):
        yield None


@fault("mongod")
def primary_stepped_down(cluster: Cluster, chance: Chance) -> Iterator[Bite]:
    elected = elects(cluster)
    _step_down(cluster.primary())
    yield elected


def _step_down(member: Member) -> None:
    with member.client() as client, suppress(PyMongoError):  # it may have stepped down by itself
        client.admin.command("replSetStepDown", 5, secondaryCatchUpPeriodSecs=1, force=True)


# --- The worst moments: amid a commit --------------------------------------------------------------------------------


@contextmanager
def caught_amid(cluster: Cluster, name: str, **data: Any) -> Iterator[tuple[Member, bool]]:
    """The primary in the very moment that the fail point says, and whether it got there: nobody may have committed."""
    primary, is_amid = cluster.primary(), False
    with ExitStack() as stack:
        with suppress(PyMongoError):
            entered = stack.enter_context(cluster.fail_point(primary, name, **data))
            entered()
            is_amid = True
        yield primary, is_amid


def _before_commit(cluster: Cluster) -> AbstractContextManager[tuple[Member, bool]]:
    """Clients have sent commitTransaction, and the primary has not begun to carry it out."""
    blocked = {"failCommands": ["commitTransaction"], "blockConnection": True, "blockTimeMS": 8000}
    return caught_amid(cluster, "failCommand", **blocked, appName="ledger")


def after_commit(cluster: Cluster) -> AbstractContextManager[tuple[Member, bool]]:
    """It has committed by itself, and neither waited for a majority nor answered."""
    return caught_amid(cluster, "hangBeforeWaitingForWriteConcern")


@fault("mongod")
def primary_killed_before_a_commit(cluster: Cluster, chance: Chance) -> Iterator[Bite]:
    with _before_commit(cluster) as (primary, is_amid), _killed(primary):
        yield lambda: is_amid


@fault("mongod")
def primary_killed_after_a_commit(cluster: Cluster, chance: Chance) -> Iterator[Bite]:
    with after_commit(cluster) as (primary, is_amid), _killed(primary):
        yield lambda: is_amid


@fault("mongod")
def primary_stepped_down_before_a_commit(cluster: Cluster, chance: Chance) -> Iterator[Bite]:
    with _before_commit(cluster) as (primary, is_amid):
        _step_down(primary)
    yield lambda: is_amid
