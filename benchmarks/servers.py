"""What the figures run on: MongoDB, Redis, ledgers and web servers, on a data folder that is gone afterwards."""

import json
import os
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from honcho.environ import parse_procfile

from benchmarks.load import Load, new_run, wrk
from ledger_project.embedded import Mongo, Redis, _Server

ROOT = Path(__file__).resolve().parent.parent
CONNECTIONS = 64
WARM_UP_SECONDS = 2
BATCH_PATH = "/api/transactions/batch"


class ToolFailed(Exception):
    """A command of the project ended badly; the message is what it said."""


@dataclass(frozen=True)
class Ledger:
    """A database with 1,000 funded accounts. The hub is the account with an entry in each seeded transfer."""

    name: str
    people: Path
    seconds: float
    transfers: int
    reader_token: str
    staff_session: str
    hub: str
    hub_entries: int
    small: str

    def only(self, count: int) -> Path:
        """The accounts of `count` different users, as a file."""
        lines = self.people.read_text().splitlines(keepends=True)
        some = self.people.with_name(f"{self.people.name}-{count}")
        some.write_text("".join(lines[:: len(lines) // count][:count]))
        return some


class Web(_Server):
    """The Procfile's web server on one ledger."""

    def __init__(self, directory: Path, name: str, environment: dict[str, str]) -> None:
        self.name = name
        super().__init__(directory)
        self.environment = environment | {"PORT": str(self.port), "HOST": "127.0.0.1"}
        self.url = f"http://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        line = parse_procfile((ROOT / "Procfile").read_text()).processes["web"]
        settings = [f"{name}={value}" for name, value in self.environment.items()]
        return ["env", *settings, "sh", "-c", line]

    def answers(self) -> bool:
        """Whether it answers a request that needs neither token nor database."""
        try:
            with urllib.request.urlopen(f"{self.url}/healthz", timeout=2):  # noqa: S310  (our own address)
                return True
        except OSError:
            return False

    def worker(self) -> int:
        """The process id of its first worker."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return int(children[0])


class Stage:
    """Starts what a figure asks for when it is first asked for, and ends it all together."""

    def __init__(self) -> None:
        self.stack = ExitStack()
        self.failures: list[str] = []  # of HTTP and of the ledgers: any of them makes the whole run fail
        self._ledgers: dict[str, Future[Ledger]] = {}
        self._webs: dict[tuple[str, int], Web] = {}

    def __enter__(self) -> Self:
        (ROOT / "var").mkdir(exist_ok=True)
        # Beside the code and not in /tmp, which may be memory: there, a journal costs nothing.
        temporary = tempfile.TemporaryDirectory(prefix="bench-", dir=ROOT / "var", ignore_cleanup_errors=True)
        self.directory = Path(self.stack.enter_context(temporary))
        # As on a server of its own: 2 million entries and a minute's changes do not fit into what `make run` gives it.
        self.mongodb_uri = self.stack.enter_context(Mongo(self.directory, cache_gb=None)).uri
        self.redis_url = self.stack.enter_context(Redis(self.directory)).url
        self._background = self.stack.enter_context(ThreadPoolExecutor(2))
        return self

    def __exit__(self, *error: Any) -> None:
        self.stack.__exit__(*error)

    def environment(self, ledger: str) -> dict[str, str]:
        """What a process of the project must know to work on this ledger."""
        return {
            "DJANGO_SETTINGS_MODULE": "benchmarks.settings",
            "MONGODB_URI": self.mongodb_uri,
            "MONGODB_DATABASE": ledger,
            "REDIS_URL": self.redis_url,
            "LEDGER_DATA_DIR": str(self.directory),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        }

    def prepare(self, ledger: str, *, transfers: int = 0) -> Future[Ledger]:
        """Begin to build a ledger, if that has not begun yet, while other things go on."""
        if ledger not in self._ledgers:
            self._ledgers[ledger] = self._background.submit(self._build, ledger, transfers)
        return self._ledgers[ledger]

    def ledger(self, name: str, *, transfers: int = 0) -> Ledger:
        """A ledger of that name, with as many transfers in it if it has to be built first."""
        return self.prepare(name, transfers=transfers).result()

    def _build(self, name: str, transfers: int) -> Ledger:
        people = self.directory / f"people-{name}"
        built = self.tool(name, "-m", "benchmarks.ledger_of_size", str(people), "--transfers", str(transfers))
        return Ledger(name=name, people=people, **built)

    def web(self, ledger: Ledger, *, processes: int) -> Web:
        """A warm web server on `ledger`: the same one whenever it is asked for."""
        if (ledger.name, processes) not in self._webs:
            self._webs[ledger.name, processes] = self.new_web(ledger, processes=processes)
        return self._webs[ledger.name, processes]

    def new_web(self, ledger: Ledger, *, processes: int, purpose: str = "") -> Web:
        """A warm web server of one's own."""
        environment = self.environment(ledger.name) | {"WEB_PROCESSES": str(processes)}
        web = Web(self.directory, f"web-{ledger.name}-{processes}{purpose}", environment)
        self.stack.enter_context(web)
        self.transfers(web, ledger, seconds=WARM_UP_SECONDS)
        return web

    def transfers(
        self,
        web: Web,
        ledger: Ledger,
        *,
        seconds: int,
        connections: int = CONNECTIONS,
        path: str = "/api/transactions/",
        people: Path | None = None,
        payee: str = "",
    ) -> Load:
        """Load `web` with single transfers between the accounts of `people`, or all to `payee`."""
        arguments = [path, str(people or ledger.people), new_run(), *([payee] if payee else [])]
        return self.load(web, "transfers.lua", *arguments, connections=connections, seconds=seconds)

    def batches(self, web: Web, ledger: Ledger, *, size: int, seconds: int, connections: int) -> Load:
        """Load `web` with batches of `size` transfers."""
        arguments = [BATCH_PATH, str(ledger.people), new_run(), str(size)]
        return self.load(web, "batches.lua", *arguments, connections=connections, seconds=seconds)

    def has_batches(self, web: Web, ledger: Ledger) -> bool:
        """Whether the server knows the batch endpoint: then an empty batch is refused for what it is."""
        token = ledger.people.read_text().split(maxsplit=2)[1]
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"{web.url}{BATCH_PATH}", b"{}", headers)  # noqa: S310  (our own address)
        try:
            with urllib.request.urlopen(request, timeout=10):  # noqa: S310
                return True
        except urllib.error.HTTPError as refused:
            return refused.code not in (404, 405)

    def load(self, web: Web, script: str, *arguments: str, connections: int, seconds: int) -> Load:
        """Run wrk, and remember any answer that was not as expected."""
        found = wrk(web.url, script, *arguments, connections=connections, seconds=seconds)
        if found.failure:
            self.failures.append(f"{web.name}, {script} {arguments[0]}, {connections} connections: {found.failure}")
        return found

    def verify(self) -> list[dict[str, Any]]:
        """Verify every ledger that was built, two at a time; what is not whole is a failure."""
        names = list(self._ledgers)
        found = list(self._background.map(self._verify, names))
        for name, report in zip(names, found, strict=True):
            if not report["whole"]:
                self.failures.append(f"verify_ledger on {name}: {report['counts']} {report['findings'][:3]}")
        return [{"ledger": name} | report for name, report in zip(names, found, strict=True)]

    def _verify(self, name: str) -> dict[str, Any]:
        return self.tool(name, "manage.py", "verify_ledger", "--json")

    def tool(self, ledger: str, *arguments: str) -> dict[str, Any]:
        """Run a Python command of the project on `ledger`, and return the JSON that it prints last."""
        process = subprocess.Popen(  # noqa: S603
            [sys.executable, *arguments],
            cwd=ROOT,
            env=os.environ | self.environment(ledger),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.stack.callback(process.kill)  # nothing when it has ended by then
        out, err = process.communicate()
        try:
            return json.loads(out.strip().splitlines()[-1])
        except (ValueError, IndexError):
            raise ToolFailed(f"{' '.join(arguments)}: {(err or out).strip()[-1000:]}") from None
