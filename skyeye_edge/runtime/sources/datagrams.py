"""What a sender of UDP speaks, told from a datagram where FFmpeg found nothing to read."""

from __future__ import annotations

import ipaddress
import socket
import struct

from skyeye_edge.core.address import Address

RTP_HEADER = 12  # bytes
LARGEST = 65535


def speaks_rtp(datagram: bytes) -> bool:
    """Whether a datagram begins with a header of RTP version 2 (RFC 3550, 5.1)."""
    return len(datagram) >= RTP_HEADER and datagram[0] >> 6 == 2


def receive(address: Address, seconds: float) -> bytes:
    """The next datagram for `address`, which nobody else may be reading; empty if none comes."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("", address.port or 0))
            if _is_group(address.host):
                group = struct.pack("4sI", socket.inet_aton(address.host), socket.INADDR_ANY)
                listener.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
            listener.settimeout(seconds)
            return listener.recv(LARGEST)
    except OSError:  # also its time limit: then there is nothing to be told
        return b""


def _is_group(host: str) -> bool:
    try:
        return ipaddress.IPv4Address(host).is_multicast
    except ValueError:
        return False
