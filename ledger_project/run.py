"""`make run`: the whole service on one machine, from embedded servers to Celery, until Ctrl-C.

    python -m ledger_project.run

Starts MongoDB and Redis unless MONGODB_URI and REDIS_URL say where they are, prepares the database, runs the Procfile,
and prints the URL and the local log-ins once everything answers.
"""

import fcntl
import json
import os
import secrets
import signal
import sys
import threading
import time
import urllib.error
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import IO, NoReturn

from honcho.environ import parse_procfile
from honcho.manager import Manager

from ledger_project.embedded import DidNotStart, Mongo, Redis, forget, free_port, remember

ROOT = Path(__file__).resolve().parent.parent
READY_SECONDS = 60


def main() -> int:
    """Run until Ctrl-C or SIGTERM; 0 after an orderly stop, 1 when a part could not start or broke."""
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    directory = Path(os.environ.get("LEDGER_DATA_DIR", ROOT / "var")).resolve()
    try:
        with ExitStack() as stack:
            _own(directory, stack)
            _environment(directory, stack)
            logins = _prepare(directory)
            return _run_processes(logins)
    except DidNotStart as error:
        print(f"make run: {error}", file=sys.stderr)
        return 1


def _stop(signum: int, frame: FrameType | None) -> NoReturn:
    """Unwind, so that what was started so far is stopped."""
    raise SystemExit(0)


def _own(directory: Path, stack: ExitStack) -> None:
    """Make `directory` and hold it: two runs on one data folder would fight over it."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = stack.enter_context((directory / "lock").open("w"))
    except OSError as error:
        raise DidNotStart(f"the data folder {directory} cannot be used: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise DidNotStart(f"it is already running on {directory}; stop it, or set LEDGER_DATA_DIR") from None


def _environment(directory: Path, stack: ExitStack) -> None:
    """Put into the environment what settings and Procfile read, starting the servers that are not given."""
    port = int(os.environ.setdefault("PORT", "8000"))
    if free_port(port) != port:
        raise DidNotStart(f"web could not start: port {port} is in use; choose another, as in PORT={port + 1} make run")
    os.environ["LEDGER_DATA_DIR"] = str(directory)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ledger_project.settings.local")
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    if "MONGODB_URI" not in os.environ:
        os.environ["MONGODB_URI"] = stack.enter_context(Mongo(directory)).uri
    if "REDIS_URL" not in os.environ:
        os.environ["REDIS_URL"] = stack.enter_context(Redis(directory)).url
    remember(directory, mongodb_uri=os.environ["MONGODB_URI"], redis_url=os.environ["REDIS_URL"])
    stack.callback(forget, directory)


def _prepare(directory: Path) -> dict[str, tuple[str, str]]:
    """Migrate, and have a system user with funds and a staff user; their log-ins, which are true."""
    import django

    django.setup()
    from django.core.management import CommandError, call_command
    from django.db import DatabaseError
    from pymongo.errors import PyMongoError

    from ledger_project.mongo import connection

    logins = {"system": _login(directory, "SYSTEM_USER"), "staff": _login(directory, "STAFF")}
    try:
        call_command("check", databases=["default"], stdout=_nowhere())
        call_command("migrate", verbosity=0)
        call_command("create_system_user", json=True, stdout=_nowhere())
        call_command("create_staff_user", json=True, stdout=_nowhere())
        call_command("seed_system_funds", amount="1000000", key="first-run", json=True, stdout=_nowhere())
        for email, password in logins.values():
            _make_true(email, password)
    except (CommandError, DatabaseError, PyMongoError) as error:
        raise DidNotStart(f"the database could not be prepared: {error}") from error
    connection().close_pool()
    return logins


def _nowhere() -> IO[str]:
    """Where the commands' words go: this run says at the end what matters."""
    return Path(os.devnull).open("w")


def _login(directory: Path, role: str) -> tuple[str, str]:
    """E-mail and password of the local system or staff user: from the environment, or made once and kept."""
    kept = directory / "logins.json"
    logins = json.loads(kept.read_text()) if kept.exists() else {}
    password = os.environ.get(f"{role}_PASSWORD") or logins.get(role) or secrets.token_urlsafe(12)
    if logins.get(role) != password:
        kept.touch(mode=0o600)
        kept.write_text(json.dumps(logins | {role: password}))
    os.environ[f"{role}_PASSWORD"] = password
    return os.environ.setdefault(f"{role}_EMAIL", f"{role.split('_', maxsplit=1)[0].lower()}@ledger.local"), password


def _make_true(email: str, password: str) -> None:
    """What is printed must let one in, also when the variable changed since the user was made."""
    from users.models import User

    user = User.objects.get_by_natural_key(email)
    if not user.check_password(password):
        user.set_password(password)
        user.save(update_fields=["password"])


def _run_processes(logins: dict[str, tuple[str, str]]) -> int:
    """Run the Procfile until a signal or until a process ends."""
    manager = Manager()
    for name, command in parse_procfile((ROOT / "Procfile").read_text()).processes.items():
        manager.add_process(name, command, cwd=str(ROOT))
    announcer = _Announcer(logins)
    announcer.start()
    manager.loop()
    announcer.stop.set()
    if announcer.failure:
        raise DidNotStart(announcer.failure)
    if manager.returncode in (130, 143):  # honcho's codes for the signals that end it in an orderly way
        return 0
    raise DidNotStart(f"{_ended_first(manager)} ended by itself; its last lines above say why")


def _ended_first(manager: Manager) -> str:
    """The name of the process that brought the others down: honcho ended those by SIGTERM."""
    codes = {name: state.get("returncode") for name, state in manager._processes.items()}
    return next((name for name, code in codes.items() if code != -signal.SIGTERM), "a process")


class _Announcer(threading.Thread):
    """Waits until every part answers and says so; if that takes too long, says which does not and ends the run."""

    def __init__(self, logins: dict[str, tuple[str, str]]) -> None:
        super().__init__(daemon=True)
        self.logins = logins
        self.url = f"http://127.0.0.1:{os.environ['PORT']}"
        self.stop = threading.Event()
        self.failure = ""

    def run(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        state: dict = {}
        while not self.stop.wait(0.2):
            state = self._ready()
            if state.get("status") == "ok":
                print(self._banner(), flush=True)
                return
            if time.monotonic() > deadline:
                missing = [f"{name} ({found})" for name, found in state.get("checks", {}).items() if found != "ok"]
                self.failure = f"not ready after {READY_SECONDS} s: {', '.join(missing) or 'web does not answer'}"
                os.kill(os.getpid(), signal.SIGTERM)
                return

    def _ready(self) -> dict:
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=5) as answer:  # noqa: S310  (ours)  # nosec B310
                return json.load(answer)
        except urllib.error.HTTPError as answer:
            return json.load(answer)
        except (OSError, ValueError):
            return {}

    def _banner(self) -> str:
        (system, system_password), (staff, staff_password) = self.logins["system"], self.logins["staff"]
        return "\n".join(
            (
                "",
                f"  Backend Ledger is running at {self.url}",
                f"    Console       {self.url}/console/",
                f"    API docs      {self.url}/api/docs/",
                f"    Admin         {self.url}/admin/     {staff}  {staff_password}",
                f"    System user   {system}  {system_password}",
                f"    E-mail        files in {os.environ['LEDGER_DATA_DIR']}/mail",
                "    Stop          Ctrl-C",
                "",
            )
        )


if __name__ == "__main__":
    sys.exit(main())
