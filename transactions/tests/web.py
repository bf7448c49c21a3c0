"""The web server as the Procfile starts it, in processes of its own, and callers that keep it busy."""

import http.client
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from uuid import uuid4

from bson import ObjectId
from honcho.environ import parse_procfile

from accounts.models import Account
from ledger_project.embedded import free_port
from users.tests.processes import PROJECT, children, environment, kill
from users.tests.waiting import wait_until
from users.tokens import issue_token

START_SECONDS = 180  # on a machine that is slow, and has other tests to run


class Web:
    """The running server."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.process = process
        self.port = port

    def answers(self) -> bool:
        """Whether a request gets through."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/healthz")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def workers(self) -> list[int]:
        """The process ids of the workers, all the children that their parent has."""
        return children(self.process)


@contextmanager
def web(log: Path, **variables: str) -> Iterator[Web]:
    """Run the Procfile's web line on the database of this process's tests until the block ends."""
    port = free_port()
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = parse_procfile((PROJECT / "Procfile").read_text()).processes["web"]
    with log.open("ab") as output:
        process = subprocess.Popen(
            ["sh", "-c", command],
            cwd=PROJECT,
            env=environment(
                PORT=str(port),
                PATH=path,
                WEB_PROCESSES="2",
                LOG_LEVEL="WARNING",
                COMMIT_TURN_FILE=str(log.with_name("commit-turn")),
                **variables,
            ),
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        server = Web(process, port)
        wait_until(server.answers, seconds=START_SECONDS)
        wait_until(lambda: len(server.workers()) == 2)
        yield server
    finally:
        kill(process)


class Call:
    """One transfer over HTTP. `status` and `body` are what was answered; None when the connection broke instead."""

    def __init__(self, payer: Account, payee: Account) -> None:
        self.key = uuid4().hex
        self.status: int | None = None
        self.body: dict | None = None
        self.request = {
            "fromAccount": str(payer.pk),
            "toAccount": str(payee.pk),
            "amount": 1,
            "idempotencyKey": self.key,
        }

    @property
    def is_posted(self) -> bool:
        """Whether the server said so."""
        return self.status in (200, 201)

    @property
    def broke_off(self) -> bool:
        """Whether its connection did, before there was an answer."""
        return self.status is None

    @property
    def is_unknown(self) -> bool:
        """Whether the caller cannot know what became of it."""
        return self.broke_off or (self.body or {}).get("code") == "outcome_unknown"

    @property
    def is_refused(self) -> bool:
        """Whether the server said that nothing has moved: what a killed process has locked, others wait for in vain."""
        return (self.body or {}).get("code") in ("too_busy", "not_posted")

    @property
    def transaction(self) -> ObjectId:
        """The id that the answer names."""
        return ObjectId(self.body["transaction"]["_id"])


class Caller(Thread):
    """Moves money from one account to another, call after call on one connection, until `over` or nobody listens."""

    def __init__(self, port: int, payer: Account, payee: Account, over: Event) -> None:
        super().__init__(daemon=True)
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        self.headers = {"Authorization": f"Bearer {issue_token(payer.user)}", "Content-Type": "application/json"}
        self.payer, self.payee, self.over = payer, payee, over
        self.calls: list[Call] = []

    def run(self) -> None:
        while not self.over.is_set():
            try:
                if self.connection.sock is None:
                    self.connection.connect()
            except ConnectionRefusedError:
                return
            except ConnectionResetError:  # the server ended in this very moment; nothing was asked for yet
                continue
            self.calls.append(self.call())

    def call(self) -> Call:
        call = Call(self.payer, self.payee)
        try:
            self.connection.request("POST", "/api/transactions", json.dumps(call.request), self.headers)
            answer = self.connection.getresponse()
            call.body = json.load(answer)
            call.status = answer.status
        except (OSError, http.client.HTTPException):
            self.connection.close()
        return call


class Load:
    """Sixteen callers, each paying the next."""

    def __init__(self, port: int, accounts: list[Account]) -> None:
        self.over = Event()
        payees = accounts[1:] + accounts[:1]
        self.callers = [Caller(port, *pair, self.over) for pair in zip(accounts, payees, strict=True)]
        for caller in self.callers:
            caller.start()

    @property
    def calls(self) -> list[Call]:
        """All that were answered, or broke off."""
        return [call for caller in self.callers for call in list(caller.calls)]

    @property
    def posted(self) -> int:
        """How many were answered with a transaction."""
        return sum(call.is_posted for call in self.calls)

    def posted_by_each(self) -> list[int]:
        """The same, for each caller by itself."""
        return [sum(call.is_posted for call in list(caller.calls)) for caller in self.callers]

    def end(self) -> list[Call]:
        """Let each finish its call; all calls."""
        self.over.set()
        for caller in self.callers:
            caller.join(180)
            assert not caller.is_alive()
            caller.connection.close()
        return self.calls
