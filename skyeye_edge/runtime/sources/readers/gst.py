"""A GStreamer pipeline; it runs in a process of its own, with an interpreter that has PyGObject."""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, cast

from skyeye_edge.runtime.sources import gst_feeder
from skyeye_edge.runtime.sources.causes import End, SourceEnded
from skyeye_edge.runtime.sources.demuxing import Opened
from skyeye_edge.runtime.sources.readers.programs import Program
from skyeye_edge.runtime.sources.registry import Target

if TYPE_CHECKING:
    import av

HEADER = struct.Struct(gst_feeder.HEADER)
BINDING = (
    "no Python here has GStreamer's binding; sudo apt-get install python3-gi gir1.2-gstreamer-1.0 "
    "gstreamer1.0-plugins-base"
)
ENDED = "the pipeline's process has ended"
NANOSECONDS = Fraction(1, 10**9)


@contextmanager
def opened(target: Target) -> Iterator[Opened]:
    """The pictures at the end of a pipeline."""
    import av

    for interpreter in dict.fromkeys((sys.executable, "/usr/bin/python3")):
        if not Path(interpreter).exists():
            continue
        # -I: nothing of our environment is meant for another interpreter
        with Program([interpreter, "-I", gst_feeder.__file__], ENDED) as feeder:
            feeder.input.write(target.text.encode() + b"\n")
            if feeder.read_exactly(1) == gst_feeder.READY:
                found = Opened((), av.VideoCodecContext.create("rawvideo", "r"))
                found.packets = _packets(feeder, found)
                yield found
                return
    raise SourceEnded(End(BINDING, final=True))


def _packets(feeder: Program, found: Opened) -> Iterator[av.Packet[av.VideoStream]]:
    """Pictures as packets of raw video."""
    import av

    while True:
        width, height, time, size = HEADER.unpack(feeder.read_exactly(HEADER.size))
        data = bytes(feeder.read_exactly(size))
        if not width:
            words = data.decode(errors="replace")
            raise SourceEnded(End(words[1:], final=words.startswith(gst_feeder.FINAL)))
        context = found.context
        if (context.width, context.height) != (width, height):
            context = av.VideoCodecContext.create("rawvideo", "r")
            context.width, context.height, context.pix_fmt = width, height, "rgb24"
            found.context = context
        packet = av.Packet(data)
        packet.pts = time if time >= 0 else None
        packet.time_base = NANOSECONDS
        packet.is_keyframe = True
        yield cast("av.Packet[av.VideoStream]", packet)
