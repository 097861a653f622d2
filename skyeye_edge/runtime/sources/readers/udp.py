"""MPEG-TS in datagrams, as from `udp://`, or as the payload of RTP."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from skyeye_edge.core.address import parse_address
from skyeye_edge.runtime.sources.causes import End, SourceEnded
from skyeye_edge.runtime.sources.datagrams import Datagrams, speaks_mpegts, speaks_rtp
from skyeye_edge.runtime.sources.demuxing import Opened, opened_container
from skyeye_edge.runtime.sources.registry import KINDS, Target
from skyeye_edge.runtime.sources.rtp import MPEG_TS, codec_of, parse_rtp

CHANGED = 2.0  # seconds without a packet of the video in what arrives: FFmpeg sees no new streams
STRANGE = 20  # datagrams of no known kind, after which one says so


@contextmanager
def opened(target: Target) -> Iterator[Opened]:
    """What a sender sends to a port, if it is MPEG-TS."""
    with listening(target) as datagrams:
        silence = seconds(target, "timeout")
        first = _first(datagrams, silence)
        source = Transport(
            lambda wait: datagrams.take(wait), datagrams.take_at_once, silence, first
        )
        with opened_transport(source, target) as found:
            found.heard = source.note_picture
            yield found


def listening(target: Target) -> Datagrams:
    """The port of a target's address."""
    address = parse_address(target.text)
    assert address.port is not None  # the registry says that it is needed
    return Datagrams(address.host, address.port, target.options.get("interface", ""))


def seconds(target: Target, option: str) -> float:
    """An option in microseconds, as FFmpeg has them."""
    value = target.options[option]
    if not value.isdigit():
        raise SourceEnded(End(f"source option {option}: give microseconds", final=True))
    return int(value) / 1e6


class Transport:
    """A transport stream as a file that FFmpeg reads.

    Args:
        take: the next piece, waiting so many seconds for it.
        take_at_once: the next piece, if it is there and not longer than so many bytes.
        silence: seconds after which nothing more is expected.
        first: the piece that has been taken already.
    """

    def __init__(
        self,
        take: Callable[[float], bytes | None],
        take_at_once: Callable[[int], bytes | None],
        silence: float,
        first: bytes,
    ) -> None:
        self._take, self._take_at_once = take, take_at_once
        self._silence, self._first = silence, first
        self._heard = math.inf  # when the last packet of the video came; not known before the first

    def note_picture(self) -> None:
        """A packet of the video has come."""
        self._heard = time.monotonic()

    def read(self, size: int) -> bytes:
        """Some bytes.

        Raises:
            SourceEnded: there are none, or there was video in them and is none any more.
        """
        if time.monotonic() - self._heard > CHANGED:
            raise SourceEnded(End("data arrive, but no pictures; what is sent has changed"))
        first, self._first = self._first, b""
        piece = first or self._take(self._silence)
        if piece is None:
            raise SourceEnded(End("nothing arrives"))
        pieces, room = [piece], size - len(piece)
        while (more := self._take_at_once(room)) is not None:
            pieces.append(more)
            room -= len(more)
        return b"".join(pieces)


class Readable(Protocol):
    """What FFmpeg can read through PyAV."""

    def read(self, size: int) -> bytes:
        """Up to so many bytes; at the end none."""


@contextmanager
def opened_transport(source: Readable, target: Target) -> Iterator[Opened]:
    """What FFmpeg finds in a transport stream."""
    import av

    own = KINDS[target.kind].own
    known = {name: value for name, value in target.options.items() if name not in own}
    with av.open(source, "r", format="mpegts", options=known) as container:
        yield opened_container(container)


def _first(datagrams: Datagrams, silence: float) -> bytes:
    """The first datagram of a transport stream; whatever else arrives is named."""
    for _ in range(STRANGE):
        datagram = datagrams.take(silence)
        if datagram is None:
            raise SourceEnded(End("nothing arrives"))
        if speaks_mpegts(datagram):
            return datagram
        if speaks_rtp(datagram):
            raise SourceEnded(End(_rtp(datagram)))
    raise SourceEnded(End("what arrives is neither MPEG-TS nor RTP"))


def _rtp(datagram: bytes) -> str:
    packet = parse_rtp(datagram)
    codec = None if packet is None else codec_of(packet.payload)
    inside = {"h264": " with H.264", "hevc": " with H.265", None: ""}[codec]
    if packet is not None and packet.payload_type == MPEG_TS:
        inside = " with MPEG-TS"
    return f"the sender speaks RTP{inside}, and udp:// reads MPEG-TS; watch it as rtp:// instead"
