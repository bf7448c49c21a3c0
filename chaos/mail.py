"""A mail server in a process of its own: it notes what it accepts, and can be slow, refuse, or keep a sender waiting.

    python -m chaos.mail PORT DIRECTORY

Each accepted message is a line "time Message-ID" in DIRECTORY/accepted, which outlives the process. What it is to do
stands in DIRECTORY/mode: "accept"; "slow" (an answer takes two seconds); "refuse" (try again later); "hold" (no answer
to a message, which is not accepted); "hold-after" (accepted and noted, and then no answer). Once a sender has met with
a mode other than "accept" there is a file DIRECTORY/met.
"""

import asyncio
import re
import sys
import time
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP

SLOW_SECONDS = 2


class Mailbox:
    """aiosmtpd's handler."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.accepted = (directory / "accepted").open("a", buffering=1)

    @property
    def mode(self) -> str:
        return (self.directory / "mode").read_text()

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802  (aiosmtpd's name)
        """Take a message, or do not."""
        mode = self.mode
        if mode in ("slow", "refuse"):
            (self.directory / "met").touch()
        if mode == "slow":
            await asyncio.sleep(SLOW_SECONDS)
        if mode in ("refuse", "hold"):
            return await self.turn_down(mode)
        found = re.search(rb"^Message-ID: <(\w+)@", envelope.content, re.MULTILINE | re.IGNORECASE)
        self.accepted.write(f"{time.time()} {found[1].decode() if found else 'none'}\n")
        if mode == "hold-after":
            await self.keep_waiting(mode)
        return "250 OK"

    async def turn_down(self, mode: str) -> str:
        """Not now; to "hold", when that is over."""
        await self.keep_waiting(mode)
        return "451 try again"

    async def keep_waiting(self, mode: str) -> None:
        """For as long as the mode is a hold."""
        while mode.startswith("hold") and self.mode == mode:
            (self.directory / "met").touch()
            await asyncio.sleep(0.05)


async def serve(port: int, directory: Path) -> None:
    """Until the process ends."""
    box = Mailbox(directory)
    server = await asyncio.get_running_loop().create_server(lambda: SMTP(box), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), Path(sys.argv[2])))
