"""Where events go: one file per kind of sink, and the choice among them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skyeye_edge.core.address import is_like_address, parse_address, without_secrets
from skyeye_edge.core.errors import InputError
from skyeye_edge.core.events import Event
from skyeye_edge.core.frame import Frame
from skyeye_edge.runtime.sinks import snapshots, video
from skyeye_edge.runtime.sinks.callback import CallbackSink
from skyeye_edge.runtime.sinks.jsonl import JsonlSettings, JsonlStreamSink, new_jsonl
from skyeye_edge.runtime.sinks.mqtt import PORTS, MqttSettings, MqttSink
from skyeye_edge.runtime.sinks.naming import plain_name
from skyeye_edge.runtime.sinks.options import read_settings, split_options
from skyeye_edge.runtime.sinks.output import make_folder
from skyeye_edge.runtime.sinks.per_source import PerSource
from skyeye_edge.runtime.sinks.served_video import ServedVideo
from skyeye_edge.runtime.sinks.sink import Sink
from skyeye_edge.runtime.sinks.snapshots import SnapshotSettings, SnapshotSink
from skyeye_edge.runtime.sinks.subtitles import SubtitleSettings, SubtitleSink
from skyeye_edge.runtime.sinks.udp_json import UdpJsonSink
from skyeye_edge.runtime.sinks.unix_socket import UnixSocketSettings, UnixSocketSink
from skyeye_edge.runtime.sinks.video import VideoSettings, live_video, video_file

ANYBODY = ("0.0.0.0", "[::]")  # noqa: S104  # nobody can be sent to there: who wants may come
SinkLike = Sink | str | os.PathLike[str] | Callable[[Event, Frame | None], object]
KINDS = (
    "DIR/, events.jsonl, captions.vtt, captions.srt, video.mp4, video.ts, shots/{index}.jpg, "
    "mqtt://host/prefix, udp+json://host:port, unix:/path, rtp://host:port, udp://host:port, "
    "rtsp://host:port/path, rtmp://host/path"
)


@dataclass(frozen=True, slots=True)
class _NoSettings:
    """Of a sink that has none."""


def open_sink(what: str, **options: Any) -> Sink:
    """The sink that a path or an address means.

    Args:
        what: a folder (ends in / or is there), a file whose name says what it holds, or an
            address; settings may stand behind it, as in `events.jsonl?fsync=each&rotate_mib=64`.
        options: the same settings as keywords; docs/send_events_on.md has them all.

    Raises:
        InputError: no such kind of sink, no such setting, or it cannot be written.
        OutputError: something else stands there, or another run writes it.
        MissingExtraError: a library for it is not installed.
    """
    place, written = split_options(what)
    given = {**written, **options}
    if place.startswith("unix:"):
        settings = read_settings(UnixSocketSettings, given, place)
        return UnixSocketSink(_path(place.removeprefix("unix:")), settings)
    if is_like_address(place):
        return _open_address(place, given)
    return _open_file(place, given)


def open_sinks(wanted: Iterable[SinkLike]) -> list[Sink]:
    """Those that are meant: addresses and paths are opened, functions called; sinks stay.

    Raises:
        InputError and others, as `open_sink`; what was opened before is closed again.
    """
    with ExitStack() as opened:
        sinks = []
        for each in wanted:
            sink = _as_sink(each)
            opened.enter_context(closing(sink))
            sinks.append(sink)
        opened.pop_all()
    return sinks


def _as_sink(wanted: SinkLike) -> Sink:
    if isinstance(wanted, str | os.PathLike):
        return open_sink(os.fspath(wanted))
    if isinstance(wanted, Sink):
        return wanted
    if callable(wanted):
        return CallbackSink(wanted)
    raise InputError(f"{wanted!r} is no sink; give {KINDS}, a function or a sink")


def _open_address(place: str, given: dict[str, Any]) -> Sink:
    scheme = place.partition(":")[0].strip().lower()
    if scheme not in (*PORTS, "udp+json", *video.SCHEMES):
        raise InputError(f"{without_secrets(place)}: no sink is called {scheme}://; give {KINDS}")
    address = parse_address(place)
    if scheme in PORTS:
        return MqttSink(address, read_settings(MqttSettings, given, address.shown))
    if scheme == "udp+json":
        read_settings(_NoSettings, given, address.shown)
        return UdpJsonSink(address)
    settings = read_settings(VideoSettings, given, address.shown)
    if scheme == "rtsp" and (settings.serve or address.host in ANYBODY):
        return ServedVideo(address, settings)
    return live_video(address, settings)


def _open_file(place: str, given: dict[str, Any]) -> Sink:
    path = _path(place)
    if place.endswith(os.sep) or path.is_dir():
        settings = read_settings(JsonlSettings, given, place)
        return JsonlStreamSink(new_jsonl(path, empty=not settings.rotates), settings)
    suffix = path.suffix.lower()
    if suffix in snapshots.SUFFIXES:
        return SnapshotSink(path, read_settings(SnapshotSettings, given, place))
    if suffix not in (".jsonl", ".vtt", ".srt", ".mp4", ".ts"):
        raise InputError(f"{place}: no sink has such a name; give {KINDS}")
    make_folder(path.parent)
    if suffix == ".jsonl":
        return JsonlStreamSink(path, read_settings(JsonlSettings, given, place))
    if suffix in (".vtt", ".srt"):
        kept = read_settings(SubtitleSettings, given, place)
        return PerSource(
            SubtitleSink(path, kept), lambda source: SubtitleSink(_of_source(path, source), kept)
        )
    made = read_settings(VideoSettings, given, place)
    if made.source:
        return video_file(path, made)
    return PerSource(
        video_file(path, made), lambda source: video_file(_of_source(path, source), made)
    )


def _path(text: str) -> Path:
    if not text:
        raise InputError(f"an empty name is no sink; give {KINDS}")
    return Path(text).expanduser()


def _of_source(path: Path, source: str) -> Path:
    """flight.vtt of a second source: flight.rtsp-10.0.0.7.vtt."""
    return path.with_name(f"{path.stem}.{plain_name(source)}{path.suffix}")
