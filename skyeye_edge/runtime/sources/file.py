"""Frames of a video file, read by a thread that waits for whoever asks."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skyeye_edge.core import limits
from skyeye_edge.core.errors import InputError, MediaError, needs
from skyeye_edge.core.frame import Counts, DataPacket, Frame, SourceChange
from skyeye_edge.runtime.sources.access import access_reader
from skyeye_edge.runtime.sources.allowed import file_options, is_too_large, set_limits
from skyeye_edge.runtime.sources.decoding import DAMAGED, Decoder, Picture
from skyeye_edge.runtime.sources.mailbox import Mailbox
from skyeye_edge.runtime.sources.metadata import MetadataQueue, is_data
from skyeye_edge.runtime.sources.pixels import Converter
from skyeye_edge.runtime.sources.skipping import Shown, Skipper
from skyeye_edge.runtime.sources.source import Item
from skyeye_edge.runtime.sources.timing import MediaClock, Moment, Sampler

if TYPE_CHECKING:
    import av
    from av.container import InputContainer
    from av.video.stream import VideoStream

log = logging.getLogger(__name__)
SLOTS = 2  # frames decoded ahead: enough to hide decoding, few enough for 4K in a small memory
SLACK = 0.5  # seconds by which a header may promise too much before a file is called damaged


@dataclass(frozen=True, slots=True)
class VideoFacts:
    """What the header of a video says; damaged files may hold less."""

    seconds: float  # 0.0 if unknown
    frames: int  # 0 if unknown
    step: float  # seconds between two frames, on average


class FileSource:
    """The frames of a video; nothing is lost on the way but damaged data.

    Args:
        path: the file.
        keep_damaged: pictures that the decoder marks are given too.
        skip: what is neither due nor needed for what is due is not decoded.

    Raises:
        InputError: there is no such file.
        MediaError: it holds no picture that can be decoded.
    """

    def __init__(self, path: Path | str, *, keep_damaged: bool = False, skip: bool = True) -> None:
        self.path = Path(path)
        self.name = self.path.name
        self.facts = read_facts(self.path)
        self._keep_damaged, self.skip = keep_damaged, skip
        self._box = Mailbox(SLOTS)
        self._reader: threading.Thread | None = None

    def items(self, every: float) -> Iterator[Item]:
        """Frames due by `every`, then ENDED with the counts of the tail. To be called once."""
        if self._reader is not None:
            raise InputError(f"{self.name}: this source is already being read; open another one")
        sampler = Sampler(every)
        self._reader = threading.Thread(
            target=self._read, args=(sampler,), name=f"read {self.name}", daemon=True
        )
        self._reader.start()
        try:
            yield from self._box.items()
        finally:  # also when somebody stops asking without a word
            self.stop()

    def stop(self) -> None:
        """End early: `items` goes on to ENDED, with undecided frames counted as closed."""
        self._box.stop()

    def close(self) -> None:
        """Stop, and wait until the file is closed. Closing twice is fine."""
        self.stop()
        if self._reader is not None:
            self._reader.join(timeout=2.0)

    def _read(self, sampler: Sampler) -> None:
        pictures = Pictures(self.path, self.facts)
        converter = Converter()
        cause = "end of file"
        try:
            for picture, moment in pictures.asked(sampler) if self.skip else pictures:
                if self._box.stopped:
                    cause = "stopped"
                    self._box.count(Counts(1, 0, {"closed": 1}))
                    break
                if picture is None:
                    self._box.count(Counts(1, 1))
                elif picture.marked and not self._keep_damaged:
                    if pictures.decoder.marked == 1:
                        log.warning(DAMAGED, self.name, "")
                    self._box.count(Counts(1, 0, {"decode": 1}))
                elif sampler.is_due(moment.time):
                    frame = self._frame(picture, moment, converter, pictures.taken())
                    self._box.put(replace(frame, metadata=pictures.metadata_at(moment)))
                else:
                    self._box.count(Counts(1, 1))
        except Exception as error:  # the end of a thread: whoever waits for it must hear of it
            log.exception("%s: reading failed", self.name)
            cause = f"reading failed: {error}"
        if cause == "end of file" and pictures.torn:
            cause = f"the file is damaged or cut short after {pictures.number} frames"
            log.warning("%s: %s", self.name, cause)
        self._box.put(SourceChange("ENDED", cause, 0, pictures.end, pictures.taken()))

    def _frame(
        self, picture: Picture, moment: Moment, converter: Converter, before: Counts
    ) -> Frame:
        began = time.perf_counter()
        rgb = converter.upright_rgb(picture.raw)
        return Frame(
            rgb,
            moment.time,
            moment.index,
            arrived=time.monotonic(),
            source=self.name,
            before=before,
            decoding=picture.seconds + time.perf_counter() - began,
            damaged=picture.damaged,
        )


class Pictures:
    """Decoded pictures of a file with their moments, and count of what failed between them."""

    def __init__(self, path: Path, facts: VideoFacts) -> None:
        self._clock = MediaClock()
        self.torn = False  # data that should be there is not
        self._path = path
        self._facts = facts
        self.decoder = Decoder()
        self._metadata = MetadataQueue()
        self._failed = 0

    def __iter__(self) -> Generator[tuple[Picture, Moment], None, None]:
        """All of them."""
        with self._opened() as (container, stream):
            for packet in self._packets(container, stream):
                for picture in self.decoder.pictures(packet.decode):
                    yield picture, self._tell(picture.raw.pts, stream)

    def asked(self, sampler: Sampler) -> Generator[Shown, None, None]:
        """Those that are due, exactly as `__iter__` gives them; others may be None, not decoded.

        A damaged picture that was not decoded is not known to be so, and counts like a whole one.
        """
        with self._opened() as (container, stream):
            skipper = self._skipper(sampler, stream)
            for packet in self._packets(container, stream):
                if packet.size:
                    yield from skipper.shown(packet)
            yield from skipper.end()

    def _packets(self, container: InputContainer, stream: VideoStream) -> Iterator[av.Packet[Any]]:
        """Those of the video."""
        # other streams, such as sound, are not read
        for packet in container.demux(stream, *container.streams.data):
            if is_data(packet):
                self._metadata.add(packet)
            elif is_too_large(packet):
                self._failed += 1
            else:
                yield packet

    def _skipper(self, sampler: Sampler, stream: VideoStream) -> Skipper:
        context = stream.codec_context
        reader = access_reader(context) if sampler.every else None
        return Skipper(
            self.decoder,
            lambda: self.decoder.drained(context),
            lambda pts: self._tell(pts, stream),
            sampler,
            reader or (lambda data: None),
        )

    @contextmanager
    def _opened(self) -> Iterator[tuple[InputContainer, VideoStream]]:
        with needs("runtime"):
            import av
        with opened(self._path) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            set_limits(stream.codec_context)
            try:
                yield container, stream
            except av.FFmpegError:  # from demux: what follows cannot be found
                self._failed += 1
                self.torn = True
            self.torn = self.torn or self.end + SLACK < self._facts.seconds

    def _tell(self, pts: int | None, stream: VideoStream) -> Moment:
        stamp, base = None, stream.time_base
        if pts is not None and base is not None:
            stamp = float(pts) * base.numerator / base.denominator
        return self._clock.tell(stamp, self.number * self._facts.step)

    def metadata_at(self, moment: Moment) -> tuple[DataPacket, ...]:
        """What came with a picture, since the one that this was asked of before."""
        return self._metadata.taken(moment.time, self._clock.offset)

    @property
    def number(self) -> int:
        """How many there were so far."""
        return 0 if self._clock.last is None else self._clock.last.index + 1

    @property
    def end(self) -> float:
        """Media time until which the last one is shown."""
        return 0.0 if self._clock.last is None else self._clock.last.time + self._facts.step

    def taken(self) -> Counts:
        """The decode calls that failed since this was last asked."""
        failed, self._failed = self._failed + self.decoder.failed(), 0
        return Counts(failed, 0, {"decode": failed}) if failed else Counts()


@contextmanager
def opened(path: Path) -> Iterator[InputContainer]:
    """The container at `path`, with FFmpeg's errors in our words."""
    with needs("runtime"):
        import av
    if not path.exists():
        raise InputError(f"{path}: there is no such file")
    if path.is_dir():
        raise InputError(f"{path}: this is a folder, a video is needed")
    try:
        # or a name like 12:30.mp4 would be an address
        container = av.open(f"file:{path}", "r", container_options=file_options())
    except PermissionError as error:
        raise InputError(f"{path}: not readable by this user; check its permissions") from error
    except av.ArgumentError as error:
        raise MediaError(
            f"{path}: no video but a list of what to play, which is not followed; give the video "
            "itself (or, of a stream, the address: skyeye-edge watch https://.../live.m3u8)"
        ) from error
    except (av.FFmpegError, OSError, ValueError) as error:
        raise MediaError(f"{path}: not a video, or its end with the index is missing") from error
    with container:
        if not container.streams.video:
            raise MediaError(f"{path}: there is no video stream in this file")
        yield container


def read_facts(path: Path) -> VideoFacts:
    """Header of a video, after proving that a first picture can be decoded."""
    with opened(path) as container:
        stream = container.streams.video[0]
        average = stream.average_rate or stream.guessed_rate
        # without time stamps the average is FFmpeg's default; the stream's own header knows better
        untimed = stream.guessed_rate or stream.average_rate
        if stream.duration is not None and stream.time_base is not None:
            seconds = float(stream.duration * stream.time_base)
        else:
            seconds = (container.duration or 0) / 1_000_000
        facts = VideoFacts(seconds, stream.frames, float(1 / (average or 25)))
    pictures = iter(Pictures(path, facts))
    first = next(pictures, None)
    if first is None:
        raise MediaError(
            f"{path}: no frame can be decoded; the video is empty or damaged, or its pictures have "
            f"more than {limits.FRAME_PIXELS:,} pixels"
        )
    pictures.close()
    picture, _ = first
    return replace(facts, step=float(1 / (untimed or 25))) if picture.raw.time is None else facts
