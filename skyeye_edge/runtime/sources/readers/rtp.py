"""RTP on a port, with an SDP file or without: then what arrives tells what it is."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, cast

from skyeye_edge.core.errors import InputError
from skyeye_edge.core.limits import SDP_BYTES
from skyeye_edge.runtime.sources.allowed import set_limits
from skyeye_edge.runtime.sources.causes import End, SourceEnded
from skyeye_edge.runtime.sources.datagrams import Datagrams, speaks_mpegts
from skyeye_edge.runtime.sources.demuxing import Opened
from skyeye_edge.runtime.sources.readers.udp import (
    Transport,
    listening,
    opened_transport,
    seconds,
)
from skyeye_edge.runtime.sources.registry import Notes, Target
from skyeye_edge.runtime.sources.rtp import (
    CLOCK,
    MPEG_TS,
    Codec,
    Pictures,
    RtpPacket,
    Sequence,
    Unit,
    codec_of,
    parse_rtp,
)
from skyeye_edge.runtime.sources.sdp import Sdp, parse_sdp

if TYPE_CHECKING:
    import av

STRANGE = 300  # datagrams of no known kind, after which one says so
UNREADABLE = 10.0  # seconds of video without parameter sets; key frames bring them, and may be rare
OTHER_CODEC = 5  # packets of one, in a row, after which it is believed
STEP = 0.05  # seconds after which a missing packet may be given up
TYPED = {"h264": "h264", "h265": "hevc", "hevc": "hevc", "mpegts": "mpegts"}
PARAMETERS = (
    "the video comes without its parameter sets (SPS, PPS), so nobody who joins late can read it; "
    "let the sender repeat them (rtph264pay and rtph265pay config-interval=1), or name its SDP file"
)


@contextmanager
def opened(target: Target, notes: Notes) -> Iterator[Opened]:
    """What a sender sends to a port as RTP."""
    sdp = _read_sdp(target)
    with _ports(target, sdp) as datagrams:
        arrivals = Arrivals(datagrams, target, sdp)
        first = arrivals.first()
        if arrivals.codec == "mpegts":
            source = Transport(arrivals.payload, lambda most: None, arrivals.silence, first.payload)
            with opened_transport(source, target) as found:
                found.heard = source.note_picture
                yield found
        else:
            parameters = sdp.parameters if sdp else _noted(notes, first.sender)
            pictures = Pictures(cast(Codec, arrivals.codec), parameters)
            yield _opened_video(arrivals.units(first, pictures, notes), pictures.codec)


def _noted(notes: Notes, sender: int) -> list[bytes]:
    """Parameter sets that this sender gave to an earlier opening."""
    known = notes.get("rtp", {})
    return [bytes.fromhex(each) for each in known.get(f"{sender}", [])]


def _opened_video(units: Iterator[Unit], codec: Codec) -> Opened:
    import av

    context = av.VideoCodecContext.create(codec, "r")
    set_limits(context)
    context.thread_count = 1  # every thread would add one frame of delay
    return Opened(map(_packet, units), context)


def _packet(unit: Unit) -> av.Packet[av.VideoStream]:
    import av

    packet = av.Packet(unit.data)
    packet.pts = unit.timestamp
    packet.time_base = Fraction(1, CLOCK)
    packet.is_keyframe = unit.key
    packet.is_corrupt = unit.damaged
    return cast("av.Packet[av.VideoStream]", packet)


class Arrivals:
    """The packets of one video among the datagrams that arrive."""

    def __init__(self, datagrams: Datagrams, target: Target, sdp: Sdp | None) -> None:
        self.silence = seconds(target, "timeout")
        self.codec = _wanted_codec(target) or (sdp.codec if sdp else None)
        self._patience = seconds(target, "max_delay")
        self._payload_type = sdp.payload_type if sdp else None
        self._datagrams = datagrams
        self._told = self.codec is not None  # and not found out
        self._strange = 0  # packets in a row of another codec

    def first(self) -> RtpPacket:
        """The first packet of which it is clear what it is."""
        for _ in range(STRANGE):
            packet = self._next(self.silence)
            codec = self._codec_of(packet)
            if packet is not None and codec is not None:
                self._payload_type, self.codec = packet.payload_type, codec
                return packet
        raise SourceEnded(
            End(
                "what arrives is RTP with something other than H.264, H.265 or MPEG-TS; an SDP "
                "file or codec=h264 or h265 as source option says what it is"
            )
        )

    def payload(self, wait: float) -> bytes | None:
        """What the next packet holds."""
        packet = self._next(wait)
        return None if packet is None else packet.payload

    def units(self, first: RtpPacket, pictures: Pictures, notes: Notes) -> Iterator[Unit]:
        """The pictures, from the first packet on; notes the parameter sets for later openings."""
        sequence, known = Sequence(self._patience), pictures.parameters
        began = heard = time.monotonic()
        packet: RtpPacket | None = first
        while True:
            now = time.monotonic()
            heard = heard if packet is None else now
            for each, missing in sequence.sorted(packet, now):
                self._check_codec(each)
                yield from pictures.add(each, missing=missing)
                if pictures.parameters != known:
                    known = pictures.parameters
                    notes["rtp"] = {f"{each.sender}": [unit.hex() for unit in known]}
            if now - heard > self.silence:
                raise SourceEnded(End("nothing arrives"))
            if not pictures.knows_parameters and now - began > UNREADABLE:
                raise SourceEnded(End(PARAMETERS))
            packet = self._next(STEP if sequence.waits else self.silence)

    def _check_codec(self, packet: RtpPacket) -> None:
        """End where another codec has begun to come; the next opening finds out which."""
        found = codec_of(packet.payload)
        if found is not None:
            self._strange = 0 if self._told or found == self.codec else self._strange + 1
        if self._strange >= OTHER_CODEC:
            raise SourceEnded(End("the sender has changed its codec"))

    def _next(self, wait: float) -> RtpPacket | None:
        """The next packet of the video; None if none came, or it is something else."""
        datagram = self._datagrams.take(wait)
        if datagram is None:
            if wait >= self.silence:
                raise SourceEnded(End("nothing arrives"))
            return None
        if speaks_mpegts(datagram):
            raise SourceEnded(
                End(
                    "the sender speaks MPEG-TS without RTP, and rtp:// reads RTP; watch it as "
                    "udp:// instead"
                )
            )
        packet = parse_rtp(datagram)
        wanted = self._payload_type is None or (
            packet and packet.payload_type == self._payload_type
        )
        return packet if wanted else None

    def _codec_of(self, packet: RtpPacket | None) -> str | None:
        if packet is None or self.codec is not None:
            return self.codec
        return "mpegts" if packet.payload_type == MPEG_TS else codec_of(packet.payload)


def _wanted_codec(target: Target) -> str | None:
    name = target.options.get("codec")
    if name is not None and name not in TYPED:
        raise SourceEnded(End(f"source option codec: give {', '.join(TYPED)}", final=True))
    return None if name is None else TYPED[name]


def _read_sdp(target: Target) -> Sdp | None:
    if target.kind != "sdp":
        return None
    try:
        with Path(target.text).open("rb") as file:
            text = file.read(SDP_BYTES + 1).decode("utf-8", "replace")
        return parse_sdp(text)
    except InputError as error:
        raise SourceEnded(End(f"{error}", final=True)) from error
    except OSError as error:
        raise SourceEnded(End(f"cannot be read: {error.strerror}", final=True)) from error


def _ports(target: Target, sdp: Sdp | None) -> Datagrams:
    if sdp is None:
        return listening(target)
    return Datagrams(_own_or_group(sdp.host), sdp.port, target.options.get("interface", ""))


def _own_or_group(host: str) -> str:
    """Where to listen: a group is joined; of a single address, only the port is believed."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return ""
    if address.is_multicast or address.is_loopback:
        return host
    return "::" if address.version == 6 else ""
