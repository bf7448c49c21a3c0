"""`make chaos`: break what can break, under load, and see that nothing is lost, doubled or forgotten.

    python -m chaos [--short] [--seed SEED] [--only FAULT ...] [--minutes N] [--breaks]

Exit code 0 when every check held and the aim was reached; 1 when a check did not hold: then its history is printed,
and the seed makes the same faults come again; 2 when the run could not be made or broke off; 3 when the aim was not
reached: time was up, a kind of fault was left out, or one never had an effect.
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
import traceback
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

from chaos import breaking, report
from chaos.checks import ANSWERS_WITHIN_SECONDS, Checks, Violation, told
from chaos.clients import Load
from chaos.cluster import Cluster
from chaos.faults import FAULTS, Bite, Fault, Struck
from chaos.network import ROOT

MIXED_AT_ONCE = 3


@dataclass(frozen=True)
class Plan:
    """How far a run goes: `rounds` of every kind alone, and so many times three together; it ends with time at last."""

    minutes: float
    rounds: int
    mixed: int
    transfers: int
    pause_seconds: float
    is_shuffled: bool = True


FULL = Plan(minutes=40, rounds=1, mixed=24, transfers=50_000, pause_seconds=0.75)
SHORT = Plan(minutes=1.2, rounds=1, mixed=0, transfers=0, pause_seconds=1.5, is_shuffled=False)
ONLY = Plan(minutes=10, rounds=2, mixed=0, transfers=0, pause_seconds=0.5)
SHORT_FAULTS = (
    "celery child killed after sending",  # first, for what the dead worker held waits for the end of its lease
    "primary killed after a commit",
    "primary cut off from the others",
    "web process killed",
    "redis killed",
)


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
        return breaking.outcome(asked.seed, asked.within, _say)
    plan = SHORT if asked.short else ONLY if asked.only else FULL
    names = asked.only or (SHORT_FAULTS if asked.short else list(FAULTS))
    have_tools()
    try:
        with Cluster(asked.seed, broken=asked.broken) as cluster:
            return Run(cluster, plan, names, asked).outcome()
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # noqa: BLE001  (whatever keeps a run from its end, it has proven nothing)
        _say(f"make chaos: {traceback.format_exc()}{getattr(error, 'stderr', '') or ''}")
        return 2


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


def _left_out(cluster: Cluster, names: Sequence[str]) -> list[str]:
    """Those of the faults that this machine cannot be made to have."""
    has = {"": True, "root": cluster.is_isolated, "clock": bool(cluster.members[0].environment)}
    return [name for name in names if not has[FAULTS[name].needs]]


def schedule(seed: str, plan: Plan, faults: list[Fault]) -> list[Step]:
    """What comes when: the same for the same seed."""
    chance = random.Random(f"{seed} schedule")  # noqa: S311
    steps = [_step(chance, fault) for _ in range(plan.rounds) for fault in faults]
    of_part = {fault.part: [other for other in faults if other.part == fault.part] for fault in faults}
    for _ in range(plan.mixed):
        parts = chance.sample(sorted(of_part), min(MIXED_AT_ONCE, len(of_part)))
        steps.append(_step(chance, *(chance.choice(of_part[part]) for part in parts)))
    if plan.is_shuffled:
        chance.shuffle(steps)
    return steps


def _step(chance: random.Random, *faults: Fault) -> Step:
    return Step(faults, chance.uniform(1, 3) + max(fault.least_seconds for fault in faults))


class Run:
    """One run: load, fault after fault, checks after each, and what came of it."""

    def __init__(self, cluster: Cluster, plan: Plan, names: Sequence[str], asked: argparse.Namespace) -> None:
        self.cluster, self.plan, self.asked = cluster, plan, asked
        self.left_out = _left_out(cluster, names)
        self.kinds = [FAULTS[name] for name in names if name not in self.left_out]
        self.steps = schedule(asked.seed, plan, self.kinds)
        self.bit: Counter[str] = Counter()
        self.struck = 0
        self.began = time.monotonic()
        self.deadline = self.began + 60 * (asked.minutes or plan.minutes)

    def outcome(self) -> int:
        """The exit code, once everything is written down."""
        _say(f"seed {self.asked.seed}; everything runs; {len(self.steps)} steps")
        if self.left_out:
            _say(f"left out, for want of network namespaces (root) or libfaketime: {', '.join(self.left_out)}")
        self.load = Load(self.cluster, pause_seconds=self.plan.pause_seconds)
        self.checks = Checks(self.load, self.asked.within)
        self.load.start()
        violation = self._violation()
        if violation or self.cluster.restarted:  # every check may have held, and one wants to know why they ended
            self._keep_logs()
        missed = [] if violation else self._missed()
        self._report(str(violation) if violation else "; ".join(missed))
        return 1 if violation else 3 if missed else 0

    def _violation(self) -> Violation | None:
        """Strike and check; what did not hold, and its history is told."""
        try:
            self._strike_all()
            self.load.end()
            _say(f"{self._clock()} all faults are over; checking everything, and waiting for the mail")
            self.checks.at_the_end()
        except Violation as violation:
            self.load.end()
            _say(told(violation, self.load))
            return violation
        except Exception:
            self._keep_logs()
            raise
        finally:
            self.load.over.set()
        return None

    def _missed(self) -> list[str]:
        """In what the run fell short of its aim."""
        acknowledged = self.load.history.acknowledged
        without_effect = [fault.name for fault in self.kinds if not self.bit[fault.name]]
        missed = {
            f"{acknowledged:,} of {self.plan.transfers:,} transfers": acknowledged < self.plan.transfers,
            f"{self.struck} of {len(self.steps)} steps": self.struck < len(self.steps),
            f"left out: {', '.join(self.left_out)}": self._is_whole and self.left_out,
            f"without effect: {', '.join(without_effect)}": without_effect,
        }
        return [what for what, is_missed in missed.items() if is_missed]

    @property
    def _is_whole(self) -> bool:
        return not (self.asked.only or self.asked.short or self.asked.broken)

    def _report(self, verdict: str) -> None:
        seconds = time.monotonic() - self.began
        summary = report.summary(self.load, self.checks, self.cluster, seconds, verdict)
        report.write(report.RESULTS if self._is_whole else ROOT / "var" / "chaos", summary, self.load.history, _say)

    def _strike_all(self) -> None:
        """Fault after fault, once more those without effect, and then load until the aim is reached or time is up."""
        for number, step in enumerate(self.steps):
            if time.monotonic() > self.deadline:
                return
            self._strike(number, step)
            self.struck += 1
        chance = random.Random(f"{self.asked.seed} again")  # noqa: S311
        for number, fault in enumerate([fault for fault in self.kinds if not self.bit[fault.name]]):
            self._strike(len(self.steps) + number, _step(chance, fault))
        aim = self.plan.transfers
        while self.load.history.acknowledged < aim and time.monotonic() < self.deadline:
            time.sleep(1)

    def _strike(self, number: int, step: Step) -> None:
        chance = random.Random(f"{self.asked.seed} step {number}")  # noqa: S311
        for web in self.cluster.webs:
            web.is_struck = False
        struck = Struck(step.faults, time.monotonic())
        self.load.history.faults.append(struck)
        with ExitStack() as stack:
            # The network last, so that it heals first: what starts again waits until it is heard.
            order = sorted(step.faults, key=lambda fault: fault.part == "network")
            bites = {fault: stack.enter_context(fault.strike(self.cluster, chance)) for fault in order}
            time.sleep(step.seconds)
        struck.healed = time.monotonic()
        self.checks.after_healing(struck)
        struck.bit = tuple(_had_effect(bites[fault]) for fault in step.faults)
        self.bit.update(fault.name for fault, bit in zip(step.faults, struck.bit, strict=True) if bit)
        self._tell(struck)

    def _tell(self, struck: Struck) -> None:
        without = [fault.name for fault, bit in zip(struck.faults, struck.bit, strict=True) if not bit]
        _say(
            f"{self._clock()} {struck.name}: answers after {struck.answered_seconds:.1f} s; "
            f"{self.load.history.acknowledged:,} acknowledged{f'; no effect: {without}' if without else ''}"
        )

    def _clock(self) -> str:
        return f"{time.monotonic() - self.began:6.1f} s"

    def _keep_logs(self) -> None:
        kept = ROOT / "var" / "chaos-logs"
        shutil.rmtree(kept, ignore_errors=True)
        for log in self.cluster.directory.glob("*/log"):
            (kept / log.parent.name).mkdir(parents=True, exist_ok=True)
            shutil.copy(log, kept / log.parent.name)
        _say(f"the servers' logs: {kept.relative_to(ROOT)}")


def _had_effect(bite: Bite) -> bool:
    return bite is None or bool(bite())


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
