"""Packets of data streams (KLV and others), each to the frame that it belongs to; as they came."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from skyeye_edge.core.frame import DataPacket
from skyeye_edge.core.limits import METADATA_BYTES, METADATA_PACKETS

if TYPE_CHECKING:
    import av

NEAR = 1e-4  # seconds; time stamps of different clocks are rounded differently
JUMP = 2.0  # seconds; a packet so far ahead of its picture is of a sender that has begun anew


@dataclass(frozen=True, slots=True)
class _Waiting:
    packet: DataPacket
    stamp: float | None  # on the clock of the pictures


def is_data(packet: av.Packet[Any]) -> bool:
    """Whether a packet is of a data stream."""
    stream = packet.stream
    return stream is not None and stream.type == "data"


class MetadataQueue:
    """What waits for its picture: a short queue, of which the oldest go.

    Senders put a packet into the stream up to a picture before or behind the one of its time, so
    it is the stamps that count. A packet without one belongs to the picture that is next.
    """

    def __init__(self) -> None:
        self._waiting: deque[_Waiting] = deque(maxlen=METADATA_PACKETS)

    def add(self, packet: av.Packet[Any], shift: float = 0.0) -> None:
        """Take in a packet, `shift` seconds later; an empty or a giant one is left out."""
        if not 0 < packet.size <= METADATA_BYTES:
            return
        stamp = None
        if packet.pts is not None and packet.time_base is not None:
            stamp = float(packet.pts * packet.time_base) + shift
        stream = packet.stream
        data = DataPacket(stream.name or "data", bytes(packet), None, stream.index)
        self._waiting.append(_Waiting(data, stamp))

    def taken(self, time: float, offset: float | None) -> tuple[DataPacket, ...]:
        """What belongs to a picture, in the order in which it came.

        Args:
            time: of the picture, in media seconds.
            offset: from stamps to media time; None: not known.
        """
        stamp = None if offset is None else time - offset
        mine = [each for each in self._waiting if _belongs(each.stamp, stamp)]
        rest = [each for each in self._waiting if not _belongs(each.stamp, stamp)]
        self._waiting = deque(rest, maxlen=METADATA_PACKETS)
        return tuple(_with_time(each, offset) for each in mine)


def _belongs(stamp: float | None, picture: float | None) -> bool:
    if stamp is None or picture is None:
        return True
    return not picture + NEAR < stamp <= picture + JUMP


def _with_time(waiting: _Waiting, offset: float | None) -> DataPacket:
    packet = waiting.packet
    if waiting.stamp is None or offset is None:
        return packet
    return DataPacket(packet.codec, packet.data, waiting.stamp + offset, packet.stream)
