"""Packets of a live source, in the order in which they came, to what is to be done with each."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from skyeye_edge.core.frame import Counts
from skyeye_edge.runtime.sources.allowed import is_too_large, set_limits
from skyeye_edge.runtime.sources.causes import NO_VIDEO, End, SourceEnded
from skyeye_edge.runtime.sources.decoding import Decoder
from skyeye_edge.runtime.sources.metadata import is_data
from skyeye_edge.runtime.sources.session import Session

if TYPE_CHECKING:
    import av
    from av.container import InputContainer

KEY_GAP = 1.0  # seconds without a picture that a change of codec takes to be believed, at least
LONGEST_KEY_GAP = 5.0  # and at most
FAILURES = 10  # decode calls, in a row


@dataclass(slots=True, eq=False)
class Opened:
    """What a reader has opened."""

    packets: Iterable[av.Packet[Any]]  # of all streams
    context: av.VideoCodecContext  # decodes those of the video; a reader may change it on the way
    video: av.VideoStream | None = None  # None: there is nothing but the video
    streams: tuple[av.stream.Stream, ...] = ()  # all of them, where FFmpeg has opened it
    heard: Callable[[], None] = lambda: None  # to be called for each packet of the video
    ending: str = ""  # what it means if there are no more packets; empty: that it was lost

    def is_video(self, packet: av.Packet[Any]) -> bool:
        """Whether a packet is one of the video that is watched."""
        return self.video is None or packet.stream.index == self.video.index


def opened_container(container: InputContainer) -> Opened:
    """The first video of a container that FFmpeg has opened."""
    if not container.streams.video:
        raise SourceEnded(End(NO_VIDEO))
    video = container.streams.video[0]
    video.thread_type = "SLICE"  # every frame thread would add one frame of delay
    video.codec_context.thread_count = 1
    set_limits(video.codec_context)
    return Opened(container.demux(), video.codec_context, video, tuple(container.streams))


def follow(opened: Opened, session: Session) -> End:
    """Give the pictures to the session until there are no more, or it is stopped; says why."""
    decoder = Decoder()
    drought = Drought()
    for packet in opened.packets:
        if session.tap is not None:
            session.tap.take(packet)
        if opened.is_video(packet):
            opened.heard()
            _decode(packet, opened, decoder, session, drought)
            if drought.is_certain:
                return End("what arrives cannot be decoded any more; its codec may have changed")
        elif is_data(packet):
            session.metadata.add(packet)
        session.tell()
        if not session.listened:
            return End("stopped")
    if opened.ending:
        return End(opened.ending, over=True)
    return End("the sender ended the stream")


def _decode(
    packet: av.Packet[Any], opened: Opened, decoder: Decoder, session: Session, drought: Drought
) -> None:
    if not session.is_wanted(packet):
        if session.tap is not None:
            session.tap.left_out()
        return
    if is_too_large(packet):
        session.counts += Counts(1, 0, {"decode": 1})
        return
    pictures = decoder.pictures(lambda: opened.context.decode(packet))
    for picture in pictures:
        session.add(picture)
    failed = decoder.failed()
    if failed:
        session.counts += Counts(failed, 0, {"decode": failed})
    keys = any(picture.raw.key_frame for picture in pictures)
    drought.tell(session.clock(), failed, len(pictures), keys=keys)


class Drought:
    """Tells when packets that gave pictures give none any more.

    After a change from H.264 to H.265 on one PID, 232 decode calls in a row failed, without a
    picture and without another word of FFmpeg. A loss does as much, but not beyond a key frame.
    """

    def __init__(self) -> None:
        self.is_certain = False
        self._failed = 0  # since the last picture
        self._picture: float | None = None  # when the last one came
        self._key: float | None = None  # when the last key frame came
        self._gap = KEY_GAP  # seconds; longest between two key frames

    def tell(self, now: float, failed: int, pictures: int, *, keys: bool) -> None:
        """Take note of a decode call."""
        if keys:
            if self._key is not None:
                self._gap = min(max(self._gap, now - self._key), LONGEST_KEY_GAP)
            self._key = now
        if pictures:
            self._picture, self._failed = now, 0
        self._failed += failed
        since = 0.0 if self._picture is None else now - self._picture
        self.is_certain = self._failed >= FAILURES and since > 1.5 * self._gap
