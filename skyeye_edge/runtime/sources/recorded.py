"""The pictures of a recording, exactly those that were asked about, decoded as they were then."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from skyeye_edge.core.errors import DataError
from skyeye_edge.core.frame import DataPacket
from skyeye_edge.runtime.sources.allowed import set_limits
from skyeye_edge.runtime.sources.decoding import Decoder, Picture
from skyeye_edge.runtime.sources.file import Pictures, read_facts
from skyeye_edge.runtime.sources.metadata import MetadataQueue, is_data
from skyeye_edge.runtime.sources.pixels import Converter

if TYPE_CHECKING:
    import av

SHIFT = 36  # bits of a stamp within its segment; the segment's number stands before them
# The packets as they were written, however large: what a parser would cut anew is left as it is.
TS_OPTIONS = {"fflags": "noparse", "max_packet_size": str(2**29), "probesize": str(2**20)}


@dataclass(frozen=True, slots=True)
class Still:
    """A picture of a recording."""

    index: int
    rgb: npt.NDArray[np.uint8]
    damaged: bool
    metadata: tuple[DataPacket, ...] = ()


@dataclass(frozen=True, slots=True)
class Shot:
    """Where a picture stands that was handed over."""

    index: int
    time: float
    segment: int
    pts: int
    damaged: bool

    @property
    def key(self) -> int:
        """By which the decoder is asked for it."""
        return self.segment << SHIFT | self.pts


@dataclass(frozen=True, slots=True)
class Segment:
    """A file of packets."""

    number: int
    path: Path
    opening: str
    codec: str
    entry: bool  # decoding may begin here: a key frame, or the first of its opening


@dataclass(frozen=True, slots=True)
class Index:
    """What stands beside the packets of a recording."""

    segments: tuple[Segment, ...]  # that are still there
    shots: dict[int, Shot]  # by index of the frame; also those whose segment is gone
    undecoded: frozenset[int]  # keys of packets that were left out

    @property
    def there(self) -> frozenset[int]:
        """Indices of frames whose packets are still there."""
        kept = {segment.number for segment in self.segments}
        return frozenset(index for index, shot in self.shots.items() if shot.segment in kept)


def read_index(folder: Path) -> Index:
    """The index of the packets in a folder; a torn last line of a segment is left out.

    Raises:
        DataError: a line is no note of ours.
    """
    segments, shots, undecoded = [], {}, set()
    for file in sorted(folder.glob("*.jsonl")):
        number = int(file.stem)
        for values in _notes(file):
            try:
                if "opening" in values:
                    path = folder / Path(values["file"]).name
                    if path.exists():
                        opening, codec = values["opening"], values["codec"]
                        segments.append(Segment(number, path, opening, codec, values["entry"]))
                elif "undecoded" in values:
                    undecoded.add(number << SHIFT | int(values["undecoded"]))
                else:
                    shot = Shot(
                        *(values[key] for key in ("index", "time", "segment", "pts", "damaged"))
                    )
                    shots[shot.index] = shot
            except (KeyError, TypeError, ValueError) as error:
                raise DataError(f"{file}: not the notes of a recording ({error!r})") from error
    return Index(tuple(_decodable(segments)), shots, frozenset(undecoded))


def _decodable(segments: Iterable[Segment]) -> Iterator[Segment]:
    """Without those whose pictures are drawn from a segment that is gone."""
    last: dict[str, int] = {}
    for segment in segments:
        follows = last.get(segment.opening) == segment.number - 1
        if segment.entry or follows:
            last[segment.opening] = segment.number
            yield segment


def recorded_stills(index: Index, wanted: Collection[int]) -> Iterator[Still]:
    """The wanted pictures that are there, in the order in which they were decoded."""
    shots = {index.shots[number].key: index.shots[number] for number in wanted}
    last = max((shot.segment for shot in shots.values()), default=-1)
    openings: dict[str, list[Segment]] = {}
    for segment in index.segments:
        if segment.number <= last:
            openings.setdefault(segment.opening, []).append(segment)
    for segments in openings.values():
        yield from _stills_of(segments, index, shots)


def file_stills(path: Path, wanted: Collection[int]) -> Iterator[Still]:
    """The wanted pictures of a video file."""
    converter, left = Converter(), set(wanted)
    pictures = Pictures(path, read_facts(path))
    for picture, moment in pictures:
        if moment.index in left:
            left.remove(moment.index)
            rgb, metadata = converter.upright_rgb(picture.raw), pictures.metadata_at(moment)
            yield Still(moment.index, rgb, picture.damaged, metadata)
        if not left:
            return


def _stills_of(segments: list[Segment], index: Index, shots: dict[int, Shot]) -> Iterator[Still]:
    """Those of one opening, by one decoder, as it was then."""
    import av

    context = cast("av.VideoCodecContext", av.CodecContext.create(segments[0].codec, "r"))
    context.thread_type, context.thread_count = "SLICE", 1
    set_limits(context)
    decoder, converter, queue = Decoder(), Converter(), MetadataQueue()
    for packet in _packets(segments, queue, context):
        if packet.pts in index.undecoded:
            continue
        for picture in decoder.pictures(partial(context.decode, packet)):
            yield from _still(picture, shots, converter, queue)
    for picture in decoder.pictures(context.decode):
        yield from _still(picture, shots, converter, queue)


def _still(
    picture: Picture, shots: dict[int, Shot], converter: Converter, queue: MetadataQueue
) -> Iterator[Still]:
    shot = shots.get(picture.raw.pts or 0)
    if shot is not None:
        stamp = shot.pts / 90000 + shot.segment * 1e6
        metadata = queue.taken(shot.time, shot.time - stamp)
        rgb = converter.upright_rgb(picture.raw)
        yield Still(shot.index, rgb, shot.damaged, metadata)


def _packets(
    segments: list[Segment], queue: MetadataQueue, context: av.VideoCodecContext
) -> Iterator[av.Packet[Any]]:
    """Packets of the video, their stamps unique over segments; those of data go to the queue."""
    import av

    for segment in segments:
        is_ts = segment.path.suffix == ".ts"
        options = TS_OPTIONS if is_ts else {}
        form = "mpegts" if is_ts else "matroska"
        # A file that was being written when everything was killed ends in the middle of a packet.
        with (
            suppress(av.InvalidDataError, av.EOFError),
            av.open(f"file:{segment.path}", "r", format=form, options=options) as container,
        ):
            if not container.streams.video:
                continue
            video = container.streams.video[0]
            if not context.is_open and video.codec_context.extradata and not is_ts:
                context.extradata = video.codec_context.extradata
            for packet in container.demux(video, *container.streams.data):
                if is_data(packet):
                    queue.add(packet, shift=segment.number * 1e6)
                elif packet.size and packet.pts is not None:
                    packet.pts += segment.number << SHIFT
                    yield packet


def _notes(file: Path) -> Iterator[dict[str, Any]]:
    """The lines of a file of notes."""
    lines = file.read_bytes().split(b"\n")
    for number, line in enumerate(lines):
        if not line:
            continue
        try:
            yield json.loads(line)
        except ValueError as error:
            if number < len(lines) - 1:
                raise DataError(f"{file}, line {number + 1}: not JSON") from error
