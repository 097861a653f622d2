"""The kinds of live sources: what an address must have, its options, and how long is waited for it.

A new kind is a row here and, if FFmpeg can't read it by itself, a file in `readers`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
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


def is_live(what: str | os.PathLike[str]) -> bool:
    """Whether something is a live source, and no file, folder or image."""
    text = os.fspath(what)
    return (isinstance(what, str) and "://" in text) or text.lower().endswith(".sdp")


def live_target(what: str, options: Mapping[str, str] | None = None) -> Target:
    """What `what` means, if it is something that can be watched.

    Args:
        what: an address.
        options: override those of its kind.

    Raises:
        InputError: unknown scheme, no host, no port where one is needed, or unclear; an option that
            does not exist.
    """
    if "://" not in what:
        return _without_address(what, options or {})
    address = live_address(what)
    kind = KINDS[address.scheme]
    if options:
        check_options(options, kind.own, kind.format, kind.protocols)
    return Target(
        address.scheme, address.for_ffmpeg, address.shown, {**kind.options, **(options or {})}
    )


def _without_address(what: str, options: Mapping[str, str]) -> Target:
    kind = KINDS["sdp"]
    check_options(options, kind.own, kind.format, kind.protocols)
    return Target("sdp", what, Path(what).name, {**kind.options, **options})


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
