"""A network for tests: passes datagrams on, and does to them what radio links do.

Runs in the test's own process, in a thread. Chance is drawn from a seed.
"""

from __future__ import annotations

import heapq
import random
import select
import socket
import threading
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Link:
    """What happens to a datagram."""

    loss: float = 0.0  # share
    reordered: float = 0.0  # share that comes some datagrams later
    jitter: float = 0.0  # seconds by which one may be late; the order is kept
    corrupted: float = 0.0  # share of which a byte is wrong


class Relay:
    """Passes on from one port of this machine to another; a context manager."""

    def __init__(self, port: int, to: int, link: Link, seed: int = 0) -> None:
        self.link = link  # may be changed while it runs
        self.passed = self.lost = 0
        self._to = ("127.0.0.1", to)
        self._random = random.Random(seed)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self._socket.bind(("127.0.0.1", port))
        self.port: int = self._socket.getsockname()[1]
        self._waiting: list[tuple[float, int, bytes]] = []  # when due, number, datagram
        self._due = 0.0  # of the last one that kept its place
        self._number = 0
        self._stopping = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def __enter__(self) -> Relay:
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping = True
        self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        while not self._stopping:
            until = self._waiting[0][0] - time.monotonic() if self._waiting else 0.1
            if select.select([self._socket], [], [], max(0.0, min(0.1, until)))[0]:
                self._take(self._socket.recv(65535))
            while self._waiting and self._waiting[0][0] <= time.monotonic():
                self._socket.sendto(heapq.heappop(self._waiting)[2], self._to)
                self.passed += 1

    def _take(self, datagram: bytes) -> None:
        link, chance = self.link, self._random.random
        if chance() < link.loss:
            self.lost += 1
            return
        if chance() < link.corrupted:
            datagram = self._corrupted(datagram)
        now = time.monotonic()
        if chance() < link.reordered:
            due = now + 0.01
        else:
            due = self._due = max(self._due, now + chance() * link.jitter)
        self._number += 1
        heapq.heappush(self._waiting, (due, self._number, datagram))

    def _corrupted(self, datagram: bytes) -> bytes:
        place = self._random.randrange(20, len(datagram)) if len(datagram) > 20 else 0
        wrong = datagram[place] ^ self._random.randrange(1, 256)
        return datagram[:place] + bytes([wrong]) + datagram[place + 1 :]
