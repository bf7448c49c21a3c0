"""`make run` as a newcomer meets it: one process that starts everything, moves money, and leaves nothing behind."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

from ledger_project.embedded import free_port
from users.tests.waiting import wait_until

ROOT = Path(__file__).resolve().parent.parent.parent
GIVEN = ("MONGODB_URI", "REDIS_URL", "DJANGO_SETTINGS_MODULE", "LEDGER_TEST_DIR")


def environment(data: Path, port: int) -> dict[str, str]:
    mine = {"LEDGER_DATA_DIR": str(data), "PORT": str(port), "SYSTEM_USER_PASSWORD": "a system passphrase"}
    return {name: value for name, value in os.environ.items() if name not in GIVEN} | mine


class Run:
    """A started run: its output, read as it comes."""

    def __init__(self, data: Path, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.output = ""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ledger_project.run"],
            cwd=ROOT,
            env=environment(data, port),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        for line in self.process.stdout:
            self.output += line

    def call(self, method: str, path: str, body: dict | None = None, token: str = "") -> dict:
        request = urllib.request.Request(
            self.url + path,
            json.dumps(body).encode() if body is not None else None,
            {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {}),
            method=method,
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)


@contextmanager
def running(data: Path, port: int):
    run = Run(data, port)
    try:
        wait_until(lambda: "is running at" in run.output or run.process.poll() is not None, seconds=300)
        assert run.process.poll() is None, run.output
        yield run
    finally:
        if run.process.poll() is None:
            run.process.send_signal(signal.SIGTERM)
        run.process.wait(60)
        run.reader.join(10)


def processes_of(data: Path) -> list[str]:
    """The command lines of live processes that have `data` in their environment or command line."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            seen = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
        except OSError:
            continue
        if str(data).encode() in seen:
            found.append((entry / "cmdline").read_text().replace("\0", " "))
    return found


@pytest.mark.slow
def test_from_nothing_to_a_transfer_to_its_e_mail_and_back_to_nothing(tmp_path):
    port = free_port()
    with running(tmp_path, port) as run:
        tokens, accounts = {}, {}
        for name in ("asha", "ben"):
            body = {"name": name, "email": f"{name}@example.com", "password": "a long passphrase"}
            tokens[name] = run.call("POST", "/api/auth/register", body)["token"]
            accounts[name] = run.call("POST", "/api/accounts", {}, tokens[name])["account"]["_id"]
        login = {"email": "system@ledger.local", "password": "a system passphrase"}
        system = run.call("POST", "/api/auth/login", login)["token"]
        funds = {"toAccount": accounts["asha"], "amount": 1000, "idempotencyKey": "funds-1"}
        run.call("POST", "/api/transactions/system/initial-funds", funds, system)
        transfer = {
            "fromAccount": accounts["asha"],
            "toAccount": accounts["ben"],
            "amount": 12.5,
            "idempotencyKey": "1",
        }
        run.call("POST", "/api/transactions", transfer, tokens["asha"])
        assert run.call("GET", f"/api/accounts/balance/{accounts['ben']}", token=tokens["ben"])["balance"] == 12.5
        wait_until(lambda: "12.5" in mail(tmp_path), seconds=300)
        verified = subprocess.run(
            [sys.executable, "manage.py", "verify_ledger"],
            cwd=ROOT,
            env=environment(tmp_path, port),
            capture_output=True,
            text=True,
            check=False,
        )
        assert verified.returncode == 0, verified.stderr
    assert run.process.returncode == 0, run.output
    assert processes_of(tmp_path) == []
    with running(tmp_path, port) as again:
        token = again.call("POST", "/api/auth/login", {"email": "ben@example.com", "password": "a long passphrase"})[
            "token"
        ]
        assert again.call("GET", f"/api/accounts/balance/{accounts['ben']}", token=token)["balance"] == 12.5
        again.process.send_signal(signal.SIGINT)
        again.process.wait(60)
    assert again.process.returncode == 0
    assert processes_of(tmp_path) == []


def mail(data: Path) -> str:
    return "".join(path.read_text() for path in (data / "mail").glob("*"))


def refused(data: Path, port: int, **extra: str) -> str:
    """The one line of a run that could not start."""
    done = subprocess.run(
        [sys.executable, "-m", "ledger_project.run"],
        cwd=ROOT,
        env=environment(data, port) | extra,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("make run:")]
    assert "Traceback" not in done.stderr
    assert processes_of(data) == []
    return line


def test_a_port_that_is_taken_is_named(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert re.search(rf"web could not start: port {port} is in use", refused(tmp_path, port))


def test_a_data_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    assert "cannot be used" in refused(tmp_path / "file" / "var", free_port())


@pytest.mark.slow
def test_a_mongodb_that_cannot_be_reached_is_named(tmp_path):
    uri = f"mongodb://127.0.0.1:{free_port()}/?replicaSet=ledger"
    line = refused(tmp_path, free_port(), MONGODB_URI=uri, REDIS_URL="redis://127.0.0.1:1/0")
    assert "database" in line


def test_a_data_folder_in_use_is_named(tmp_path):
    import fcntl

    with (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "already running" in refused(tmp_path, free_port())


def test_a_mongod_that_cannot_read_its_files_is_named(tmp_path):
    (tmp_path / "mongod").mkdir()
    (tmp_path / "mongod" / "WiredTiger").write_text("not what mongod wrote")
    (tmp_path / "mongod" / "storage.bson").write_bytes(b"\x05\x00\x00\x00\x00")
    line = refused(tmp_path, free_port())
    assert "mongod ended with code" in line
    assert "its log" in line
