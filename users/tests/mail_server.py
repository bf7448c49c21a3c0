"""A real SMTP server on loopback for the tests: it keeps what it accepts, and can refuse, hang or be down."""

import asyncio
import email
import threading
from collections.abc import Iterable
from email import policy
from email.message import EmailMessage
from typing import Any, Self

from aiosmtpd.controller import Controller

from ledger_project.embedded import free_port

START_SECONDS = 60  # aiosmtpd's own 5 are few on a busy machine


class MailServer:
    """`with MailServer() as server:` - then `server.port`, and in `server.messages` what was accepted.

    `refused` holds addresses that do not exist here. Between `hang` and `go_on` a message gets no answer.
    """

    def __init__(self, port: int | None = None, **options: Any) -> None:
        self.port = port or free_port()
        self.messages: list[EmailMessage] = []
        self.refused: set[str] = set()
        self.waiting = threading.Event()
        self._go_on = threading.Event()
        self._go_on.set()
        self._accepts = False
        self._options = options

    def __enter__(self) -> Self:
        self._controller = Controller(
            self, hostname="127.0.0.1", port=self.port, ready_timeout=START_SECONDS, **self._options
        )
        self._controller.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.go_on()
        self._controller.stop()

    def hang(self, *, accept: bool = False) -> None:
        """From now on, let clients wait for the answer to their message; `waiting` is set when one does.

        The answer will be a refusal; if `accept` is true, an acceptance of what was delivered before the wait.
        """
        self._accepts = accept
        self.waiting.clear()
        self._go_on.clear()

    def go_on(self) -> None:
        """Answer who waits, and serve again."""
        self._go_on.set()

    def subjects(self, recipient: str | None = None) -> list[str]:
        """The subjects of what was accepted (for `recipient`), in alphabetical order."""
        return sorted(m["Subject"] for m in self.messages if recipient in (None, m["To"]))

    async def handle_RCPT(  # noqa: N802  (aiosmtpd's name)
        self, server: Any, session: Any, envelope: Any, address: str, options: Iterable[str]
    ) -> str:
        if address in self.refused:
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802  (aiosmtpd's name)
        hangs = not self._go_on.is_set()
        accepted = self._accepts or not hangs
        if accepted:
            self.messages.append(email.message_from_bytes(envelope.content, policy=policy.default))
        if hangs:
            self.waiting.set()
            await asyncio.to_thread(self._go_on.wait)
        return "250 OK" if accepted else "451 try again"
