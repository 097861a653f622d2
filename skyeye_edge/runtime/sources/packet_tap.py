"""In the child of a live source: every packet to disk as it came, in segments that survive a kill.

    packets/000001.ts     MPEG-TS, one picture a PES packet; Matroska for what TS cannot hold
    packets/000001.jsonl  a line about the segment, then one for each picture that was handed over

Stamps are written anew, so that a picture is known again by segment and stamp, whatever its sender
does with its clock.
"""

from __future__ import annotations

import json
import secrets
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from skyeye_edge.runtime.sources.metadata import is_data
from skyeye_edge.runtime.sources.timing import Moment

if TYPE_CHECKING:
    import av
    from av.container import OutputContainer

    from skyeye_edge.runtime.sources.decoding import Picture

TICKS = 90000  # a second, of MPEG-TS
FIRST = 2 * TICKS  # stamp of a segment's first picture: what comes shortly before has one, too
REORDERED = TICKS  # by which pictures may be shown earlier than they come, where nothing says when
LONGEST = 60.0  # seconds of a segment, up to the next key frame
SHARE = 16  # one part of these of the room is a segment at most
LEAP = 10.0  # seconds by which stamps may go on between two packets; else it is another segment
REMEMBERED = 512  # packets in the decoder
EARLY = 64  # packets of data that wait for the first picture
IN_TS = ("h264", "hevc", "mpeg1video", "mpeg2video", "mpeg4")


@dataclass(frozen=True, slots=True)
class TapOrder:
    """Where packets are kept, and how many."""

    folder: str  # of the recording
    room: int  # bytes for the segments of all recordings beside it


class PacketTap:
    """Writes the packets of one opening; a failure ends the recording, never the stream.

    Args:
        order: where to.
        codec: FFmpeg's name of the video's.
        video: None where there is nothing but the video, and FFmpeg has not opened it.
        streams: all of them.
    """

    def __init__(
        self,
        order: TapOrder,
        codec: str,
        video: av.VideoStream | None,
        streams: Sequence[av.stream.Stream],
    ) -> None:
        self.failure = ""
        self._order, self._codec, self._video, self._streams = order, codec, video, streams
        self._folder = Path(order.folder) / "packets"
        self._opening = secrets.token_hex(8)  # segments of one are decoded in one go
        self._segment: _Segment | None = None
        self._early: deque[av.Packet[Any]] = deque(maxlen=EARLY)  # of data, before a picture
        self._given: list[dict[str, Any]] = []  # notes of pictures that may not be written yet
        self._places: deque[tuple[int | None, tuple[int, int]]] = deque(maxlen=REMEMBERED)
        if codec == "rawvideo":
            self.failure = "raw pictures of a pipeline are not recorded; let it give H.264"

    def take(self, packet: av.Packet[Any]) -> None:
        """Write a packet, of the video or of a data stream."""
        if self.failure or not packet.size:
            return
        try:
            if self._video is None or packet.stream.index == self._video.index:
                self._take_video(packet)
            elif is_data(packet):
                self._take_data(packet)
        except (OSError, ValueError) as error:  # a full disk; what FFmpeg does not want to write
            self._fail(error)

    def left_out(self) -> None:
        """The last packet of the video is not decoded."""
        if self._segment is not None and not self.failure:
            self._note({"undecoded": self._segment.last})

    def handed_over(self, picture: Picture, moment: Moment, *, damaged: bool) -> None:
        """A picture is given to whoever asks."""
        if self.failure or self._segment is None:
            return
        pts = picture.raw.pts
        known = (place for stamp, place in reversed(self._places) if stamp == pts)
        place = next(known, self._places[-1][1] if self._places else None)
        if place is not None:
            segment, stamp = place
            where = {"segment": segment, "pts": stamp, "damaged": damaged}
            when = {"index": moment.index, "epoch": moment.epoch, "time": moment.time}
            self._given.append(when | where)

    def close(self) -> None:
        """Finish the segment. Never raises."""
        segment = self._segment
        if segment is not None:
            try:
                self._write_notes()
                self._segment = None
                segment.close()
            except (OSError, ValueError) as error:
                self._segment = None
                self.failure = self.failure or _words(error)

    def _write_notes(self) -> None:
        assert self._segment is not None
        given, self._given = self._given, []
        for values in given:
            self._segment.note(values)

    def _take_video(self, packet: av.Packet[Any]) -> None:
        stamp = _seconds(packet.dts if packet.dts is not None else packet.pts, packet)
        segment = self._segment
        if segment is None or segment.is_over(stamp, packet.is_keyframe):
            self.close()
            segment = self._segment = self._begin(packet)
        place = segment.write_video(packet, stamp)
        self._places.append((packet.pts, (segment.number, place)))
        # FFmpeg keeps the last packet back to put those of data before it: only now is the one
        # before it on disk, and a note about it true.
        self._write_notes()
        while self._early:
            segment.write_data(self._early.popleft())

    def _take_data(self, packet: av.Packet[Any]) -> None:
        if self._segment is None:
            self._early.append(packet)
        else:
            self._segment.write_data(packet)

    def _begin(self, first: av.Packet[Any]) -> _Segment:
        self._folder.mkdir(parents=True, exist_ok=True)
        make_room(self._folder.parent.parent, self._order.room)
        number = 1 + max((int(each.stem) for each in self._folder.glob("*.jsonl")), default=0)
        room = self._order.room // SHARE
        segment = _Segment(self._folder, number, self._codec, self._video, self._streams, room)
        entry = not self._places or first.is_keyframe
        head = {"opening": self._opening, "entry": entry, "codec": self._codec}
        segment.note(head | {"file": segment.path.name, "began": _utc()})
        return segment

    def _note(self, values: dict[str, Any]) -> None:
        assert self._segment is not None
        try:
            self._segment.note(values)
        except OSError as error:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        self.failure = _words(error)
        self.close()


class _Segment:
    """A file of packets, and the notes beside it."""

    def __init__(
        self,
        folder: Path,
        number: int,
        codec: str,
        video: av.VideoStream | None,
        streams: Sequence[av.stream.Stream],
        most: int,
    ) -> None:
        import av

        self.number, self._most = number, most
        is_ts = codec in IN_TS
        self._ticks = TICKS if is_ts else 1000
        suffix, form = (".ts", "mpegts") if is_ts else (".mkv", "matroska")
        path = folder / f"{number:06d}{suffix}"
        self._began = time.monotonic()
        self._notes: TextIO = (folder / f"{number:06d}.jsonl").open("x", encoding="utf-8")
        # mpegts_copyts: stamps as they are; the delta: nothing waits for a data stream that is rare
        options = {"flush_packets": "1", "max_interleave_delta": "1"}
        options |= {"mpegts_copyts": "1"} if is_ts else {}
        self._file: OutputContainer = av.open(f"file:{path}", "w", format=form, options=options)
        self._video: Any
        if video is not None:
            self._video = self._file.add_stream_from_template(video)
        else:
            self._video = self._file.add_mux_stream(codec)
        self._data: dict[int, Any] = {}
        for stream in streams if is_ts else ():
            if stream.type == "data" and stream.name == "klv":
                self._data[stream.index] = self._file.add_stream_from_template(stream)
        self.last = 0  # stamp of the last picture
        self._offset: int | None = None  # from stamps, in our ticks, to those that are written
        self._stamp: float | None = None  # when the last packet was to be decoded, seconds
        self._decoded = {index: 0 for index in (-1, *self._data)}  # last of each stream; -1: video
        self._bytes = 0
        self.path = path

    def is_over(self, stamp: float | None, key: bool) -> bool:
        """Whether the next packet, to be decoded at `stamp` seconds, begins another segment."""
        if stamp is not None and self._stamp is not None:
            step = stamp - self._stamp
            if step < 0 or step > LEAP:
                return True
        is_long = time.monotonic() - self._began > LONGEST or self._bytes > self._most
        return (is_long and key) or self._bytes > 2 * self._most

    def write_video(self, packet: av.Packet[Any], stamp: float | None) -> int:
        """Write a packet; its stamp in the segment."""
        self._stamp = stamp if stamp is not None else self._stamp
        shown = self._ticked(packet.pts, packet)
        decoded = self._ticked(packet.dts, packet)
        before = self._decoded[-1]
        if shown is None:
            shown = max(before + 1, decoded or 0)
        if decoded is None:
            decoded = shown - REORDERED
        decoded = max(before + 1, decoded)
        shown = max(shown, decoded)
        self._decoded[-1] = decoded
        self._mux(packet, self._video, shown, decoded)
        self.last = shown
        return shown

    def write_data(self, packet: av.Packet[Any]) -> None:
        """Write a packet of metadata, unless it came before the first picture."""
        index = packet.stream.index
        if self._offset is None or index not in self._data:
            return
        shown = self._ticked(packet.pts, packet)
        decoded = max(self._decoded[index] + 1, self.last if shown is None else shown)
        self._decoded[index] = decoded
        self._mux(packet, self._data[index], decoded, decoded)

    def note(self, values: dict[str, Any]) -> None:
        """Write a line about it."""
        self._notes.write(json.dumps(values) + "\n")
        self._notes.flush()

    def close(self) -> None:
        """Finish both files."""
        try:
            self._notes.close()
        finally:
            self._file.close()

    def _ticked(self, stamp: int | None, packet: av.Packet[Any]) -> int | None:
        """A stamp as it is written."""
        if stamp is None or packet.time_base is None:
            return None
        ticks = round(stamp * packet.time_base * self._ticks)
        if self._offset is None:
            self._offset = FIRST * self._ticks // TICKS - ticks
        return ticks + self._offset

    def _mux(self, packet: av.Packet[Any], stream: Any, shown: int, decoded: int) -> None:
        import av

        copy: Any = av.Packet(bytes(packet))
        copy.stream, copy.time_base = stream, Fraction(1, self._ticks)
        copy.pts, copy.dts, copy.is_keyframe = shown, decoded, packet.is_keyframe
        self._file.mux(copy)
        self._bytes += packet.size


def make_room(root: Path, room: int) -> int:
    """Delete the oldest segments of all recordings below `root` beyond `room` bytes; how many."""
    segments = [each for each in root.glob("*/packets/*") if each.suffix in (".ts", ".mkv")]
    found = []
    for path in segments:
        try:
            status = path.stat()
        except OSError:  # another source's reader has deleted it
            continue
        found.append((status.st_mtime_ns, status.st_size, path))
    found.sort()
    total, gone = sum(size for _, size, _ in found), 0
    for _, size, path in found[:-1]:
        if total <= room - room // SHARE:
            break
        path.unlink(missing_ok=True)
        total, gone = total - size, gone + 1
    return gone


def _seconds(stamp: int | None, packet: av.Packet[Any]) -> float | None:
    if stamp is None or packet.time_base is None:
        return None
    return float(stamp * packet.time_base)


def _words(error: Exception) -> str:
    return getattr(error, "strerror", None) or type(error).__name__


def _utc() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
