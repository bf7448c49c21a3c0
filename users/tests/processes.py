"""A Celery worker and a web server in processes of their own, on the database of the tests that start them."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.db import connection

PROJECT = Path(__file__).parents[2]
WORKER = (
    *("celery", "-A", "ledger_project.celery", "worker"),
    *("--concurrency", "1", "--without-mingle", "--without-gossip"),
)
BEAT = ("celery", "-A", "ledger_project.celery", "beat")
WEB = ("granian", "--interface", "wsgi", "ledger_project.wsgi:application", "--workers", "1", "--port")


def environment(**own: str) -> dict[str, str]:
    """This process's environment, with the database of this process's tests."""
    return {**os.environ, "MONGODB_DATABASE": connection.settings_dict["NAME"], **own}


@contextmanager
def running(*command: str, log: Path, env: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """`python -m command` in a process group of its own, all of which is gone afterwards."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=PROJECT,
            env=env,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        kill(process)


def children(process: subprocess.Popen[bytes]) -> list[int]:
    """The process ids of its children."""
    return [int(child) for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def kill(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL to the process and all its children: no warning, nothing tidied up."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
