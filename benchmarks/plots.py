"""The plots of the figures, as PNG."""

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure, Side
from benchmarks.report import sides

OURS, YARDSTICK = "#2f6f9f", "#b9b9b9"
COLORS = ("#8a8a8a", OURS, "#d98f3a")
YARDSTICKS = ("PyMongo alone", "authenticated no-op")


def draw(directory: Path, figures: Sequence[Figure], percentiles_ms: dict[str, Sequence[float]]) -> None:
    """Draw what was measured into `directory`; a plot without anything to show is not made."""
    # matplotlib is in requirements/bench.txt alone, so nothing else of the project may need it to be imported.
    importlib.import_module("matplotlib").use("Agg")
    pyplot = importlib.import_module("matplotlib.pyplot")
    rates = [side for side in sides(figures) if side.unit.endswith("/s")]
    if rates:
        _save(_throughput(pyplot, rates), directory / "throughput.png")
    if percentiles_ms:
        _save(_latency(pyplot, percentiles_ms), directory / "latency.png")
    pairs = {side.name: side for side in rates if "process" in side.name or "ledger" in side.name}
    if pairs:
        _save(_scaling(pyplot, list(pairs.values())), directory / "scaling.png")


def _save(plot: Any, file: Path) -> None:
    plot.tight_layout()
    plot.savefig(file, dpi=110)


def _throughput(pyplot: Any, rates: list[Side]) -> Any:
    plot, axes = pyplot.subplots(figsize=(9, 0.8 + 0.36 * len(rates)))
    names = [side.name for side in rates][::-1]
    values = [side.median for side in rates][::-1]
    bars = axes.barh(names, values, color=[YARDSTICK if name.startswith(YARDSTICKS) else OURS for name in names])
    axes.bar_label(bars, [f"{value:,.0f}" for value in values], padding=3)
    axes.margins(x=0.12)
    axes.set_xlabel("a second, median of the rounds; grey: what it is compared with")
    _tidy(axes)
    return plot


def _latency(pyplot: Any, percentiles_ms: dict[str, Sequence[float]]) -> Any:
    plot, axes = pyplot.subplots(figsize=(9, 4.5))
    for (name, curve), color in zip(percentiles_ms.items(), COLORS, strict=False):
        axes.plot(range(1, 100), curve[:99], label=name, color=color)
    axes.set_yscale("log")
    axes.set_xlabel("percentile of the requests, 64 connections (PyMongo alone: of its transactions)")
    axes.set_ylabel("milliseconds (logarithmic)")
    axes.legend(frameon=False)
    axes.grid(axis="y", alpha=0.3)
    _tidy(axes)
    return plot


def _scaling(pyplot: Any, rates: list[Side]) -> Any:
    plot, axes = pyplot.subplots(figsize=(9, 4))
    bars = axes.bar(
        [side.name.replace(" in the ", "\nin the ") for side in rates], [s.median for s in rates], color=OURS
    )
    axes.bar_label(bars, [f"{side.median:,.0f}" for side in rates], label_type="center", color="white")
    spread = [
        [side.median - min(side.values) for side in rates],
        [max(side.values) - side.median for side in rates],
    ]
    axes.errorbar(range(len(rates)), [side.median for side in rates], yerr=spread, fmt="none", color="black", capsize=4)
    axes.set_ylabel("transfers a second, 64 connections")
    axes.margins(y=0.15)
    _tidy(axes)
    return plot


def _tidy(axes: Any) -> None:
    axes.spines[["top", "right"]].set_visible(False)
