"""What the header of a compressed picture tells: may decoding begin there, and who needs it.

FFmpeg's own flags are not enough. It calls a picture a key where an encoder only promises that the
image will be whole some pictures later, and tells which pictures nobody needs for mp4 alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import av

START_CODE = b"\0\0\1"
PROGRESSIVE = (0, 1)  # AV_FIELD_UNKNOWN, AV_FIELD_PROGRESSIVE: one packet is one whole picture

# H.264, table 7-1
H264_SLICES = range(1, 6)
H264_IDR = 5
H264_PARAMETERS = (7, 8)
# H.265, table 7-1; N: not needed by pictures of the same layer
H265_SLICES = range(32)
H265_ACCESS = range(16, 22)  # BLA, IDR, CRA
H265_IDR = (19, 20)
H265_LEADING = (8, 9)  # RASL: drawn also from pictures before the access point
H265_LAST_N = 14
H265_SEQUENCE = 33
H265_PARAMETERS = (32, H265_SEQUENCE, 34)


@dataclass(frozen=True, slots=True)
class Access:
    """What is known of a picture before it is decoded."""

    entry: bool = False  # a decoder that begins here draws exactly what is shown from here on
    whole: bool = False  # an entry without `leading` pictures
    leading: bool = False  # shown before its entry, and drawn also from what came before that
    disposable: bool = False  # no other picture is drawn from it
    parameters: bytes = b""  # parameter sets that come with it


Reader = Callable[[memoryview], Access | None]


def access_reader(context: av.VideoCodecContext) -> Reader | None:
    """What reads the headers of packets for this decoder; None where nothing can be told."""
    if context.field_order not in PROGRESSIVE:
        return None
    extradata = context.extradata or b""
    boxed = extradata[:1] == b"\1"  # avcC and hvcC begin with their version, else a start code
    match context.name:
        case "h264":
            length = (extradata[4] & 3) + 1 if boxed and len(extradata) > 4 else 0
            return partial(_h264, length=length)
        case "hevc":
            length = (extradata[21] & 3) + 1 if boxed and len(extradata) > 21 else 0
            one_layer = _is_one_layer(extradata, boxed=length > 0)
            return partial(_h265, length=length, one_layer=one_layer)
        case "mjpeg" | "prores" | "dnxhd" | "png":  # every picture stands for itself
            return lambda data: Access(entry=True, whole=True, disposable=True)
        case _:
            return None


def _h264(data: memoryview, length: int) -> Access | None:
    parameters = b""
    for unit in _units(data, length):
        kind = unit[0] & 31
        if kind in H264_SLICES:
            idr = kind == H264_IDR
            return Access(idr, idr, False, unit[0] & 0x60 == 0, parameters)
        if kind in H264_PARAMETERS:
            parameters += bytes(unit)
    return None


def _h265(data: memoryview, length: int, one_layer: bool) -> Access | None:
    parameters = b""
    for unit in _units(data, length):
        kind = unit[0] >> 1 & 63
        if kind in H265_SLICES:
            unneeded = kind <= H265_LAST_N and kind % 2 == 0
            return Access(
                kind in H265_ACCESS,
                kind in H265_IDR,
                kind in H265_LEADING,
                unneeded and one_layer,
                parameters,
            )
        if kind in H265_PARAMETERS:
            parameters += bytes(unit)
    return None


def _units(data: memoryview, length: int) -> Iterator[memoryview]:
    """The NAL units of a packet, each behind its length in so many bytes; 0: behind start codes."""
    return _boxed_units(data, length) if length else _marked_units(bytes(data))


def _boxed_units(data: memoryview, length: int) -> Iterator[memoryview]:
    place = 0
    while place + length < len(data):
        begin = place + length
        place = begin + int.from_bytes(data[place:begin], "big")
        if begin < place <= len(data):
            yield data[begin:place]


def _marked_units(data: bytes) -> Iterator[memoryview]:
    begin = data.find(START_CODE) + len(START_CODE)
    while len(START_CODE) <= begin < len(data):
        end = data.find(START_CODE, begin)
        yield memoryview(data)[begin : end if end >= 0 else len(data)]
        begin = end + len(START_CODE)


def _is_one_layer(extradata: bytes, boxed: bool) -> bool:
    """Whether H.265 pictures are of one layer in time; else one that is not needed may be."""
    if boxed:
        return (extradata[21] >> 3) & 7 == 1  # numTemporalLayers of hvcC
    found = (unit for unit in _marked_units(extradata) if unit[0] >> 1 & 63 == H265_SEQUENCE)
    return any((unit[2] >> 1) & 7 == 0 for unit in found if len(unit) > 2)
