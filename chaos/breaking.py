"""`make chaos CHAOS=--breaks`: runs with the engine broken on purpose, and one without, under the same faults."""

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple

from chaos.network import ROOT
from chaos.report import RESULTS

MINUTES = "6"  # at most


class Break(NamedTuple):
    """One of breaks.py: the faults that bring it to light, and words, some of which a check that notices says."""

    name: str
    faults: tuple[str, ...]
    noticed_by: tuple[str, ...]


BREAKS = (
    Break("write concern 1", ("primary cut off from the others",), ("stored 0 times", "was answered differently")),
    Break("no idempotency check", ("redis flushed",), ("stored 2 times", "stored 3 times", "stored more than once")),
    Break("no version guard", ("redis flushed",), ("sums to", "account_balance", "entry_sequence", "account_sequence")),
    Break("mail inside the request", ("mail server down",), ("are forgotten",)),
)


def outcome(seed: str, within: float, say: Callable[[str], None]) -> int:
    """0 when each break was noticed for its own reason, and the whole engine passed. Writes results/breaks.md."""
    every = tuple(dict.fromkeys(fault for one in BREAKS for fault in one.faults))
    code, said = _run(seed, within, "", every)
    rows, fine = [_row("nothing", every, "every check held" if code == 0 else f"EXIT CODE {code}: {said}")], code == 0
    say(rows[0])
    for one in BREAKS:
        code, said = _run(seed, within, one.name, one.faults)
        is_caught = code == 1 and any(words in said for words in one.noticed_by)
        rows.append(_row(one.name, one.faults, said if is_caught else f"NOT CAUGHT, exit code {code}: {said}"))
        fine = fine and is_caught
        say(rows[-1])
    _write(seed, rows)
    return 0 if fine else 1


def _run(seed: str, within: float, broken: str, faults: tuple[str, ...]) -> tuple[int, str]:
    """The exit code of a run with this break, and the violation that it found."""
    only = [word for fault in faults for word in ("--only", fault)]
    options = ["--seed", seed, "--within", str(within), "--broken", broken, "--minutes", MINUTES, *only]
    command = [sys.executable, "-m", "chaos", *options]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as run:  # noqa: S603
        try:
            told, _ = run.communicate()
        finally:
            run.terminate()  # if we are told to end: it ends what it has started
    lines = told.splitlines()
    found = next((line for line in lines if line.startswith("VIOLATION")), " ".join(lines[-3:]))
    return run.returncode, found.removeprefix("VIOLATION: ")[:300]


def _row(name: str, faults: tuple[str, ...], said: str) -> str:
    return f"| {name} | {', '.join(faults)} | {said.replace('|', '/')} |"


def _write(seed: str, rows: list[str]) -> None:
    head = ["# What `make chaos CHAOS=--breaks` found", "", "| taken away | under | the checks |", "|---|---|---|"]
    foot = ["", f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, seed {seed}. What each break is: [breaks.py](../breaks.py)."]
    (RESULTS / "breaks.md").write_text("\n".join([*head, *rows, *foot]) + "\n")
