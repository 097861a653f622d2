"""Events as datagrams of JSON: for programs on the same machine or network that may come and go."""

from __future__ import annotations

import socket
from typing import Any

from skyeye_edge.core.address import Address
from skyeye_edge.core.errors import InputError
from skyeye_edge.core.events import Event
from skyeye_edge.core.frame import Frame

MOST = 65_507  # bytes that a datagram can carry


class UdpJsonSink:
    """Sends each event as one datagram; nobody says whether it arrived.

    Raises:
        InputError: no such host.
    """

    wants_frames = False

    def __init__(self, address: Address) -> None:
        self.name = address.shown
        host, port = address.host.strip("[]") or "127.0.0.1", address.port
        if port is None:
            raise InputError(f"{self.name}: the port is missing, as in udp+json://127.0.0.1:5700")
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
        except OSError as error:
            raise InputError(f"{self.name}: no such host ({error.strerror or error})") from error
        family, kind, protocol, _, to = found[0]
        self._to: tuple[Any, ...] = to
        self._socket = socket.socket(family, kind, protocol)
        self._socket.setblocking(False)

    def write(self, event: Event, frame: Frame | None) -> None:
        """Send it; raises OSError where the system refuses."""
        data = event.to_json().encode()
        if len(data) > MOST:
            raise OSError(f"an event of {len(data):,} bytes fits no datagram")
        self._socket.sendto(data, self._to)

    def close(self) -> None:
        """Closing twice is fine."""
        self._socket.close()
