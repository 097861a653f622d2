"""RTP (RFC 3550) with H.264 (RFC 6184) or H.265 (RFC 7798): from datagrams to whole pictures.

Our own, because FFmpeg reads RTP only where an SDP file says what is sent, takes two ports, and
does not say which pictures have lost a part. Everything in here is pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from skyeye_edge.core.limits import PACKET_BYTES

Codec = Literal["h264", "hevc"]
HEADER = 12  # bytes
RTCP = range(192, 224)  # second byte, where both share a port (RFC 5761)
MPEG_TS = 33  # payload type
CLOCK = 90_000  # ticks a second of every video payload
START = b"\0\0\0\1"
LATEST = 100  # a number so far back is late or doubled, and not of a sender that began anew
FARTHEST = 3000  # numbers that may be missing; beyond, the sender began anew
MOST_WAITING = 1024  # packets that wait for one that is missing
MOST_BYTES = PACKET_BYTES // 4  # of a picture; of a camera's radio link it is far above any
MOST_SETS = 16  # parameter sets of a kind that are kept


@dataclass(frozen=True, slots=True)
class Kinds:
    """What the units of a codec are, by the number in their header."""

    parameters: tuple[int, ...]
    sequence: int  # one of them
    pictures: range
    keys: range  # decoding may begin there
    joined: int  # several units in one payload
    part: int  # a part of a unit
    last: int  # that stands for itself


KINDS: dict[Codec, Kinds] = {
    "h264": Kinds((7, 8), 7, range(1, 6), range(5, 6), 24, 28, 23),
    "hevc": Kinds((32, 33, 34), 33, range(32), range(16, 22), 48, 49, 47),
}


@dataclass(frozen=True, slots=True)
class RtpPacket:
    """One datagram."""

    payload_type: int
    marker: bool  # the last one of a picture
    number: int  # 16 bits
    timestamp: int  # 32 bits
    sender: int  # SSRC
    payload: bytes


def parse_rtp(datagram: bytes) -> RtpPacket | None:
    """The packet in a datagram; None if it is something else, or empty."""
    if len(datagram) < HEADER or datagram[0] >> 6 != 2 or datagram[1] in RTCP:
        return None
    begin = HEADER + 4 * (datagram[0] & 15)
    if datagram[0] & 16:  # an extension
        begin += 4 + 4 * int.from_bytes(datagram[begin + 2 : begin + 4], "big")
    end = len(datagram) - (datagram[-1] if datagram[0] & 32 else 0)
    if begin >= end:
        return None
    return RtpPacket(
        datagram[1] & 127,
        datagram[1] >= 128,
        int.from_bytes(datagram[2:4], "big"),
        int.from_bytes(datagram[4:8], "big"),
        int.from_bytes(datagram[8:12], "big"),
        datagram[begin:end],
    )


def codec_of(payload: bytes) -> Codec | None:
    """What a payload certainly is.

    In H.265 the first bit of a layer's number is the last one of the first byte: always 0; and the
    second byte is 1 to 7. So an odd first byte is H.264, and parameter sets and parts of pictures
    (32, 33, 34, 48, 49) with such a second byte are H.265.
    """
    if len(payload) < 2 or payload[0] >= 128:
        return None
    if payload[0] & 1:
        return "h264"
    if payload[0] >> 1 in (32, 33, 34, 48, 49) and 1 <= payload[1] <= 7:
        return "hevc"
    return "h264" if payload[0] & 31 in (24, 28) else None


class Sequence:
    """Packets in the order in which they were sent.

    One that is missing is waited for, and then given up. Of several senders on one port the first
    is followed, until it is silent.

    Args:
        patience: seconds that a missing packet is waited for.
        silence: seconds after which another sender is believed.
    """

    def __init__(self, patience: float, silence: float = 0.5) -> None:
        self._patience, self._silence = patience, silence
        self._next: int | None = None  # number that is due
        self._anew: int | None = None  # number that would prove that the sender began anew
        self._waiting: dict[int, tuple[RtpPacket, float]] = {}  # by number, with arrival
        self._sender: int | None = None
        self._heard = 0.0

    @property
    def waits(self) -> bool:
        """Whether some wait for one that is missing."""
        return bool(self._waiting)

    def sorted(self, packet: RtpPacket | None, now: float) -> Iterator[tuple[RtpPacket, bool]]:
        """Those whose turn has come, each with whether something is missing before it.

        Args:
            packet: that has arrived; None: nothing has.
            now: monotonic seconds.
        """
        missing = packet is not None and self._takes(packet, now)
        while self._waiting:
            assert self._next is not None
            found = self._waiting.pop(self._next, None)
            if found is None:
                oldest = min(arrived for _, arrived in self._waiting.values())
                if now - oldest < self._patience and len(self._waiting) < MOST_WAITING:
                    return
                self._next = min(self._waiting, key=self._distance)
                missing = True
                continue
            self._next = (self._next + 1) & 0xFFFF
            yield found[0], missing
            missing = False

    def _takes(self, packet: RtpPacket, now: float) -> bool:
        """Put a packet to those that wait; whether something is missing before all of them."""
        if packet.sender != self._sender:
            if self._sender is not None and now - self._heard < self._silence:
                return False
            missing = self._sender is not None
            self._begin(packet, now)
            return missing
        self._heard = now
        distance = self._distance(packet.number)
        if distance < FARTHEST:
            self._waiting[packet.number] = (packet, now)
            return False
        if distance >= 0x10000 - LATEST:
            return False
        if packet.number == self._anew:
            self._begin(packet, now)
            return True
        self._anew = (packet.number + 1) & 0xFFFF
        return False

    def _begin(self, packet: RtpPacket, now: float) -> None:
        self._sender, self._heard, self._anew = packet.sender, now, None
        self._next = packet.number
        self._waiting = {packet.number: (packet, now)}

    def _distance(self, number: int) -> int:
        return (number - (self._next or 0)) & 0xFFFF


@dataclass(frozen=True, slots=True)
class Unit:
    """Everything of one picture, as decoders want it (Annex B)."""

    data: bytes
    timestamp: int  # ticks since the first one; does not wrap
    key: bool  # decoding may begin here
    damaged: bool  # a part of it is missing


class Pictures:
    """Pictures out of packets in order.

    Args:
        codec: of the video.
        parameters: parameter sets that are known beforehand, as of an SDP file.
    """

    def __init__(self, codec: Codec, parameters: Iterable[bytes] = ()) -> None:
        self.codec = codec
        self._kinds, self._head = KINDS[codec], 2 if codec == "hevc" else 1
        self._parameters: dict[int, list[bytes]] = {}  # by kind; of pictures there may be several
        for each in parameters:
            self._keep(each)
        self._units: list[bytes] = []  # of the picture that is being put together
        self._fragment: bytearray | None = None  # of a unit that comes in parts
        self._bytes = 0  # of them
        self._damaged = False
        self._raw: int | None = None  # timestamp, 32 bits
        self._time = 0  # the same without wraps, from 0
        self._begun = False

    @property
    def parameters(self) -> list[bytes]:
        """The parameter sets that are known."""
        return [each for kind in self._kinds.parameters for each in self._parameters.get(kind, [])]

    @property
    def knows_parameters(self) -> bool:
        """Whether enough has come that a decoder could begin."""
        return all(self._parameters.get(kind) for kind in self._kinds.parameters)

    def add(self, packet: RtpPacket, *, missing: bool) -> Iterator[Unit]:
        """The pictures that are whole with this packet, or are given up with it.

        Args:
            packet: the next one.
            missing: something between it and the one before is.
        """
        self._damaged = self._damaged or missing
        if missing:
            self._end_fragment()
        if packet.timestamp != self._raw:
            yield from self._finished()
            self._advance(packet.timestamp)
            self._damaged = missing
        self._take(packet.payload)
        if packet.marker:
            yield from self._finished()

    def _advance(self, timestamp: int) -> None:
        if self._raw is not None:
            step = (timestamp - self._raw) & 0xFFFFFFFF
            self._time += step - (step >> 31 << 32)
        self._raw = timestamp

    def _take(self, payload: bytes) -> None:
        """The units in a payload: one, several, or a part of one."""
        kind = self._kind(payload)
        if kind == self._kinds.joined:
            self._end_fragment()
            for unit in _parts(payload[self._head :]):
                self._put(unit)
        elif kind == self._kinds.part:
            self._take_fragment(payload)
        elif kind <= self._kinds.last:
            self._end_fragment()
            self._put(payload)
        else:
            self._damaged = True  # interleaved (RFC 6184, 5.3), or no video at all

    def _take_fragment(self, payload: bytes) -> None:
        if len(payload) <= self._head + 1:
            self._damaged = True
            return
        mark, body = payload[self._head], payload[self._head + 1 :]
        if mark & 0x80:
            self._end_fragment()
            self._fragment = bytearray(self._restored(payload, mark))
        if self._fragment is None:
            self._damaged = True  # its beginning is missing
            return
        if len(self._fragment) < MOST_BYTES:
            self._fragment += body
        if mark & 0x40:
            self._put(bytes(self._fragment))
            self._fragment = None

    def _restored(self, payload: bytes, mark: int) -> bytes:
        """The header of a unit that comes in parts."""
        if self._head == 2:
            return bytes((payload[0] & 0x81 | (mark & 63) << 1, payload[1]))
        return bytes((payload[0] & 0xE0 | mark & 31,))

    def _end_fragment(self) -> None:
        """What has come of a unit whose end is missing; decoders make the best of it."""
        if self._fragment is not None:
            self._damaged = True
            fragment, self._fragment = bytes(self._fragment), None
            self._put(fragment)

    def _put(self, unit: bytes) -> None:
        self._bytes += len(unit)
        if self._bytes > MOST_BYTES:  # a sender that never ends its picture
            self._units, self._damaged = [], True
        elif unit:
            self._keep(unit)
            self._units.append(unit)

    def _keep(self, unit: bytes) -> None:
        kind = self._kind(unit)
        known = self._parameters.setdefault(kind, []) if kind in self._kinds.parameters else [unit]
        if unit in known:
            return
        if kind == self._kinds.sequence:  # those of pictures belong to the one before
            self._parameters = {
                each: units for each, units in self._parameters.items() if each < kind
            }
            known = self._parameters[kind] = []
        known.append(unit)
        del known[:-MOST_SETS]

    def _kind(self, unit: bytes) -> int:
        return unit[0] >> 1 & 63 if self._head == 2 else unit[0] & 31

    def _finished(self) -> Iterator[Unit]:
        self._end_fragment()
        units, self._units, self._bytes = self._units, [], 0
        damaged, self._damaged = self._damaged, False
        kinds = {self._kind(unit) for unit in units}
        key = not kinds.isdisjoint(self._kinds.keys)
        if kinds.isdisjoint(self._kinds.pictures) or not self.knows_parameters:
            return
        complete = kinds.issuperset(self._kinds.parameters)
        if not complete and (key or not self._begun):
            units = [*self.parameters, *units]
        self._begun = True
        yield Unit(b"".join(START + unit for unit in units), self._time, key, damaged)


def _parts(payload: bytes) -> Iterator[bytes]:
    """The units behind their lengths of two bytes each."""
    place = 0
    while place + 2 < len(payload):
        begin = place + 2
        place = begin + int.from_bytes(payload[place:begin], "big")
        if begin < place <= len(payload):
            yield payload[begin:place]
