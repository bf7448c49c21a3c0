"""The table of the figures, for people (Markdown) and for programs (JSON)."""

import json
import os
import platform
import re
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure, Side
from benchmarks.runs import Plan
from benchmarks.servers import ROOT

TIMES = "\N{MULTIPLICATION SIGN}"
SAID = {True: "met", False: "**not met**", None: "skipped"}


def conditions(plan: Plan, mongod: str) -> dict[str, Any]:
    """Under what the figures were measured: what one must know to compare them."""
    web = re.search(r"^web: (.*)$", (ROOT / "Procfile").read_text(), re.MULTILINE)
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": _commit(),
        "machine": f"{os.cpu_count()} cores, {_processor()}, {platform.system()}",
        "python": platform.python_version(),
        "mongod": f"{mongod}, one-node replica set with its own choice of cache, every write majority and journaled",
        "load": f"wrk, 1 thread; {plan.rounds} rounds of {plan.seconds} s a side, in turns, after a warm-up",
        "web": web[1] if web else "?",
        "web processes": "2 where no number is named",
        "threads a process": os.environ.get("WEB_THREADS") or _default_of("WEB_THREADS"),
    }


def _commit() -> str:
    asked = ["git", "describe", "--always", "--dirty", "--abbrev=10"]
    said = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603
    return said.stdout.strip() or "not a git checkout"


def _processor() -> str:
    told = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*: (.*)", told.read_text()) if told.exists() else None
    return found[1] if found else platform.machine()


def _default_of(variable: str) -> str:
    found = re.search(rf"\{{{variable}:-(\d+)\}}", (ROOT / "Procfile").read_text())
    return found[1] if found else "?"


def table(figures: Sequence[Figure]) -> str:
    """The figures with their bounds, a line each."""
    lines = ["| figure | measured | bound | | lowest and highest round |", "|---|--:|--:|---|---|"]
    return "\n".join([*lines, *map(_line, figures)])


def _line(figure: Figure) -> str:
    bound = f"{'≥' if figure.at_least else '≤'} {figure.bound:.2f} {TIMES}"
    if figure.value is None:
        return f"| {figure.says} | | {bound} | skipped: {figure.skipped} | |"
    low, high = min(figure.ratios), max(figure.ratios)
    return f"| {figure.says} | {figure.value:.3f} {TIMES} | {bound} | {SAID[figure.is_met]} | {low:.2f} to {high:.2f} |"


def raw_numbers(figures: Sequence[Figure]) -> str:
    """Both sides of each ratio, every round."""
    lines = ["| side | median | unit | rounds |", "|---|--:|---|---|"]
    return "\n".join([*lines, *map(_side_line, sides(figures))])


def sides(figures: Sequence[Figure]) -> list[Side]:
    """Every side once, in the order of the figures."""
    found = [side for figure in figures for side in (figure.theirs, figure.ours) if side]
    return list({(side.name, side.unit): side for side in found}.values())


def _side_line(side: Side) -> str:
    return f"| {side.name} | {_plain(side.median)} | {side.unit} | {', '.join(map(_plain, side.values))} |"


def _plain(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


def write(
    directory: Path,
    *,
    figures: Sequence[Figure],
    percentiles_ms: dict[str, Sequence[float]],
    under: dict[str, Any],
    verified: list[dict[str, Any]],
) -> None:
    """Write table.md and table.json into `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    data = {
        "conditions": under,
        "figures": [_data(figure) for figure in figures],
        "percentiles_ms": percentiles_ms,
        "verified": verified,
    }
    (directory / "table.json").write_text(json.dumps(data, indent=1) + "\n")
    told = [f"- {name}: {value}" for name, value in under.items()]
    whole = [_verdict(report) for report in verified]
    parts = ["# What `make bench` measured", *_blocks(figures), "## Measured on\n\n" + "\n".join([*told, *whole])]
    (directory / "table.md").write_text("\n\n".join(parts) + "\n")


def _blocks(figures: Sequence[Figure]) -> list[str]:
    return [
        table(figures),
        "Each figure is the median of the ratios of its rounds.",
        "## Both sides, round by round\n\n" + raw_numbers(figures),
        "![throughput](throughput.png)\n\n![latency](latency.png)\n\n![scaling](scaling.png)",
    ]


def _verdict(report: dict[str, Any]) -> str:
    found = "whole" if report["whole"] else f"NOT WHOLE: {report['counts']}"
    return f"- verify_ledger afterwards: {report['entries']:,} entries of `{report['ledger']}` are {found}"


def _data(figure: Figure) -> dict[str, Any]:
    both = {"ours": figure.ours, "theirs": figure.theirs}
    return {
        "figure": figure.says,
        "bound": figure.bound,
        "at_least": figure.at_least,
        "value": figure.value and round(figure.value, 4),
        "met": figure.is_met,
        "skipped": figure.skipped,
        "ratios": [round(ratio, 4) for ratio in figure.ratios],
    } | {
        name: {"name": side.name, "unit": side.unit, "rounds": [round(value, 3) for value in side.values]}
        for name, side in both.items()
        if side
    }
