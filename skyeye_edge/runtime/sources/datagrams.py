"""Datagrams that arrive on a port of this machine, and what their sender speaks."""

from __future__ import annotations

import errno
import ipaddress
import socket
import struct
import threading
from collections import deque
from types import TracebackType

from skyeye_edge.runtime.sources.causes import End, SourceEnded

LARGEST = 65535
KERNEL_BYTES = 4 << 20  # wanted for the socket; the kernel gives less where its limit is lower
MOST_BYTES = 16 << 20  # that may wait for whoever decodes: seconds of any stream
LOOK = 0.5  # seconds after which a closed socket is noticed
ANY = ipaddress.IPv4Address(0)  # every interface
TS_PACKET, TS_SYNC = 188, 0x47
RTP_HEADER = 12  # bytes


def speaks_rtp(datagram: bytes) -> bool:
    """Whether a datagram begins with a header of RTP version 2 (RFC 3550, 5.1)."""
    return len(datagram) >= RTP_HEADER and datagram[0] >> 6 == 2


def speaks_mpegts(datagram: bytes) -> bool:
    """Whether a datagram is made of packets of an MPEG transport stream."""
    whole = bool(datagram) and len(datagram) % TS_PACKET == 0
    return whole and all(each == TS_SYNC for each in datagram[::TS_PACKET])


class Datagrams:
    """What arrives for an address; a thread takes it in, so that nothing waits for a decoder.

    Args:
        host: an address of this machine, a multicast group, or nothing for all of this machine's.
        port: where to listen.
        interface: name or address of the network interface; empty: the kernel's choice.
        most: bytes that may wait to be taken.

    Raises:
        SourceEnded: it can't be listened there, and why.
    """

    def __init__(self, host: str, port: int, interface: str = "", most: int = MOST_BYTES) -> None:
        self.lost = 0  # datagrams, because nobody took them for too long
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._arrived = threading.Condition()
        self._most, self._closed = most, False
        self._socket = _listening(host.strip("[]"), port, interface)
        self._socket.settimeout(LOOK)
        self._thread = threading.Thread(target=self._receive, name=f"port {port}", daemon=True)
        self._thread.start()

    @property
    def place(self) -> tuple[str, int]:
        """Address and port at which is listened."""
        host, port, *_ = self._socket.getsockname()
        return host, port

    def wait_for(self, waiting: int, lost: int) -> None:
        """Until so many wait, and so many were lost."""
        with self._arrived:
            self._arrived.wait_for(lambda: (len(self._waiting), self.lost) == (waiting, lost))

    def take(self, seconds: float) -> bytes | None:
        """The next datagram; None if none comes."""
        with self._arrived:
            if not self._arrived.wait_for(lambda: self._waiting, seconds):
                return None
            return self._next()

    def take_at_once(self, most: int) -> bytes | None:
        """The next datagram if it is there and not longer than `most` bytes."""
        with self._arrived:
            if not self._waiting or len(self._waiting[0]) > most:
                return None
            return self._next()

    def __enter__(self) -> Datagrams:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._closed = True
        self._thread.join()
        self._socket.close()

    def _next(self) -> bytes:
        datagram = self._waiting.popleft()
        self._bytes -= len(datagram)
        return datagram

    def _receive(self) -> None:
        while not self._closed:
            try:
                datagram = self._socket.recv(LARGEST)
            except TimeoutError:
                continue
            except OSError:  # the network is down: then there is nothing, until it is back
                continue
            with self._arrived:
                self._waiting.append(datagram)
                self._bytes += len(datagram)
                while self._bytes > self._most:
                    self._next()
                    self.lost += 1
                self._arrived.notify()


def _listening(host: str, port: int, interface: str) -> socket.socket:
    """A socket bound to where datagrams arrive."""
    address = _resolved(host)
    if interface and _is_number(interface) and address == ANY:
        address = ipaddress.IPv4Address(interface)
    if address == ANY and socket.has_dualstack_ipv6():
        # GStreamer's udpsink sends to localhost by default, and that may be ::1.
        address = ipaddress.IPv6Address("::")
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_DGRAM)
    try:
        if family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, KERNEL_BYTES)
        if address.is_multicast:
            # Others may listen to a group, too. To a single address they may not: the kernel
            # would give everything to the last one that came, and the first would go black.
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            opened.bind((f"{address}", port))
            _join(opened, address, interface)
        else:
            if interface and not _is_number(interface):
                _bind_to(opened, interface)
            opened.bind((f"{address}", port))
    except OSError as error:
        opened.close()
        raise SourceEnded(_why_not(error, host, port, interface)) from error
    return opened


def _resolved(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    if not host:
        return ANY
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        pass
    try:
        return ipaddress.ip_address(socket.gethostbyname(host))
    except (OSError, ValueError) as error:
        raise SourceEnded(End(f"the name {host} is not known")) from error


def _join(
    opened: socket.socket, group: ipaddress.IPv4Address | ipaddress.IPv6Address, interface: str
) -> None:
    if group.version == 6:
        index = socket.if_nametoindex(interface) if interface else 0
        opened.setsockopt(
            socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, group.packed + struct.pack("@I", index)
        )
        return
    own, index = bytes(4), 0
    if interface and _is_number(interface):
        own = socket.inet_aton(interface)
    elif interface:
        index = socket.if_nametoindex(interface)
    wish = struct.pack("4s4si", group.packed, own, index)  # ip_mreqn
    opened.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, wish)


def _bind_to(opened: socket.socket, interface: str) -> None:
    """Take only what comes in through an interface."""
    socket.if_nametoindex(interface)  # raises OSError if there is none
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0")


def _is_number(text: str) -> bool:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True


def _why_not(error: OSError, host: str, port: int, interface: str) -> End:
    """Why there can't be listened, and what to do."""
    match error.errno:
        case errno.EADDRINUSE:
            return End(
                f"another program has port {port} (QGroundControl takes 5600); let the sender use "
                f"another port and share it: gst-launch-1.0 udpsrc port={port + 2} ! multiudpsink "
                f"clients=127.0.0.1:{port},127.0.0.1:{port + 4}, and watch port {port + 4}; or let "
                "it send to a multicast group"
            )
        case errno.EADDRNOTAVAIL:
            return End(
                f"{host} is no address of this machine (now); it is where others send to: give "
                f"0.0.0.0:{port} for every interface"
            )
        case errno.EACCES | errno.EPERM:
            return End(f"port {port} is for administrators; take one above 1023")
    if interface:
        there = ", ".join(name for _, name in socket.if_nameindex())
        return End(f"there is no network interface {interface} (now); there are {there}")
    if error.errno == errno.ENODEV:
        return End("no network leads to this multicast group; name one: interface=eth0")
    return End((error.strerror or "the port cannot be opened").lower())
