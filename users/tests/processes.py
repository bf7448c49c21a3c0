"""A Celery worker and a web server in processes of their own, on the database of the tests that start them."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Self

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


class Done(NamedTuple):
    """How a command ended: the code that its program would exit with, what it printed, and why it failed."""

    code: int
    printed: str
    error: str


class Operator:
    """`manage.py` in a process of its own that takes command after command: Django is loaded once for all of them.

    with Operator(env) as manage: manage("verify_ledger", "--json").code
    """

    _PROGRAM = """
import io, json, os, sys
from contextlib import redirect_stdout

answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # what is logged is no answer

import django
from django.core.management import CommandError, call_command

django.setup()
for line in sys.stdin:
    code, error = 0, ""
    with redirect_stdout(io.StringIO()) as printed:
        try:
            call_command(*json.loads(line))
        except CommandError as failed:
            code, error = failed.returncode, str(failed)
    print(json.dumps([code, printed.getvalue(), error]), file=answers, flush=True)
"""

    def __init__(self, env: dict[str, str]) -> None:
        self._env = env

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-c", self._PROGRAM],
            cwd=PROJECT,
            env=self._env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(self, *error: object) -> None:
        self._process.communicate()

    def __call__(self, *arguments: str) -> Done:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(arguments), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        assert answer, "it ended; standard error says why"
        return Done(*json.loads(answer))


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
