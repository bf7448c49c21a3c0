"""What a fault is, and the list of them all."""

import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from chaos.cluster import Cluster
from chaos.processes import ELECTION_MS

Chance = random.Random
Strike = Callable[[Cluster, Chance], Iterator[None]]


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
