"""A real mongod and a real redis-server out of the installed wheels, for local use and tests; never for production.

    with Mongo(directory) as mongo, Redis(directory) as redis:
        mongo.uri, redis.url

Both listen on loopback only, on a free port, and end with the process that started them.
"""

import ctypes
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pymongo
import redis
from pymongo.errors import OperationFailure, PyMongoError

START_SECONDS = 120
STOP_SECONDS = 15
PR_SET_PDEATHSIG = 1


class DidNotStart(Exception):
    """A server could not be started; the message says which, why, and where its log is."""


def free_port(preferred: int | None = None) -> int:
    """`preferred` when nobody listens there, else a port that the system gives."""
    for port in filter(None, (preferred, 0)) if preferred else (0,):
        try:
            return _bindable(port)
        except OSError:
            continue
    return _bindable(0)


def _bindable(port: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))
        return probe.getsockname()[1]


def _die_with_parent() -> None:
    """In the child, on Linux: SIGTERM when the parent is gone, however it went. Nothing is left behind."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class _Server:
    """A server process in a directory: starts, waits until it answers, stops."""

    name: str
    process: subprocess.Popen[bytes]

    def __init__(self, directory: Path) -> None:
        self.directory = directory / self.name
        self.directory.mkdir(parents=True, exist_ok=True)
        self.log = self.directory / "log"
        self.port_file = self.directory / "port"
        remembered = int(self.port_file.read_text()) if self.port_file.exists() else None
        self.port = free_port(remembered)

    def command(self) -> list[str]:
        raise NotImplementedError

    def answers(self) -> bool:
        raise NotImplementedError

    def __enter__(self) -> Self:
        self._begin()
        try:
            self._wait_until(self.answers)
        except BaseException:
            self.stop()
            raise
        self.port_file.write_text(str(self.port))
        return self

    def _begin(self) -> None:
        """Start the process, and wait for nothing."""
        with self.log.open("ab") as log:
            try:
                self.process = subprocess.Popen(
                    self.command(),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,  # Ctrl-C is for the supervisor, which stops its servers last
                    preexec_fn=_die_with_parent,  # noqa: PLW1509  (one system call, no lock taken)
                )
            except OSError as error:
                raise DidNotStart(f"{self.name} could not start: {error}") from error

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def stop(self) -> None:
        """Ask it to end, wait, and make sure."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def _wait_until(self, answers: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise DidNotStart(f"{self.name} ended with code {self.process.returncode}; its log: {self.log}")
            if answers():
                return
            time.sleep(0.05)
        raise DidNotStart(f"{self.name} did not answer within {START_SECONDS} s; its log: {self.log}")


class Mongo(_Server):
    """A one-node replica set, so that there are transactions.

    `test=True` allows fail points. `cache_gb` is small enough for one's own machine; None is what MongoDB takes by
    itself, about half of the memory.
    """

    name = "mongod"

    def __init__(self, directory: Path, *, test: bool = False, cache_gb: float | None = 1) -> None:
        super().__init__(directory)
        self.test = test
        self.cache = [] if cache_gb is None else ["--wiredTigerCacheSizeGB", str(cache_gb)]

    @property
    def uri(self) -> str:
        """The connection string, without a database."""
        return f"mongodb://127.0.0.1:{self.port}/?replicaSet=ledger"

    def command(self) -> list[str]:
        binary = _mongod()
        # A process that is killed leaves its locks for so long, and half as long again: mongod looks that often.
        parameters = {"transactionLifetimeLimitSeconds": 3}
        if self.test:
            parameters |= {"enableTestCommands": 1}
        return [
            str(binary),
            *("--dbpath", str(self.directory)),
            *("--port", str(self.port)),
            *("--bind_ip", "127.0.0.1"),
            *("--replSet", "ledger"),
            *("--networkMessageCompressors", "snappy,zstd"),  # zlib is CVE-2025-14847 in this release
            *self.cache,
            *("--nounixsocket",),
            *(word for name, value in parameters.items() for word in ("--setParameter", f"{name}={value}")),
        ]

    def answers(self) -> bool:
        """Whether it is a primary; the first time, and after its port changed, it is told that it is the set."""
        client: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient(
            "127.0.0.1", self.port, directConnection=True, serverSelectionTimeoutMS=500
        )
        with client:
            try:
                hello = client.admin.command("hello")
                if not hello.get("isWritablePrimary"):
                    self._make_replica_set(client)
                return bool(hello.get("isWritablePrimary"))
            except PyMongoError:
                return False

    def _make_replica_set(self, client: pymongo.MongoClient[dict[str, Any]]) -> None:
        member = {"_id": 0, "host": f"127.0.0.1:{self.port}"}
        config = client.local["system.replset"].find_one()
        try:
            if config is None:
                client.admin.command("replSetInitiate", {"_id": "ledger", "members": [member]})
            elif config["members"][0]["host"] != member["host"]:
                config |= {"members": [member], "version": config["version"] + 1}
                client.admin.command("replSetReconfig", config, force=True)
        except OperationFailure:
            pass  # it is still finding its feet; the next look tells


class Redis(_Server):
    """A redis-server that keeps nothing on disk: broker and cache may be lost at any moment."""

    name = "redis"

    @property
    def url(self) -> str:
        """The URL of its database 0."""
        return f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> list[str]:
        return [
            str(Path(sys.executable).parent / "redis-server"),
            *("--port", str(self.port)),
            *("--bind", "127.0.0.1"),
            *("--dir", str(self.directory)),
            *("--save", ""),
            *("--appendonly", "no"),
        ]

    def answers(self) -> bool:
        """Whether it answers PING."""
        with redis.Redis(port=self.port, socket_connect_timeout=0.5, socket_timeout=0.5) as client:
            try:
                return bool(client.ping())
            except redis.RedisError:
                return False


def _mongod() -> Path:
    """The mongod of the installed wheel, made executable (wheels lose that bit)."""
    found = importlib.util.find_spec("fiftyone")
    for folder in (found.submodule_search_locations or []) if found else []:
        binary = Path(folder) / "db" / "bin" / "mongod"
        if binary.exists():
            binary.chmod(0o755)
            return binary
    raise DidNotStart("mongod is not installed: the embedded one needs Linux x86-64 or macOS; or set MONGODB_URI")


def remember(directory: Path, *, mongodb_uri: str, redis_url: str) -> None:
    """Leave word of the running servers in `directory`, so that manage.py in another terminal finds them."""
    (directory / "servers.json").write_text(
        json.dumps({"pid": os.getpid(), "MONGODB_URI": mongodb_uri, "REDIS_URL": redis_url})
    )


def forget(directory: Path) -> None:
    """Take the word back."""
    (directory / "servers.json").unlink(missing_ok=True)


def running(directory: Path) -> dict[str, str]:
    """The MONGODB_URI and REDIS_URL of the servers that run for `directory`; empty when none does."""
    try:
        return json.loads((directory / "servers.json").read_text())
    except (FileNotFoundError, ValueError):
        return {}
