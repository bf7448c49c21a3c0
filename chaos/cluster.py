"""What runs: three mongod, Redis, a mail server, two web servers, two Celery workers and beat, on a data folder that is
gone afterwards. Each mongod is in a network namespace of its own, on a small disk of its own, under a clock of its own,
as far as this machine lets us.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import pymongo
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from chaos.network import MEMBERS, ROOT, Network, is_possible, run
from chaos.processes import (
    ELECTION_MS,
    WORKER_CHILDREN,
    Cache,
    Document,
    Mail,
    Member,
    NotInTime,
    Process,
    Web,
    Worker,
    forget_clocks,
    wait_until,
)
from ledger_project.embedded import DidNotStart

WEBS, WORKERS = 2, 2
DISK_MB = 1500
SYSTEM_EMAIL, PASSWORD = "system@ledger.local", "correct horse battery"


class Cluster:
    """Everything, started together and ended together."""

    def __init__(self, seed: str, *, broken: str = "") -> None:
        self.seed, self.broken = seed, broken
        self.stack = ExitStack()
        self.restarted: list[str] = []
        self.is_isolated = is_possible()

    def __enter__(self) -> Self:
        (ROOT / "var").mkdir(exist_ok=True)
        temporary = tempfile.TemporaryDirectory(prefix="chaos-", dir=ROOT / "var", ignore_cleanup_errors=True)
        self.directory = Path(self.stack.enter_context(temporary))
        try:
            self._start()
        except BaseException:
            self.stack.close()
            raise
        return self

    def __exit__(self, *error: Any) -> None:
        self.stack.__exit__(*error)

    def _start(self) -> None:
        self.stack.callback(forget_clocks)
        self.network = Network(self.stack, self.seed, isolated=self.is_isolated)
        self.members = [self._member(number) for number in range(MEMBERS)]
        self.redis = self.stack.enter_context(Cache(self.directory))
        self.mail = self.stack.enter_context(Mail(self.directory))
        self._initiate()
        self.client: MongoClient[Document] = self.stack.enter_context(
            MongoClient(self.uri, serverSelectionTimeoutMS=5000, socketTimeoutMS=20000, appname="chaos", w="majority")
        )
        self.database = self.client["ledger"]
        self.tool("migrate", "--verbosity", "0")
        self.tool("create_system_user", "--email", SYSTEM_EMAIL)
        made = self.tool("create_system_user", "--email", f"treasury-{SYSTEM_EMAIL}", "--json")
        self.treasury: str = json.loads(made.strip().splitlines()[-1])["equity_account"]
        self.webs = [self.stack.enter_context(Web(self.directory, n, self.environment())) for n in range(WEBS)]
        names = [*(f"worker-{number}" for number in range(WORKERS)), "beat"]
        parts = [self.stack.enter_context(Worker(self.directory, name, self.environment())) for name in names]
        self.workers, self.beat = parts[:-1], parts[-1]

    def _member(self, number: int) -> Member:
        if self.is_isolated:
            disk = self.directory / f"mongod-{number}"
            disk.mkdir()
            run("mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "chaos", str(disk))
            self.stack.callback(run, "umount", "--lazy", str(disk))
        return self.stack.enter_context(Member(self.directory, number, self.network))

    def _initiate(self) -> None:
        members = [{"_id": member.number, "host": member.address} for member in self.members]
        settings = {"electionTimeoutMillis": ELECTION_MS, "heartbeatIntervalMillis": 1000}
        with self.members[0].client() as client:
            client.admin.command("replSetInitiate", {"_id": "ledger", "members": members, "settings": settings})
        wait_until(self.has_primary, seconds=30, what="a first primary")

    @property
    def uri(self) -> str:
        """MongoDB's connection string."""
        return f"mongodb://{','.join(member.address for member in self.members)}/?replicaSet=ledger"

    def environment(self) -> Document:
        """What a process of the project must know."""
        return {
            "DJANGO_SETTINGS_MODULE": "chaos.settings",
            "CHAOS_BREAK": self.broken,
            "MONGODB_URI": self.uri,
            "MONGODB_DATABASE": "ledger",
            "REDIS_URL": self.redis.url,
            "LEDGER_DATA_DIR": str(self.directory),
            "EMAIL_PROVIDER": "smtp",
            "EMAIL_PORT": str(self.mail.port),
            "LOG_LEVEL": "WARNING",
            "WORKER_PROCESSES": str(WORKER_CHILDREN),
            "SYSTEM_USER_PASSWORD": PASSWORD,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        }

    def tool(self, *arguments: str) -> str:
        """Run a command of manage.py: what it says. Raises DidNotStart with that when it fails."""
        process = self.begin(*arguments)
        said, _ = process.communicate()
        if process.returncode:
            raise DidNotStart(f"manage.py {' '.join(arguments)}: {said.strip()[-1000:]}")
        return said

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        """Begin a command of manage.py."""
        process = subprocess.Popen(  # noqa: S603
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=os.environ | self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.stack.callback(process.kill)  # nothing when it has ended by then
        return process

    def supervise(self) -> list[str]:
        """Start again what has ended by itself, as a process manager does; the web servers that no fault had struck."""
        ended = [process for process in self.processes if process.has_ended()]
        for process in ended:
            self.restarted.append(process.name)
            process.start()
        return [process.name for process in ended if isinstance(process, Web) and not process.is_struck]

    @property
    def processes(self) -> list[Process]:
        """All that runs."""
        return [*self.members, self.redis, self.mail, *self.webs, *self.workers, self.beat]

    def has_primary(self) -> bool:
        """Whether a member takes writes."""
        return any(member.is_primary() for member in self.members)

    def primary(self) -> Member:
        """The member that takes writes; another one where a fault is on that leaves none."""
        with suppress(NotInTime):
            wait_until(self.has_primary, seconds=10, what="a primary")
        return next((member for member in self.members if member.is_primary()), self.members[0])

    def term(self) -> int:
        """How many elections there have been, as far as a member tells; 0 when none does."""
        known = [0]
        for member in self.members:
            with suppress(PyMongoError), member.client() as client, pymongo.timeout(2):
                known.append(client.admin.command("replSetGetStatus")["term"])
        return max(known)

    def secondaries(self) -> list[Member]:
        """The others."""
        primary = self.primary()
        return [member for member in self.members if member is not primary]

    @contextmanager
    def fail_point(self, member: Member, name: str, **data: Any) -> Iterator[Callable[[], None]]:
        """Arm a fail point of `member`; what is yielded waits until it was entered. Off when the block ends."""
        with member.client() as client:
            armed = client.admin.command("configureFailPoint", name, mode="alwaysOn", data=data)

            def entered() -> None:
                client.admin.command(
                    "waitForFailPoint", name, timesEntered=armed["count"] + 1, maxTimeMS=10_000, comment="chaos"
                )

            try:
                yield entered
            finally:
                with suppress(PyMongoError):  # it may have been killed with the server
                    client.admin.command("configureFailPoint", name, mode="off")
