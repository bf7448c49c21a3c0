"""What runs: three mongod, Redis, a mail server, two web servers, two Celery workers and beat, on a data folder that is
gone afterwards. Each mongod is in a network namespace of its own, on a small disk of its own, under a clock of its own,
as far as this machine lets us; `Cluster.lacks` says what it does not.
"""

import json
import os
import shutil
import signal
import smtplib
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import pymongo
from honcho.environ import parse_procfile
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from ledger_project.embedded import DidNotStart, Redis, _mongod, _Server

ROOT = Path(__file__).resolve().parent.parent
MEMBERS, WEBS, WORKERS = 3, 2, 2
WEB_THREADS = 8
STARTS_SECONDS = 120
ELECTION_MS = 3000  # MongoDB's own default is 10 s: an election would be most of a run
DISK_MB = 1500
OPLOG_MB = 256
SYSTEM_EMAIL, PASSWORD = "system@ledger.local", "correct horse battery"
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


def run(*command: str) -> None:
    """Run a command of the system. Raises CalledProcessError."""
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603


def _forget_clocks() -> None:
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
        wait_until(
            lambda: answers() or self.process.poll() is not None, seconds=STARTS_SECONDS, what=f"{self.name}, up"
        )
        if self.process.poll() is not None:
            raise DidNotStart(f"{self.name} ended with code {self.process.returncode}; its log: {self.log}")

    def answers(self) -> bool:
        """A process that says nothing of itself is taken to be up."""
        return True

    def start(self) -> None:
        """Start it (again) and wait until it answers; nothing if it runs."""
        if self.process.poll() is not None:
            self.__enter__()

    def kill(self) -> None:
        """SIGKILL to it and all that it started, what is left of them."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def children(self) -> list[int]:
        """The process ids of its children."""
        pid = self.process.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

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
            "FAKETIME_FORCE_MONOTONIC_FIX": "0",  # with it, mongod turns round and round in its timed waits
        }

    def stop(self) -> None:
        """At once: what it holds is thrown away with the data folder."""
        self.kill()


class Member(Process):
    """A mongod of the set."""

    def __init__(self, directory: Path, number: int, network: "Network") -> None:
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
        parameters = {"transactionLifetimeLimitSeconds": 5, "enableTestCommands": 1}
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
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=2):
                return True
        except OSError:
            return False


class Worker(Process):
    """A Celery worker with one child, or beat."""

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
        (self.directory / "waiting").unlink(missing_ok=True)
        fresh = self.directory / "mode.new"
        fresh.write_text(mode)
        fresh.rename(self.directory / "mode")

    def keeps_waiting(self) -> bool:
        """Whether a sender waits for an answer."""
        return (self.directory / "waiting").exists()

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


class Network:
    """A namespace for each mongod and a wire between them; without root, loopback."""

    def __init__(self, stack: ExitStack, seed: str, *, isolated: bool) -> None:
        self.isolated = isolated
        self.subnet = f"10.213.{os.getpid() % 250}"
        if isolated:
            self._make(stack, seed)

    def host(self, number: int) -> str:
        """The address of a mongod."""
        return f"{self.subnet}.{11 + number}" if self.isolated else "127.0.0.1"

    def prefix(self, number: int) -> list[str]:
        """The words by which a command runs in a mongod's namespace."""
        return ["ip", "netns", "exec", self._name(number)] if self.isolated else []

    def rules(self, *rules: tuple[str, str, float, float]) -> None:
        """Put these rules of wire.py on the wire; none: it carries everything."""
        assert self.wire.stdin
        self.wire.stdin.write(json.dumps(rules).encode() + b"\n")
        self.wire.stdin.flush()

    def _name(self, number: int) -> str:
        return f"chaos{os.getpid()}-{number}"

    def _make(self, stack: ExitStack, seed: str) -> None:
        for number in range(MEMBERS):
            run("ip", "netns", "add", self._name(number))
            stack.callback(run, "ip", "netns", "delete", self._name(number))
        outside, *inside = [f"ch{os.getpid()}-{number}" for number in range(MEMBERS + 1)]
        hosts = [f"{name}={self.host(number)}" for number, name in enumerate(inside)]
        self.wire = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "chaos.wire", seed, f"{outside}={self.subnet}.1", *hosts],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        stack.callback(self._end_wire)
        assert self.wire.stdout
        self.wire.stdout.readline()
        self._up([], outside, f"{self.subnet}.1")
        for number, name in enumerate(inside):
            run("ip", "link", "set", name, "netns", self._name(number))
            self._up(["-n", self._name(number)], name, self.host(number))

    def _end_wire(self) -> None:
        assert self.wire.stdin
        self.wire.stdin.close()
        self.wire.wait(5)

    def _up(self, where: list[str], name: str, address: str) -> None:
        run("ip", *where, "address", "add", f"{address}/24", "dev", name)
        run("ip", *where, "link", "set", name, "up", "mtu", "60000")
        if where:
            run("ip", *where, "link", "set", "lo", "up")


class Cluster:
    """Everything, started together and ended together."""

    def __init__(self, seed: str, *, broken: str = "") -> None:
        self.seed, self.broken = seed, broken
        self.stack = ExitStack()
        self.is_root = os.geteuid() == 0 and bool(shutil.which("ip")) and Path("/dev/net/tun").exists()

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
        self.stack.callback(_forget_clocks)
        self.network = Network(self.stack, self.seed, isolated=self.is_root)
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
        if self.is_root:
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
            "WORKER_PROCESSES": "2",
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

    def has_primary(self) -> bool:
        """Whether a member takes writes."""
        return any(member.is_primary() for member in self.members)

    def primary(self) -> Member:
        """The member that takes writes; another one where a fault is on that leaves none."""
        with suppress(NotInTime):
            wait_until(self.has_primary, seconds=10, what="a primary")
        return next((member for member in self.members if member.is_primary()), self.members[0])

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
