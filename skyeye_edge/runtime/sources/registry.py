"""The kinds of live sources: what an address must have, its options, and how long is waited for it.

A new kind is a row here and, if FFmpeg can't read it by itself, a file in `readers`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from skyeye_edge.core.address import Address, parse_address, without_secrets
from skyeye_edge.core.errors import InputError
from skyeye_edge.runtime.sources.ffmpeg_options import check_options

TIMEOUT_US = "2500000"  # FFmpeg's own; RTSP raises after twice that


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


KINDS: dict[str, Kind] = {
    "udp": Kind(
        "udp://@:5600",
        # rw_timeout and stimeout are ignored. Not nobuffer: it throws away what was read while
        # opening, and with it often the only key frame for seconds; the newest frame wins anyway.
        {
            "timeout": TIMEOUT_US,
            "overrun_nonfatal": "1",
            "analyzeduration": "1500000",
            # MPEG-TS is known after some packets. Without a limit, something else is searched for
            # a megabyte: longer than we wait, and then nobody could say what is wrong.
            "formatprobesize": "65536",
        },
        format="mpegts",
        protocols=("udp",),
        needs_port=True,
    ),
    "rtsp": Kind(
        "rtsp://host:8554/path",
        {
            "timeout": TIMEOUT_US,
            "rtsp_transport": "tcp",
            "probesize": "32768",
            "analyzeduration": "0",
        },
        format="rtsp",
        protocols=("tcp", "udp", "rtp", "tls"),
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
        """How long is waited for it."""
        return KINDS[self.kind].patience


def live_target(what: str, options: Mapping[str, str] | None = None) -> Target:
    """What `what` means, if it is something that can be watched.

    Args:
        what: an address.
        options: override those of its kind.

    Raises:
        InputError: unknown scheme, no host, no port where one is needed, or unclear; an option that
            does not exist.
    """
    address = live_address(what)
    kind = KINDS[address.scheme]
    if options:
        check_options(options, kind.own, kind.format, kind.protocols)
    return Target(
        address.scheme, address.for_ffmpeg, address.shown, {**kind.options, **(options or {})}
    )


def live_address(url: str) -> Address:
    """What `url` means, if it is something that can be watched.

    Raises:
        InputError: unknown scheme, no host, no port where one is needed, or unclear.
    """
    scheme = url.partition("://")[0].strip().lower()
    if scheme not in KINDS:
        known = ", ".join(f"{name}://" for name in KINDS)
        raise InputError(f"{without_secrets(url)}: cannot be watched; known are {known}")
    address = parse_address(url)
    kind = KINDS[address.scheme]
    if kind.needs_port and address.port is None:
        raise InputError(f"{address.shown}: the port is missing, as in {kind.example}")
    return address
