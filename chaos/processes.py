"""One server each: started, killed, stopped, started again, under a clock of its own."""

import os
import signal
import smtplib
import sys
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pymongo
from honcho.environ import parse_procfile
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from chaos.network import ROOT, Network
from ledger_project.embedded import DidNotStart, Redis, _mongod, _Server

CLOCK_HEADER = "X-Chaos-Clock"  # in which the web servers tell their time
WEB_THREADS = 8
WORKER_CHILDREN = 4  # each sends one e-mail at a time, and waits for MongoDB most of that
STARTS_SECONDS = 120
ELECTION_MS = 3000  # MongoDB's own default is 10 s: an election would be most of a run
OPLOG_MB = 256
Document = dict[str, Any]


class NotInTime(Exception):
    """Something that was waited for did not come; the message says what."""


def wait_until(holds: Callable[[], Any], *, seconds: float, what: str) -> float:
    """Wait for a condition; how long it took. Raises NotInTime."""
    began = time.monotonic()
    while not holds():
        if time.monotonic() - began > seconds:
            raise NotInTime(f"{what}: not within {seconds:g} s")
        time.sleep(0.05)
    return time.monotonic() - began


def forget_clocks() -> None:
    """Remove what libfaketime leaves in shared memory, of processes that are gone."""
    for left in Path("/dev/shm").glob("*faketime_s*"):  # noqa: S108
        if not Path("/proc", left.name.rpartition("_")[2]).exists():
            left.unlink(missing_ok=True)


class Process(_Server):
    """A server that can be killed, stopped, and started again as it was."""

    environment: Document

    def command(self) -> list[str]:
        return ["env", *(f"{name}={value}" for name, value in self.environment.items()), *self.program()]

    def program(self) -> list[str]:
        raise NotImplementedError

    def _wait_until(self, answers: Callable[[], bool]) -> None:
        """With more patience than elsewhere: what starts anew does so beside a load that takes the whole machine."""
        wait_until(lambda: answers() or self.has_ended(), seconds=STARTS_SECONDS, what=f"{self.name}, up")
        if self.has_ended():
            raise DidNotStart(f"{self.name} ended with code {self.process.returncode}; its log: {self.log}")

    def answers(self) -> bool:
        """A process that says nothing of itself is taken to be up."""
        return True

    def has_ended(self) -> bool:
        """Whether the process is gone."""
        return self.process.poll() is not None

    def start(self) -> None:
        """Start it again; nothing if it runs. Whether and when it answers is for the checks to see."""
        if self.has_ended():
            self._begin()

    def kill(self) -> None:
        """SIGKILL to it and all that it started, what is left of them."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def children(self) -> list[int]:
        """The process ids of its children; none when it is gone itself."""
        pid = self.process.pid
        with suppress(FileNotFoundError, ProcessLookupError):
            return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        return []

    def pause(self) -> None:
        """SIGSTOP."""
        os.killpg(self.process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """SIGCONT."""
        os.killpg(self.process.pid, signal.SIGCONT)

    def set_clock(self, seconds: int) -> None:
        """From now on (a second later), its wall clock is wrong by so much."""
        (self.directory / "clock").write_text(f"{seconds:+d}\n")

    def clock(self) -> dict[str, str]:
        """The variables by which libfaketime gives it a clock of its own; none where there is no libfaketime."""
        library = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
        if library is None:
            return {}
        self.set_clock(0)
        return {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self.directory / "clock"),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "PYTHONPATH": str(Path(__file__).parent / "clock"),
            "FAKETIME_FORCE_MONOTONIC_FIX": "0",  # with it, mongod turns round and round in its timed waits
        }

    def stop(self) -> None:
        """At once: what it holds is thrown away with the data folder."""
        self.kill()


class Member(Process):
    """A mongod of the set."""

    def __init__(self, directory: Path, number: int, network: Network) -> None:
        self.name, self.number = f"mongod-{number}", number
        super().__init__(directory)
        self.host, self.prefix = network.host(number), network.prefix(number)
        self.port = 27017 if self.prefix else self.port
        self.environment = self.clock()
        self.data = self.directory / "data"
        self.data.mkdir()

    @property
    def address(self) -> str:
        """Host and port."""
        return f"{self.host}:{self.port}"

    def command(self) -> list[str]:
        return [*self.prefix, *super().command()]

    def program(self) -> list[str]:
        parameters = {"transactionLifetimeLimitSeconds": 3, "enableTestCommands": 1}
        return [
            str(_mongod()),
            *("--dbpath", str(self.data)),
            *("--bind_ip", self.host, "--port", str(self.port), "--nounixsocket"),
            *("--replSet", "ledger", "--oplogSize", str(OPLOG_MB)),
            *("--wiredTigerCacheSizeGB", "0.25"),
            *("--networkMessageCompressors", "snappy,zstd"),
            *(word for name, value in parameters.items() for word in ("--setParameter", f"{name}={value}")),
        ]

    def client(self) -> MongoClient[Document]:
        """A client of this very server."""
        return MongoClient(
            self.host,
            self.port,
            directConnection=True,
            serverSelectionTimeoutMS=1000,
            connectTimeoutMS=1000,
            appname="chaos",
        )

    def answers(self) -> bool:
        try:
            return bool(self.hello())
        except PyMongoError:
            return False

    def clock_is_wrong_by(self) -> float:
        """How many seconds its wall clock is off; 0 when it cannot be asked."""
        try:
            shown = self.hello()["localTime"].replace(tzinfo=UTC)
        except PyMongoError:
            return 0
        return abs(shown.timestamp() - time.time())

    def hello(self) -> Document:
        """What it says of itself, at once. Raises PyMongoError."""
        with self.client() as client, pymongo.timeout(2):
            return client.admin.command("hello")

    def is_primary(self) -> bool:
        """Whether it says that it takes writes."""
        try:
            return bool(self.hello().get("isWritablePrimary"))
        except PyMongoError:
            return False

    def is_useful(self) -> bool:
        """Whether it is primary or secondary, not recovering."""
        try:
            hello = self.hello()
            return bool(hello.get("isWritablePrimary") or hello.get("secondary"))
        except PyMongoError:
            return False


class Web(Process):
    """One web process (and its parent) of the Procfile's line, as if on a host of its own."""

    def __init__(self, directory: Path, number: int, environment: Document) -> None:
        self.name = f"web-{number}"
        self.is_struck = False  # by a fault of this step: else it has no reason to end
        super().__init__(directory)
        self.environment = environment | {
            "PORT": str(self.port),
            "WEB_PROCESSES": "1",
            "CHAOS_WEB": self.name,
            "WEB_THREADS": str(WEB_THREADS),
            "COMMIT_TURN_FILE": str(self.directory / "commit-turn"),
            **self.clock(),
        }

    def program(self) -> list[str]:
        return ["sh", "-c", parse_procfile((ROOT / "Procfile").read_text()).processes["web"]]

    def answers(self) -> bool:
        return self._time() is not None

    def clock_is_wrong_by(self) -> float:
        """How many seconds its wall clock is off; 0 when it cannot be asked."""
        shown = self._time()
        return abs(shown - time.time()) if shown else 0

    def _time(self) -> float | None:
        """When it answers, by its own clock."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=2) as answer:
                return float(answer.headers[CLOCK_HEADER])
        except (OSError, HTTPException):
            return None


class Worker(Process):
    """A Celery worker with its children, or beat."""

    def __init__(self, directory: Path, name: str, environment: Document) -> None:
        self.name = name
        super().__init__(directory)
        self.environment = environment

    def program(self) -> list[str]:
        line = parse_procfile((ROOT / "Procfile").read_text()).processes["beat" if self.name == "beat" else "worker"]
        return ["sh", "-c", line if self.name == "beat" else f"{line} --hostname {self.name}@chaos"]


class Mail(Process):
    """The mail server of mail.py."""

    name = "mail"

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.environment = {}
        self.be("accept")

    def program(self) -> list[str]:
        return [sys.executable, "-m", "chaos.mail", str(self.port), str(self.directory)]

    def answers(self) -> bool:
        try:
            smtplib.SMTP("127.0.0.1", self.port, timeout=2).quit()
        except OSError:
            return False
        return True

    def be(self, mode: str) -> None:
        """Put it into a mode of mail.py, at once for whoever reads it meanwhile."""
        (self.directory / "met").unlink(missing_ok=True)
        fresh = self.directory / "mode.new"
        fresh.write_text(mode)
        fresh.rename(self.directory / "mode")

    def was_met(self) -> bool:
        """Whether a sender has met with the mode that it is in."""
        return (self.directory / "met").exists()

    def accepted(self) -> list[tuple[float, str]]:
        """When it took which message."""
        lines = (self.directory / "accepted").read_text().splitlines()
        return [(float(at), message) for at, message in map(str.split, lines)]


class Cache(Redis, Process):
    """Redis, which keeps nothing."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)

    def command(self) -> list[str]:
        return Redis.command(self)

    def answers(self) -> bool:
        return Redis.answers(self)
