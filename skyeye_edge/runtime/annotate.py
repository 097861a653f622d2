"""A video with its answers drawn on every frame: the second pass over a recording."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from skyeye_edge.core.answer_drawing import answer_drawing
from skyeye_edge.core.drawing import Drawing
from skyeye_edge.core.errors import needs
from skyeye_edge.core.events import AnswerEvent, Event
from skyeye_edge.runtime.sinks.h264 import TICK, add_stream, even, fitted
from skyeye_edge.runtime.sinks.output import replacing
from skyeye_edge.runtime.sources.file import Pictures, read_facts
from skyeye_edge.runtime.sources.pixels import Converter

if TYPE_CHECKING:
    from av.video.stream import VideoStream

ENCODER = {"preset": "veryfast", "crf": "22", "bf": "0"}  # bf: so that time stamps begin at 0


def annotate(
    video: Path | str,
    events: Iterable[Event],
    path: Path | str,
    *,
    overwrite: bool = False,
    on_progress: Callable[[int, float], None] = lambda frames, seconds: None,
) -> None:
    """Write `video` at its full rate with the latest answer drawn on every frame, as H.264.

    Args:
        video: what was asked about. It is turned as its metadata say; sound is left out.
        events: in the order of the frames, such as `read_events` gives; only answers are drawn.
        path: an mp4, with the same frames at the same times, within 1 ms, relative to the first.
            It appears when it is complete; until then `<path>.part` grows.
        overwrite: also where a file stands that we did not write.
        on_progress: told the frames and media seconds written so far.

    Raises:
        InputError: no such video, or `path` cannot be written.
        OutputError: `path` is not ours to replace.
        MediaError: no picture in the video can be decoded.
        SkyEyeError: the disk is full.
    """
    with needs("runtime"):
        import av
    facts = read_facts(Path(video))
    latest = _Latest(events)
    converter = Converter()
    with replacing(Path(path), overwrite=overwrite) as part:
        # faststart: the index goes to the front, so that browsers play while they load
        output = av.open(f"file:{part}", "w", format="mp4", options={"movflags": "faststart"})
        with output:
            stream: VideoStream | None = None
            last = -1
            for picture, moment in Pictures(Path(video), facts):
                rgb = converter.upright_rgb(picture.raw)
                rgb = even(latest.drawn_on(rgb, moment.index))
                if stream is None:
                    rate = Fraction(1 / facts.step).limit_denominator(1001)
                    stream = add_stream(output, rgb, rate, ENCODER)
                matrix = stream.codec_context.colorspace
                frame = converter.yuv(fitted(rgb, stream.width, stream.height), matrix)
                # one tick at least: an mp4 has no two frames at the same time
                last = max(last + 1, round(moment.time / TICK))
                frame.pts = last
                output.mux(stream.encode(frame))
                on_progress(moment.index + 1, moment.time)
            if stream is not None:
                output.mux(stream.encode(None))


class _Latest:
    """The newest answer on each frame; frames come in order."""

    def __init__(self, events: Iterable[Event]) -> None:
        self._answers = (
            event for event in events if isinstance(event, AnswerEvent) and event.frames
        )
        self._now: AnswerEvent | None = None
        self._next = next(self._answers, None)
        self._drawing: Drawing | None = None  # of the newest answer, for frames of `_shape`
        self._shape: tuple[int, ...] = ()

    def drawn_on(self, rgb: npt.NDArray[np.uint8], index: int) -> npt.NDArray[np.uint8]:
        """Frame `index` with the last answer about it or an earlier frame; as it is before any."""
        while self._next is not None and self._next.frames[-1] <= index:
            self._now, self._next = self._next, next(self._answers, None)
            self._drawing = None
        if self._now is None:
            return rgb
        if self._drawing is None or self._shape != rgb.shape:
            self._drawing, self._shape = answer_drawing(self._now, rgb.shape), rgb.shape
        return self._drawing.on(rgb)
