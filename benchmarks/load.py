"""Load, and what it measured: over HTTP it is made by wrk."""

import json
import os
import shutil
import subprocess
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path

LUA = Path(__file__).parent / "lua"
TIMEOUT_SECONDS = 15  # longer than the server's own deadline: wrk is to see its answer


class WrkIsMissing(Exception):
    """wrk is not here and cannot be installed; the message says what to do."""


@dataclass(frozen=True)
class Load:
    """What one run found. `percentiles_ms[0]` is the first percentile, `[98]` the 99th, `[99]` the maximum."""

    per_second: float
    percentiles_ms: tuple[float, ...]
    operations: int
    failure: str = ""  # empty when every answer was as expected

    @property
    def median_ms(self) -> float:
        """Half of the answers came within this time."""
        return self.percentiles_ms[49]

    @property
    def p99_ms(self) -> float:
        """All but one in a hundred came within this time."""
        return self.percentiles_ms[98]


def have_wrk() -> None:
    """Install wrk where that is ours to do. Raises WrkIsMissing."""
    if shutil.which("wrk"):
        return
    if os.geteuid() == 0 and shutil.which("apt-get"):
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run(["apt-get", "update"], check=False, **quiet)  # type: ignore[call-overload]  # noqa: S607
        subprocess.run(["apt-get", "install", "--yes", "wrk"], check=False, **quiet)  # type: ignore[call-overload]  # noqa: S607
    if not shutil.which("wrk"):
        how = "brew install wrk" if sys.platform == "darwin" else "apt-get install wrk, as root"
        raise WrkIsMissing(f"wrk, the load generator, is missing: {how}")


def new_run() -> str:
    """A name that no run had before: it begins the idempotency keys of a run, and seeds its draw."""
    return uuid.uuid4().hex[:12]


def wrk(url: str, script: str, *arguments: str, connections: int, seconds: int) -> Load:
    """Load the server at `url` by `script` for some seconds. One thread of wrk: the cores belong to the servers."""
    command = [
        *("wrk", "--threads", "1", "--connections", str(connections), "--duration", f"{seconds}s"),
        *("--timeout", f"{TIMEOUT_SECONDS}s", "--script", str(LUA / script), url, "--", *arguments),
    ]
    environment = os.environ | {"LUA_PATH": f"{LUA}/?.lua;;"}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    if ended.returncode or not ended.stdout.rstrip().endswith("}"):
        raise RuntimeError(f"wrk failed: {(ended.stderr or ended.stdout).strip()[-500:]}")
    return _load(json.loads(ended.stdout.rstrip().splitlines()[-1]))


def _load(found: dict) -> Load:
    return Load(
        per_second=found["operations"] / found["seconds"],
        percentiles_ms=tuple(us / 1000 for us in found["percentiles_us"]),
        operations=found["operations"],
        failure=_failure(found),
    )


def _failure(found: dict) -> str:
    if not found["bad"] and not found["broken"]:
        return ""
    counted = f"{found['bad']} wrong answers, {found['broken']} broken connections, {found['operations']} good ones"
    return "\n  ".join([counted, *found["first_bad"].splitlines()])
