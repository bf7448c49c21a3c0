"""A figure: the ratio of two sides that were measured in turns, and its bound."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.load import Load

PAUSE_SECONDS = 0.3
ATTEMPTS = 3


class NothingAnswered(Exception):
    """A side came to nothing in its time, again and again: it stands still, or the machine is far too busy."""

    def __init__(self) -> None:
        super().__init__("a server answered nothing in its time: it stands still, or this machine is far too busy")


@dataclass(frozen=True)
class Side:
    """One side of a ratio: what was measured, in which unit, in each round."""

    name: str
    unit: str
    values: Sequence[float]

    @property
    def median(self) -> float:
        """The middle of the rounds."""
        return statistics.median(self.values)


@dataclass(frozen=True)
class Figure:
    """A ratio of two sides with its bound, or why there is none."""

    says: str
    bound: float
    at_least: bool
    ours: Side | None = None
    theirs: Side | None = None
    skipped: str = ""

    @property
    def ratios(self) -> list[float]:
        """One for each round."""
        if self.ours is None or self.theirs is None:
            return []
        return [ours / theirs for ours, theirs in zip(self.ours.values, self.theirs.values, strict=True)]

    @property
    def value(self) -> float | None:
        """The figure."""
        return statistics.median(self.ratios) if self.ratios else None

    @property
    def is_met(self) -> bool | None:
        """Whether it is within its bound; None when it was not measured."""
        if self.value is None:
            return None
        return self.value >= self.bound if self.at_least else self.value <= self.bound


def in_turns(rounds: int, *sides: Callable[[], Load]) -> list[list[Load]]:
    """Run the sides one after the other, round by round; what each found, in the order of the sides.

    The machine may be noisy and shared. Two runs within seconds of each other see the same of it, so it is each round's
    ratio that is worth something, and the median of the rounds' ratios that is reported.
    """
    found: list[list[Load]] = [[] for _ in sides]
    for _ in range(rounds):
        for side, runs in zip(sides, found, strict=True):
            runs.append(_with_answers(side))
            settle(runs[-1])
    return found


def _with_answers(side: Callable[[], Load]) -> Load:
    """Run `side` until anything was answered. Raises NothingAnswered."""
    for _ in range(ATTEMPTS):
        load = side()
        if load.operations:
            return load
    raise NothingAnswered


def settle(load: Load) -> None:
    """Wait until what the end of `load` cut off has been served: the next run is not to stand in its queue."""
    time.sleep(PAUSE_SECONDS + load.median_ms / 1000)


def rate(name: str, runs: Sequence[Load], unit: str = "transfers/s") -> Side:
    """What `runs` did in a second."""
    return Side(name, unit, [run.per_second for run in runs])


def median(name: str, runs: Sequence[Load]) -> Side:
    """The median latencies of `runs`."""
    return Side(name, "ms median", [run.median_ms for run in runs])


def at_least(bound: float, says: str, ours: Side, theirs: Side) -> Figure:
    """A figure that is to be high."""
    return Figure(says, bound, True, ours, theirs)


def at_most(bound: float, says: str, ours: Side, theirs: Side) -> Figure:
    """A figure that is to be low."""
    return Figure(says, bound, False, ours, theirs)
