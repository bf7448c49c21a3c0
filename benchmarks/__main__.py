"""`make bench`: measure, compare with the bounds, and write it down.

    python -m benchmarks [--quick] [--only NAME ...]

Exit code 0 when everything was measured, whether the bounds are met or not; 1 when a request was answered wrongly or
`verify_ledger` found something; 2 when it could not be measured.
"""

import argparse
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

from pymongo import MongoClient

from benchmarks import plots, report
from benchmarks.figures import Figure, NothingAnswered
from benchmarks.load import WrkIsMissing, have_wrk
from benchmarks.runs import FULL, QUICK, RUNS, Plan
from benchmarks.servers import ROOT, Stage, ToolFailed
from ledger_project.embedded import DidNotStart

RESULTS = ROOT / "benchmarks" / "results"
LARGE_IS_FOR = {"size", "reads"}


def main() -> int:
    """Run it all; the exit code."""
    signal.signal(signal.SIGTERM, _stop)
    asked = _options()
    plan = QUICK if asked.quick else FULL
    try:
        have_wrk()
        with Stage() as stage:
            return _measure(stage, plan, asked.only or list(RUNS), asked.results or _results(asked))
    except (WrkIsMissing, DidNotStart, ToolFailed, NothingAnswered) as error:
        _say(f"make bench: {error}")
        return 2
    except KeyboardInterrupt:
        return 130


def _stop(signum: int, frame: FrameType | None) -> NoReturn:
    """Unwind, so that what was started is stopped."""
    raise SystemExit(143)


def _options() -> argparse.Namespace:
    options = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    options.add_argument("--quick", action="store_true", help="small and short: to see that it works, not how fast")
    options.add_argument("--only", action="append", choices=RUNS, help="just this run; may be repeated")
    options.add_argument("--results", type=Path, help="the folder for table and plots")
    return options.parse_args()


def _results(asked: argparse.Namespace) -> Path:
    """Only a whole run in full writes where the committed results are."""
    return ROOT / "var" / "bench" if asked.quick or asked.only else RESULTS


def _measure(stage: Stage, plan: Plan, names: Sequence[str], results: Path) -> int:
    began = time.monotonic()
    figures: list[Figure] = []
    percentiles_ms: dict[str, Sequence[float]] = {}
    for name in names:
        if name == "memory" and LARGE_IS_FOR & {*names}:
            # Memory is no matter of time, so the large ledger may be built meanwhile.
            stage.prepare("large", transfers=plan.transfers)
        measured = RUNS[name](stage, plan)
        figures += measured.figures
        percentiles_ms |= measured.percentiles_ms
        _say(f"\n{name}, after {time.monotonic() - began:.0f} s\n{report.table(measured.figures)}")
    verified = stage.verify()
    under = report.conditions(plan, _mongod(stage)) | {"took": f"{time.monotonic() - began:.0f} s"}
    if stage.failures:
        under["FAILED"] = "; ".join(stage.failures)
    report.write(results, figures=figures, percentiles_ms=percentiles_ms, under=under, verified=verified)
    plots.draw(results, figures, percentiles_ms)
    _say(f"\n{report.table(figures)}\n\n{report.raw_numbers(figures)}\n")
    _say("\n".join(f"{name}: {value}" for name, value in under.items()))
    _say(f"table and plots: {results.relative_to(ROOT) if results.is_relative_to(ROOT) else results}")
    return _verdict(stage.failures)


def _mongod(stage: Stage) -> str:
    with MongoClient[dict](stage.mongodb_uri) as client:
        return client.server_info()["version"]


def _verdict(failures: list[str]) -> int:
    if failures:
        _say("\nFAILED: the figures are worth nothing, for not everything went well:\n" + "\n".join(failures))
    else:
        _say("Every answer was right, and verify_ledger finds every ledger whole.")
    return 1 if failures else 0


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
