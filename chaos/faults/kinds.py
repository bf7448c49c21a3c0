"""What a fault is, and the list of them all."""

import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from chaos.cluster import Cluster
from chaos.processes import ELECTION_MS

Chance = random.Random
Bite = Callable[[], object] | None
Strike = Callable[[Cluster, Chance], Iterator[Bite]]

OUTLASTS_AN_ELECTION = ELECTION_MS / 1000 + 1  # what lasts shorter than an election takes has changed nothing


@dataclass(frozen=True)
class Fault:
    """A kind of fault; `strike(cluster, chance)` is a block while which it lasts.

    The block gives a function that tells, once all is healed, whether the fault had any effect; none: it always has.
    """

    name: str
    part: str
    strike: Callable[[Cluster, Chance], AbstractContextManager[Bite]]
    needs: str = ""  # "root", "clock" or nothing
    least_seconds: float = 0
    strikes_senders: bool = False  # a worker may die, or its mail server, before it knows what it has sent

    @property
    def keeps_from_noting(self) -> bool:
        """Whether a worker may be unable to note what it has sent."""
        return self.strikes_senders or self.part in ("mongod", "network")


@dataclass
class Struck:
    """Faults that came together: when they began and healed, when all was well again, and which had an effect."""

    faults: tuple[Fault, ...]
    began: float
    healed: float = float("inf")
    recovered: float = float("inf")
    answered_seconds: float | None = None  # after healing
    bit: tuple[bool, ...] = ()

    @property
    def name(self) -> str:
        """The kinds, in words."""
        return " + ".join(fault.name for fault in self.faults)


FAULTS: dict[str, Fault] = {}


def fault(
    part: str, needs: str = "", *, least_seconds: float = 0, strikes_senders: bool = False
) -> Callable[[Strike], Strike]:
    """Enter a function into FAULTS, under its name in words."""

    def enter(strike: Strike) -> Strike:
        name = strike.__name__.replace("_", " ")
        FAULTS[name] = Fault(name, part, contextmanager(strike), needs, least_seconds, strikes_senders)
        return strike

    return enter


def elects(cluster: Cluster) -> Bite:
    """The effect of whatever strikes the primary: since now, the set has elected."""
    before = cluster.term()
    return lambda: cluster.term() > before
