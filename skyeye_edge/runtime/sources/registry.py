"""The kinds of live sources: what an address must have, its options, and how long is waited for it.

A new kind is a row here and, if FFmpeg can't read it by itself, a file in `readers`.
"""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from skyeye_edge.core.address import Address, parse_address, without_secrets
from skyeye_edge.core.errors import InputError
from skyeye_edge.runtime.sources.ffmpeg_options import check_options

TIMEOUT_US = "2500000"  # FFmpeg's own; RTSP raises after twice that


Notes = dict[str, Any]  # what a reader leaves to those after it, as JSON; by the name of its kind


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds without a frame."""

    opening: float = 12.0  # for opening and for a first key frame
    stalled: float = 2.0
    lost: float = 6.0  # FFmpeg's own time limit, where it works, has fired by then


@dataclass(frozen=True, slots=True)
class Kind:
    """What is known of all sources of a kind."""

    example: str
    options: Mapping[str, str] = field(default_factory=dict)  # that a user may override
    own: frozenset[str] = frozenset()  # options that our reader takes
    format: str = ""  # FFmpeg's demuxer
    protocols: tuple[str, ...] = ()  # FFmpeg's, whose options it takes too
    patience: Patience = Patience()
    needs_port: bool = False


SRT_OPTIONS = frozenset(
    {"mode", "passphrase", "pbkeylen", "streamid", "latency", "rcvlatency", "conntimeo", "adapter"}
)
RTMP = Kind(
    "rtmp://host/app/key",
    # Where there is no sound, FFmpeg would wait for it for 5 s.
    {"rw_timeout": TIMEOUT_US, "analyzeduration": "500000"},
    own=frozenset({"rw_timeout"}),
    format="flv",
    protocols=("rtmp", "tcp", "tls"),
)
HTTP = Kind(
    "https://host/live.m3u8",
    # A playlist may name anything, files of this machine too.
    {"rw_timeout": "10000000", "protocol_whitelist": "http,https,tcp,tls,crypto,httpproxy"},
    own=frozenset({"rw_timeout"}),
    format="hls",
    protocols=("http", "tcp", "tls"),
    patience=Patience(opening=20.0, stalled=12.0, lost=30.0),  # a piece of HLS takes so long
)

KINDS: dict[str, Kind] = {
    "udp": Kind(
        "udp://@:5600",
        # Not nobuffer: it throws away what was read while opening, and with it often the only key
        # frame for seconds; the newest frame wins anyway.
        {"timeout": TIMEOUT_US, "analyzeduration": "1500000"},
        own=frozenset({"interface", "timeout"}),
        format="mpegts",
        needs_port=True,
    ),
    "rtp": Kind(
        "rtp://@:5600",
        {"timeout": TIMEOUT_US, "max_delay": "100000"},
        own=frozenset({"interface", "timeout", "codec", "max_delay"}),
        needs_port=True,
    ),
    "sdp": Kind(
        "camera.sdp",
        {"timeout": TIMEOUT_US, "max_delay": "100000"},
        own=frozenset({"interface", "timeout", "max_delay"}),
    ),
    "rtsp": Kind(
        "rtsp://host:8554/path",
        {
            "timeout": TIMEOUT_US,
            "rtsp_transport": "tcp",
            # The camera says what it sends; to read 32 KiB of it first took a small one a second.
            "probesize": "32",
            "analyzeduration": "0",
        },
        format="rtsp",
        protocols=("tcp", "udp", "rtp", "tls"),
    ),
    "rtmp": RTMP,
    "rtmps": RTMP,
    "srt": Kind(
        "srt://host:9000",
        {"analyzeduration": "1500000"},
        own=SRT_OPTIONS,
        format="mpegts",
        needs_port=True,
    ),
    "http": HTTP,
    "https": HTTP,
    "v4l2": Kind("/dev/video0", format="v4l2"),
    "gst": Kind("gst:videotestsrc is-live=true", patience=Patience(opening=20.0)),
    "stdin": Kind(
        "-",
        own=frozenset({"format"}),
        format="mpegts",
        patience=Patience(opening=math.inf, lost=math.inf),  # there is no second one
    ),
}


@dataclass(frozen=True, slots=True)
class Target:
    """A live source that somebody wants to watch."""

    kind: str  # key of KINDS
    text: str = field(repr=False)  # what its reader opens; holds the secrets
    name: str  # for people
    options: Mapping[str, str] = field(default_factory=dict, repr=False)  # may hold secrets

    @property
    def patience(self) -> Patience:
        """How long is waited for it; without end for who is to connect to us."""
        patience = KINDS[self.kind].patience
        listens = self.options.get("listen", "0") != "0" or self.options.get("mode") == "listener"
        return replace(patience, opening=math.inf) if listens else patience


def is_live(what: str | os.PathLike[str]) -> bool:
    """Whether something is a live source, and no file, folder or image."""
    if not isinstance(what, str):
        return _local_kind(os.fspath(what)) == "sdp"
    return "://" in what or _local_kind(what) is not None


def _local_kind(what: str) -> str | None:
    """The kind of a live source that is no address; None: it is a file or a folder."""
    if what == "-":
        return "stdin"
    if what.startswith("gst:"):
        return "gst"
    if what.lower().endswith(".sdp"):
        return "sdp"
    if re.fullmatch(r"/dev/video\d+|\d", what):
        return "v4l2" if what.startswith("/") or not Path(what).exists() else None
    return None


def live_target(what: str, options: Mapping[str, str] | None = None) -> Target:
    """What `what` means, if it is something that can be watched.

    Args:
        what: an address, or - or a camera's number or device, an SDP file, gst: and a pipeline.
        options: override those of its kind.

    Raises:
        InputError: unknown scheme, no host, no port where one is needed, or unclear; an option that
            does not exist.
    """
    kind = _local_kind(what)
    if kind is None:
        address = live_address(what)
        kind, text, name = address.scheme, address.for_ffmpeg, address.shown
    else:
        text, name = _local_text(kind, what)
    known, asked = KINDS[kind], dict(options or {})
    check_options(asked, known.own, known.format, known.protocols)
    return Target(kind, text, name, {**known.options, **asked})


def _local_text(kind: str, what: str) -> tuple[str, str]:
    """What the reader of a live source without an address gets, and its name for people."""
    match kind:
        case "v4l2":
            device = what if what.startswith("/") else f"/dev/video{what}"
            return device, device
        case "gst":
            # The rest may hold an address with a password.
            element = re.match(r"gst:\s*([\w-]+)", what)
            if element is None:
                raise InputError("gst: a pipeline must follow, such as gst:v4l2src ! videorate")
            return what.removeprefix("gst:"), f"gst:{element[1]}"
        case "stdin":
            if sys.stdin is None or sys.stdin.closed or sys.stdin.isatty():
                raise InputError("-: standard input is a terminal; pipe a stream into this program")
            return what, "stdin"
    if not Path(what).is_file():
        raise InputError(f"{what}: there is no such file")
    return what, Path(what).name


def live_address(url: str) -> Address:
    """What `url` means, if it is something that can be watched.

    Raises:
        InputError: unknown scheme, no host, no port where one is needed, or unclear.
    """
    scheme = url.partition("://")[0].strip().lower()
    if scheme not in KINDS:
        known = ", ".join(f"{name}://" for name, kind in KINDS.items() if "://" in kind.example)
        raise InputError(f"{without_secrets(url)}: cannot be watched; known are {known}")
    address = parse_address(url)
    kind = KINDS[address.scheme]
    if kind.needs_port and address.port is None:
        raise InputError(f"{address.shown}: the port is missing, as in {kind.example}")
    return address
