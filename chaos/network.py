"""A network namespace for each mongod, and the wire between them."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from chaos.wire import device

ROOT = Path(__file__).resolve().parent.parent
MEMBERS = 3


def run(*command: str) -> None:
    """Run a command of the system. Raises CalledProcessError."""
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603


def is_possible() -> bool:
    """Whether namespaces, TUN devices and small disks can be had: tried, for not every container has them."""
    if os.geteuid() != 0 or not shutil.which("ip"):
        return False
    name = f"chaos{os.getpid()}-probe"
    try:
        run("ip", "netns", "add", name)
        run("ip", "netns", "delete", name)
        os.close(device(f"ch{os.getpid()}-probe"[:15]))
        with tempfile.TemporaryDirectory() as disk:
            run("mount", "-t", "tmpfs", "-o", "size=1m", "chaos", disk)
            run("umount", disk)
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


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
