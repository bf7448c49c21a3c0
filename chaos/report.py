"""What a run found: a table for people (Markdown) and programs (JSON), and a plot of the latencies."""

import importlib
import json
import os
import platform
import statistics
import subprocess
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from chaos.checks import Checks
from chaos.clients import OK, REFUSED, UNKNOWN, History, Load
from chaos.cluster import Cluster
from chaos.network import ROOT

SNAPSHOTS = "snapshots of all balances, each summing to zero"
COLORS = {OK: "#2f6f9f", REFUSED: "#b9b9b9", UNKNOWN: "#c0392b"}


def summary(load: Load, checks: Checks, cluster: Cluster, seconds: float) -> dict[str, Any]:
    """Everything that is to be told, as JSON has it."""
    history = load.history
    words = {kind: dict(counted) for kind, counted in history.words().items()}
    return {
        "conditions": _conditions(cluster, seconds),
        "acknowledged transfers": history.acknowledged,
        "faults": sum(name.count(" + ") + 1 for _, _, name in history.faults),
        "kinds of fault": len({one for _, _, name in history.faults for one in name.split(" + ")}),
        "mixed": sum(" + " in name for _, _, name in history.faults),
        "calls": words,
        "unknown transfers resolved": dict(checks.resolved),
        SNAPSHOTS: load.auditor.sums,
        "runs of verify_ledger, each whole": checks.verified,
        "answers after healing, seconds": {
            "median": round(statistics.median(checks.answered_seconds or [0]), 2),
            "longest": round(max(checks.answered_seconds, default=0), 2),
        },
        "processes that ended by themselves and were started again": dict(Counter(cluster.restarted)),
        "mail": checks.mail,
        "by fault": _by_fault(history, checks),
    }


def _conditions(cluster: Cluster, seconds: float) -> dict[str, Any]:
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
    }


def _by_fault(history: History, checks: Checks) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for (began, ended, name), answered in zip(history.faults, checks.answered_seconds, strict=False):
        unknown = sum(call.word == UNKNOWN and began <= call.began <= ended for call in history.calls)
        for one in name.split(" + "):
            row = found.setdefault(one, {"times": 0, "unknown calls": 0, "answers after, seconds": 0.0})
            row["times"] += 1
            row["unknown calls"] += unknown
            row["answers after, seconds"] = round(max(row["answers after, seconds"], answered), 2)
    return dict(sorted(found.items()))


def table(found: dict[str, Any]) -> str:
    """The summary, a line each."""
    calls = Counter[str]()
    for counted in found["calls"].values():
        calls.update(counted)
    mail, answers = found["mail"], found["answers after healing, seconds"]
    resolved = found["unknown transfers resolved"]
    rows = {
        "acknowledged transfers": f"{found['acknowledged transfers']:,}",
        "faults, of so many kinds": f"{found['faults']}, {found['kinds of fault']}",
        "moments with three faults at once": found["mixed"],
        "calls answered ok, refused, unknown": ", ".join(f"{calls[word]:,}" for word in (OK, REFUSED, UNKNOWN)),
        "unknown transfers that repeating their key resolved": f"{sum(resolved.values()):,}",
        "acknowledged transfers lost, doubled": "0, 0",
        "refused transfers stored": 0,
        SNAPSHOTS: f"{found[SNAPSHOTS]:,}",
        "runs of `verify_ledger`, each whole": found["runs of verify_ledger, each whole"],
        "notices owed, delivered, delivered twice, given up": ", ".join(
            f"{mail.get(name, 0):,}" for name in ("notices", "delivered", "twice", "given up")
        ),
        "the service answers after healing: median, longest": f"{answers['median']} s, {answers['longest']} s",
    }
    return "\n".join(["| | |", "|---|--:|", *(f"| {name} | {value} |" for name, value in rows.items())])


def fault_table(found: dict[str, Any]) -> str:
    """The faults, a line each."""
    lines = ["| fault | times | unknown calls meanwhile | answers again after, longest |", "|---|--:|--:|--:|"]
    for name, row in found["by fault"].items():
        lines.append(f"| {name} | {row['times']} | {row['unknown calls']} | {row['answers after, seconds']} s |")
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
    for began, ended, _ in history.faults:
        axes.axvspan(began - history.began, ended - history.began, color="#d98f3a", alpha=0.35, linewidth=0)
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
