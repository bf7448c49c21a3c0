"""`make chaos`: break what can break, under load, and see that nothing is lost, doubled or forgotten.

    python -m chaos [--short] [--seed SEED] [--only FAULT ...] [--minutes N] [--breaks]

Exit code 0 when every check held and the aim was reached; 1 when a check did not hold: then its history is printed,
and the seed makes the same faults come again; 2 when the run could not be made; 3 when time was up before the aim.
"""

import argparse
import os
import random
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

from chaos import report
from chaos.checks import ANSWERS_WITHIN_SECONDS, Checks, Violation, told
from chaos.clients import Load
from chaos.cluster import Cluster
from chaos.faults import FAULTS, Fault
from chaos.network import ROOT
from chaos.processes import NotInTime
from ledger_project.embedded import DidNotStart

MIXED_AT_ONCE = 3
RESULTS = ROOT / "chaos" / "results"


@dataclass(frozen=True)
class Plan:
    """How far a run goes: `rounds` of every kind alone, and so many times three together; it ends with time at last."""

    minutes: float
    rounds: int
    mixed: int
    transfers: int
    pause_seconds: float


FULL = Plan(minutes=40, rounds=1, mixed=22, transfers=50_000, pause_seconds=0.3)
SHORT = Plan(minutes=1.2, rounds=1, mixed=0, transfers=0, pause_seconds=0.2)
ONLY = Plan(minutes=10, rounds=2, mixed=0, transfers=0, pause_seconds=0.3)
SHORT_FAULTS = (
    "primary killed after a commit",
    "primary cut off from the others",
    "web process killed",
    "celery child killed after sending",
    "redis killed",
)

# What brings each break of breaks.py to light.
CAUGHT_BY = {
    "write concern 1": ["primary cut off from the others"],
    "no idempotency check": ["redis flushed"],
    "no version guard": ["redis flushed"],
    "mail inside the request": ["mail server down"],
}


@dataclass(frozen=True)
class Step:
    """Faults that last at the same time, and for how long."""

    faults: tuple[Fault, ...]
    seconds: float


def main() -> int:
    """Run it; the exit code."""
    signal.signal(signal.SIGTERM, _stop)
    asked = _options()
    if asked.breaks:
        return _breaks(asked.seed)
    plan = SHORT if asked.short else ONLY if asked.only else FULL
    names = asked.only or (SHORT_FAULTS if asked.short else list(FAULTS))
    have_tools()
    try:
        with Cluster(asked.seed, broken=asked.broken) as cluster:
            return Run(cluster, plan, _possible(cluster, names), asked).outcome()
    except (DidNotStart, NotInTime, subprocess.CalledProcessError) as error:
        _say(f"make chaos: {error} {getattr(error, 'stderr', '') or ''}")
        return 2
    except KeyboardInterrupt:
        return 130


def _stop(signum: int, frame: FrameType | None) -> NoReturn:
    """Unwind, so that what was started is ended."""
    raise SystemExit(143)


def _options() -> argparse.Namespace:
    options = argparse.ArgumentParser(prog="python -m chaos", description=__doc__.splitlines()[0])
    options.add_argument("--short", action="store_true", help="a handful of faults, in 90 seconds")
    options.add_argument("--seed", default=secrets.token_hex(4), help="of a run that is to come again")
    options.add_argument("--only", action="append", choices=FAULTS, help="just this fault; may be repeated")
    options.add_argument("--minutes", type=float, help="end after so long")
    options.add_argument("--within", type=float, default=ANSWERS_WITHIN_SECONDS, help="to answer after healing")
    options.add_argument("--breaks", action="store_true", help="break the engine on purpose, and see that it is caught")
    options.add_argument("--broken", default="", help="run with this break of breaks.py")
    return options.parse_args()


def have_tools() -> None:
    """Install what the faults need where that is ours to do; without it some faults are left out."""
    wanted = {"ip": "iproute2"} if not shutil.which("ip") else {}
    if not next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None):
        wanted["faketime"] = "libfaketime"
    if wanted and os.geteuid() == 0 and shutil.which("apt-get"):
        for command in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *wanted.values()]):
            subprocess.run(["apt-get", *command], check=False, capture_output=True)  # noqa: S603, S607


def _possible(cluster: Cluster, names: Sequence[str]) -> list[Fault]:
    """Those of the faults that this machine can be made to have; what is left out is said."""
    has = {"": True, "root": cluster.is_isolated, "clock": bool(cluster.members[0].environment)}
    left_out = [name for name in names if not has[FAULTS[name].needs]]
    if left_out:
        _say(f"left out, for want of network namespaces (root) or libfaketime: {', '.join(left_out)}")
    return [FAULTS[name] for name in names if name not in left_out]


def schedule(seed: str, plan: Plan, faults: list[Fault]) -> list[Step]:
    """What comes when: the same for the same seed."""
    chance = random.Random(f"{seed} schedule")  # noqa: S311
    steps = [_step(chance, fault) for _ in range(plan.rounds) for fault in faults]
    of_part = {fault.part: [other for other in faults if other.part == fault.part] for fault in faults}
    for _ in range(plan.mixed):
        parts = chance.sample(sorted(of_part), min(MIXED_AT_ONCE, len(of_part)))
        steps.append(_step(chance, *(chance.choice(of_part[part]) for part in parts)))
    chance.shuffle(steps)
    return steps


def _step(chance: random.Random, *faults: Fault) -> Step:
    return Step(faults, chance.uniform(1, 3) + max(fault.least_seconds for fault in faults))


class Run:
    """One run: load, fault after fault, checks after each, and what came of it."""

    def __init__(self, cluster: Cluster, plan: Plan, faults: list[Fault], asked: argparse.Namespace) -> None:
        self.cluster, self.plan, self.asked = cluster, plan, asked
        self.steps = schedule(asked.seed, plan, faults)
        self.began = time.monotonic()
        self.deadline = self.began + 60 * (asked.minutes or plan.minutes)

    def outcome(self) -> int:
        """The exit code, once everything is written down."""
        _say(f"seed {self.asked.seed}; everything runs; {len(self.steps)} steps")
        self.load = Load(self.cluster, pause_seconds=self.plan.pause_seconds)
        self.checks = Checks(self.load, self.asked.within)
        self.load.start()
        try:
            self._strike_all()
            self.load.end()
            _say(f"{self._clock()} all faults are over; checking everything, and waiting for the mail")
            self.checks.at_the_end()
        except Violation as violation:
            self.load.end()
            _say(told(violation, self.load))
            self._keep_logs()
            return 1
        finally:
            self.load.over.set()
        summary = report.summary(self.load, self.checks, self.cluster, time.monotonic() - self.began)
        whole = not (self.asked.only or self.asked.short or self.asked.broken)
        report.write(RESULTS if whole else ROOT / "var" / "chaos", summary, self.load.history, _say)
        reached = self.load.history.acknowledged >= self.plan.transfers and self.struck == len(self.steps)
        return 0 if reached else 3

    def _strike_all(self) -> None:
        """Fault after fault, and then load until the aim is reached or time is up."""
        self.struck = 0
        for number, step in enumerate(self.steps):
            if time.monotonic() > self.deadline:
                return
            self._strike(number, step)
            self.struck += 1
        aim = self.plan.transfers
        while self.load.history.acknowledged < aim and time.monotonic() < self.deadline:
            time.sleep(1)

    def _strike(self, number: int, step: Step) -> None:
        chance = random.Random(f"{self.asked.seed} step {number}")  # noqa: S311
        name = " + ".join(fault.name for fault in step.faults)
        began = time.monotonic()
        with ExitStack() as stack:
            # The network last, so that it heals first: what starts again waits until it is heard.
            for fault in sorted(step.faults, key=lambda fault: fault.part == "network"):
                stack.enter_context(fault.strike(self.cluster, chance))
            time.sleep(step.seconds)
        self.cluster.supervise()
        self.load.history.faults.append((began, time.monotonic(), name))
        self.checks.after_healing()
        done = f"{self.load.history.acknowledged:,} acknowledged"
        _say(f"{self._clock()} {name}: answers after {self.checks.answered_seconds[-1]:.1f} s; {done}")

    def _clock(self) -> str:
        return f"{time.monotonic() - self.began:6.1f} s"

    def _keep_logs(self) -> None:
        kept = ROOT / "var" / "chaos-logs"
        shutil.rmtree(kept, ignore_errors=True)
        for log in self.cluster.directory.glob("*/log"):
            (kept / log.parent.name).mkdir(parents=True, exist_ok=True)
            shutil.copy(log, kept / log.parent.name)
        _say(f"the servers' logs: {kept.relative_to(ROOT)}")


def _breaks(seed: str) -> int:
    """Run once with each break and the faults that bring it to light; 0 when every one was caught."""
    caught = {}
    for name, faults in CAUGHT_BY.items():
        only = [word for fault in faults for word in ("--only", fault)]
        command = [sys.executable, "-m", "chaos", "--seed", seed, "--broken", name, "--minutes", "3", *only]
        ended = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)  # noqa: S603
        found = [line for line in ended.stdout.splitlines() if line.startswith("VIOLATION")]
        caught[name] = bool(found) and ended.returncode == 1
        _say(f"{name}: {'caught: ' + found[0] if caught[name] else 'NOT CAUGHT: ' + ended.stdout[-1000:]}")
    return 0 if all(caught.values()) else 1


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
