"""SDP files (RFC 8866): what is sent where. Of a file that somebody sent, only this is believed."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Literal

from skyeye_edge.core.errors import InputError
from skyeye_edge.core.limits import check_sdp
from skyeye_edge.runtime.sources.rtp import MPEG_TS

LONGEST_SET = 4096  # bytes of a parameter set
CODECS: dict[str, Literal["h264", "hevc", "mpegts"]] = {
    "H264": "h264",
    "H265": "hevc",
    "HEVC": "hevc",
    "MP2T": "mpegts",
}
_HOST = re.compile(r"[0-9A-Fa-f.:]{1,45}\Z|[A-Za-z0-9.-]{1,253}\Z")


@dataclass(frozen=True, slots=True)
class Sdp:
    """The video that an SDP file tells of."""

    host: str  # as written; a group, an address of this machine, or that of the sender
    port: int
    payload_type: int
    codec: Literal["h264", "hevc", "mpegts"]
    parameters: tuple[bytes, ...] = ()  # parameter sets


def parse_sdp(text: str) -> Sdp:
    """The first video that an SDP file tells of; nothing else in it has any effect.

    Raises:
        InputError: there is none, it is encrypted, or of a codec that cannot be watched this way.
    """
    try:
        check_sdp(text)
    except ValueError as error:
        raise InputError(f"SDP: {error}") from error
    session, media = _sections(text)
    place, protocol, payload_type = _media_line(media[0])
    if protocol not in ("RTP/AVP", "RTP/AVPF"):
        raise InputError(f"SDP: {protocol} (encrypted, or no RTP) cannot be watched; RTP/AVP can")
    hosts = [line.split()[2].partition("/")[0] for line in (*media, *session) if _names_host(line)]
    host = hosts[0] if hosts else ""
    if host and not _HOST.match(host):
        raise InputError("SDP: its line c= holds no address")
    codec = _codec(media, payload_type)
    return Sdp(host, place, payload_type, codec, _parameters(media, payload_type))


def _sections(text: str) -> tuple[list[str], list[str]]:
    """The lines before the first medium, and those of the first video."""
    session: list[str] = []
    video: list[str] = []
    current = session
    for line in map(str.strip, text.splitlines()):
        if line.startswith("m="):
            current = video if line.startswith("m=video ") and not video else []
        current.append(line)
    if not video:
        raise InputError("SDP: it tells of no video (a line that begins with m=video)")
    return session, video


def _media_line(line: str) -> tuple[int, str, int]:
    """Port, protocol and payload type of a line such as `m=video 5600 RTP/AVP 96`."""
    found = re.match(r"m=video ([0-9]{1,5})(?:/[0-9]{1,2})? (\S{1,40}) ([0-9]{1,3})\b", line)
    if not found or not 0 < int(found[1]) < 65536 or int(found[3]) > 127:
        raise InputError(f"SDP: {line[:80]!r}; it must be like m=video 5600 RTP/AVP 96")
    return int(found[1]), found[2], int(found[3])


def _names_host(line: str) -> bool:
    return line.startswith(("c=IN IP4 ", "c=IN IP6 ")) and len(line.split()) == 3


def _codec(media: list[str], payload_type: int) -> Literal["h264", "hevc", "mpegts"]:
    found = (re.match(rf"a=rtpmap:{payload_type} ([\w-]{{1,40}})/([0-9]+)", each) for each in media)
    maps = [(each[1].upper(), each[2]) for each in found if each]
    if not maps and payload_type == MPEG_TS:
        return "mpegts"
    if not maps or maps[0][0] not in CODECS or maps[0][1] != "90000":
        name = maps[0][0] if maps else f"payload type {payload_type}, which is not explained,"
        raise InputError(f"SDP: {name} cannot be watched; H264, H265 and MP2T can, at 90000")
    return CODECS[maps[0][0]]


def _parameters(media: list[str], payload_type: int) -> tuple[bytes, ...]:
    """Parameter sets of `a=fmtp`; one that cannot be read is left out: they also come in-band."""
    lines = " ".join(line for line in media if line.startswith(f"a=fmtp:{payload_type} "))
    texts = re.findall(r"\bsprop-(?:parameter-sets|vps|sps|pps)=([A-Za-z0-9+/=,]+)", lines)
    sets: list[bytes] = []
    for text in ",".join(texts).split(","):
        try:
            each = base64.b64decode(text, validate=True)
        except binascii.Error:
            continue
        if 1 < len(each) <= LONGEST_SET:
            sets.append(each)
    return tuple(sets)
