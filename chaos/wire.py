"""The wire between network namespaces, in user space: it can cut, lose and delay what it carries, each way for itself.

    python -m chaos.wire SEED NAME=10.213.1.1 NAME=10.213.1.11 …

makes a TUN device for each name, says "ready" and carries IPv4 packets between them. A line of JSON on standard input
replaces the rules: [["10.213.1.11", "10.213.1.12", loss, delay_ms], …], a "*" being any address; the first that fits
counts, and a loss of 1 is a cut. The kernel's netem would do the same where there is one; this needs /dev/net/tun only.
"""

import fcntl
import heapq
import json
import os
import random
import select
import struct
import sys
import time
from contextlib import suppress
from itertools import count
from socket import inet_aton

TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
LONGEST_PACKET = 65536
Rule = tuple[bytes | None, bytes | None, float, float]


class Wire:
    """Packets in flight, by the time when they arrive, and the devices they arrive at."""

    def __init__(self, seed: str, devices: dict[bytes, int]) -> None:
        self.chance = random.Random(seed)  # noqa: S311  (a schedule, no secret)
        self.devices = devices
        self.rules: list[Rule] = []
        self.in_flight: list[tuple[float, int, bytes]] = []
        self.number = count()

    def obey(self, line: bytes) -> None:
        """Put the rules in `line` in place of all before."""
        self.rules = [
            (_address(source), _address(to), loss, delay_ms / 1000) for source, to, loss, delay_ms in json.loads(line)
        ]

    def take(self, packet: bytes) -> None:
        """Carry `packet`, or lose it, or keep it until it is due. Delay varies by half, so packets overtake."""
        source, to = packet[12:16], packet[16:20]
        for rule_source, rule_to, loss, delay in self.rules:
            if rule_source in (None, source) and rule_to in (None, to):
                if self.chance.random() < loss:
                    return
                if delay:
                    due = time.monotonic() + delay * self.chance.uniform(0.5, 1.5)
                    heapq.heappush(self.in_flight, (due, next(self.number), packet))
                    return
                break
        self.deliver(packet)

    def deliver(self, packet: bytes) -> None:
        """Hand `packet` to its device; what nobody takes is lost, as on any wire."""
        with suppress(OSError, KeyError):
            os.write(self.devices[packet[16:20]], packet)

    def deliver_due(self) -> float | None:
        """Hand over what is due; in how many milliseconds the next packet is."""
        now = time.monotonic()
        while self.in_flight and self.in_flight[0][0] <= now:
            self.deliver(heapq.heappop(self.in_flight)[2])
        return max(0.0, (self.in_flight[0][0] - now) * 1000) if self.in_flight else None

    def carry(self) -> None:
        """Until standard input ends."""
        poll = select.poll()
        for watched in (sys.stdin.fileno(), *self.devices.values()):
            poll.register(watched, select.POLLIN)
        while True:
            for ready, _ in poll.poll(self.deliver_due()):
                if ready == sys.stdin.fileno():
                    said = os.read(ready, LONGEST_PACKET)
                    if not said:
                        return
                    self.obey(said.splitlines()[-1])
                else:
                    with suppress(BlockingIOError):
                        self.take(os.read(ready, LONGEST_PACKET))


def _address(said: str) -> bytes | None:
    return None if said == "*" else inet_aton(said)


def device(name: str) -> int:
    """A new TUN device, gone with its file."""
    file = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(file, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    return file


if __name__ == "__main__":
    named = dict(argument.split("=") for argument in sys.argv[2:])
    wire = Wire(sys.argv[1], {inet_aton(address): device(name) for name, address in named.items()})
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    wire.carry()
