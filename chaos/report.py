"""What a run found: a table for people (Markdown) and programs (JSON), and a plot of the latencies."""

import importlib
import json
import os
import platform
import statistics
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from chaos.checks import Checks
from chaos.clients import ISSUED, OK, ORDINARY, REFUSED, UNKNOWN, History, Load
from chaos.cluster import Cluster
from chaos.network import ROOT

RESULTS = ROOT / "chaos" / "results"
SNAPSHOTS = "snapshots of all balances, each summing to zero"
COLORS = {OK: "#2f6f9f", REFUSED: "#b9b9b9", UNKNOWN: "#c0392b"}


def summary(load: Load, checks: Checks, cluster: Cluster, seconds: float, verdict: str) -> dict[str, Any]:
    """Everything that is to be told, as JSON has it. `verdict` says what did not hold or was not reached."""
    history = load.history
    words = {kind: dict(counted) for kind, counted in history.words().items()}
    answered = [struck.answered_seconds for struck in history.faults if struck.answered_seconds is not None]
    bit = [
        fault.name
        for struck in history.faults
        for fault, has_bit in zip(struck.faults, struck.bit, strict=False)
        if has_bit
    ]
    return {
        "verdict": verdict,
        "conditions": _conditions(cluster, checks, seconds),
        "acknowledged transfers": dict(history.acknowledged_of),
        "faults with an effect": len(bit),
        "kinds of fault": len(set(bit)),
        "mixed": sum(len(struck.faults) > 1 for struck in history.faults),
        "calls": words,
        "unknown transfers resolved": dict(checks.resolved),
        SNAPSHOTS: load.auditor.sums,
        "runs of verify_ledger": dict(checks.verified),
        "answers after healing, seconds": {
            "median": round(statistics.median(answered or [0]), 2),
            "longest": round(max(answered, default=0), 2),
        },
        "processes that ended by themselves and were started again": dict(Counter(cluster.restarted)),
        "mail": checks.mail,
        "by fault": _by_fault(history),
    }


def _conditions(cluster: Cluster, checks: Checks, seconds: float) -> dict[str, Any]:
    asked = ["git", "describe", "--always", "--dirty", "--abbrev=10"]
    commit = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603
    network = "a namespace and a disk each" if cluster.is_isolated else "loopback, for want of network namespaces"
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": commit or "not a git checkout",
        "seed": cluster.seed,
        "machine": f"{os.cpu_count()} cores, {platform.system()}, load average {os.getloadavg()[2]:.1f}",
        "MongoDB": f"{cluster.client.server_info()['version']}, three members, {network}",
        "took": f"{seconds / 60:.1f} minutes",
        "had to answer after healing": f"within {checks.within_seconds:g} s, on every thread",
    }


def _by_fault(history: History) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for struck in history.faults:
        unknown = sum(call.word == UNKNOWN and struck.began <= call.began <= struck.healed for call in history.calls)
        bits = struck.bit or (False,) * len(struck.faults)  # a violation kept it from being asked
        for fault, bit in zip(struck.faults, bits, strict=True):
            start = {"times": 0, "with effect": 0, "unknown calls": 0, "answers after, seconds": 0.0}
            row = found.setdefault(fault.name, start)
            row["times"] += 1
            row["with effect"] += bit
            row["unknown calls"] += unknown
            row["answers after, seconds"] = round(max(row["answers after, seconds"], struck.answered_seconds or 0), 2)
    return dict(sorted(found.items()))


def table(found: dict[str, Any]) -> str:
    """The summary, a line each."""
    calls = Counter[str]()
    for counted in found["calls"].values():
        calls.update(counted)
    acknowledged, verified = found["acknowledged transfers"], found["runs of verify_ledger"]
    restarted = found["processes that ended by themselves and were started again"]
    rows = {
        "every check held, and the aim was reached": f"no: {found['verdict'][:200]}" if found["verdict"] else "yes",
        "acknowledged transfers": f"{sum(acknowledged.values()):,}",
        "… paid by a person, one by one and in batches": f"{acknowledged.get(ORDINARY, 0):,}",
        "… initial funds": f"{acknowledged.get(ISSUED, 0):,}",
        "faults that had an effect, of so many kinds": f"{found['faults with an effect']}, {found['kinds of fault']}",
        "moments with three faults at once": found["mixed"],
        "calls answered ok, refused, unknown": ", ".join(f"{calls[word]:,}" for word in (OK, REFUSED, UNKNOWN)),
        SNAPSHOTS: f"{found[SNAPSHOTS]:,}",
        "runs of `verify_ledger`: of all, of what was new": f"{verified.get('whole', 0)}, {verified.get('since', 0)}",
        "ended by themselves and were started again": ", ".join(f"{n} ({m})" for n, m in restarted.items()) or "none",
        **_answered(found),
        **({} if found["verdict"] else _held(found)),
    }
    return "\n".join(["| | |", "|---|--:|", *(f"| {name} | {value} |" for name, value in rows.items())])


def _answered(found: dict[str, Any]) -> dict[str, str]:
    answers = found["answers after healing, seconds"]
    return {"the service answers after healing: median, longest": f"{answers['median']} s, {answers['longest']} s"}


def _held(found: dict[str, Any]) -> dict[str, Any]:
    """What is known only when all was checked."""
    mail, resolved = found["mail"], found["unknown transfers resolved"]
    return {
        "unknown transfers that repeating their key resolved": f"{sum(resolved.values()):,}",
        "acknowledged transfers lost, doubled": "0, 0",
        "refused transfers stored": 0,
        "notices owed, delivered, delivered twice, given up": ", ".join(
            f"{mail[name]:,}" for name in ("notices", "delivered", "twice", "given up")
        ),
    }


def fault_table(found: dict[str, Any]) -> str:
    """The faults, a line each."""
    lines = [
        "| fault | times | with effect | unknown calls meanwhile | answers again after, longest |",
        "|---|--:|--:|--:|--:|",
    ]
    lines += [f"| {name} | {' | '.join(map(str, row.values()))} s |" for name, row in found["by fault"].items()]
    return "\n".join(lines)


def write(directory: Path, found: dict[str, Any], history: History, say: Callable[[str], None]) -> None:
    """Write table.md, table.json and latency.png into `directory`, and say what is in them."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "table.json").write_text(json.dumps(found, indent=1) + "\n")
    under = "\n".join(f"- {name}: {value}" for name, value in found["conditions"].items())
    parts = ["# What `make chaos` found", table(found), "![latency](latency.png)", fault_table(found), under]
    (directory / "table.md").write_text("\n\n".join(parts) + "\n")
    draw(directory / "latency.png", history)
    say(f"\n{table(found)}\n\n{fault_table(found)}\n\n{under}\n\ntable and plot: {directory}")


def draw(file: Path, history: History) -> None:
    """The latency of every call, its end in colour, the faults in grey behind it."""
    # matplotlib is in requirements/bench.txt alone, so nothing else of the project may need it to be imported.
    try:
        importlib.import_module("matplotlib").use("Agg")
    except ImportError:
        return
    pyplot = importlib.import_module("matplotlib.pyplot")
    plot, axes = pyplot.subplots(figsize=(12, 4.5))
    for struck in history.faults:
        healed = min(struck.healed, time.monotonic())
        axes.axvspan(struck.began - history.began, healed - history.began, color="#d98f3a", alpha=0.35, linewidth=0)
    for word, color in COLORS.items():
        points = [(call.began - history.began, call.seconds * 1000) for call in history.calls if call.word == word]
        if points:
            axes.scatter(*zip(*points, strict=True), s=2, color=color, label=f"{word} ({len(points):,})")
    axes.set_yscale("log")
    axes.set_xlabel("seconds; a fault is on in the shaded stretches")
    axes.set_ylabel("milliseconds (logarithmic)")
    axes.legend(frameon=False, markerscale=5, loc="upper left")
    axes.spines[["top", "right"]].set_visible(False)
    plot.tight_layout()
    plot.savefig(file, dpi=100)
