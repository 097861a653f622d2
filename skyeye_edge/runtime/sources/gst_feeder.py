"""Runs a GStreamer pipeline and writes its newest pictures to standard output.

Started as a program, perhaps with another interpreter than ours (the system's, which has
GStreamer's binding), so it needs nothing but Python 3.6 and PyGObject. The pipeline comes as a line
on standard input, because everybody may read a command line.
"""

import re
import struct
import sys
from typing import Any

HEADER = "<IIqI"  # width, height, time in ns (-1: none), bytes behind it; width 0: words, the end
READY, MISSING = b"+", b"-"
FINAL, PASSING = "!", " "  # what words of the end begin with: whether there is sense in going on
TAIL = "videoconvert ! video/x-raw,format=RGB ! appsink name=skyeye"
WAIT = 200000000  # ns
HARMLESS = re.compile(
    r"no element \"[\w-]+\"|no property \"[\w-]+\" in element \"[\w-]+\"|syntax error"
    r"|could not link [\w-]+ to [\w-]+"
)


def main() -> None:
    """Feed until the pipeline or whoever reads has ended."""
    line = sys.stdin.buffer.readline().decode("utf-8", "replace").strip()
    try:
        import gi

        gi.require_version("Gst", "1.0")
        from gi.repository import Gst
    except (ImportError, ValueError):
        sys.stdout.buffer.write(MISSING)
        return
    sys.stdout.buffer.write(READY)
    sys.stdout.buffer.flush()
    Gst.init(None)
    try:
        pipeline = Gst.parse_launch(line + " ! " + TAIL)
    except Exception as error:
        tell(FINAL + "GStreamer does not understand the pipeline: " + harmless(str(error)))
        return
    feed(Gst, pipeline)


def feed(Gst: Any, pipeline: Any) -> None:  # a module  # a module
    """Write pictures until there are no more."""
    sink = pipeline.get_by_name("skyeye")
    for name, value in (("max-buffers", 1), ("drop", True), ("sync", False)):
        sink.set_property(name, value)
    pipeline.set_state(Gst.State.PLAYING)
    bus = pipeline.get_bus()
    while True:
        sample = sink.emit("try-pull-sample", WAIT)
        message = bus.pop_filtered(Gst.MessageType.ERROR)
        if message is not None:
            tell(PASSING + "GStreamer: " + harmless(message.parse_error()[0].message))
            return
        if sample is not None:
            write(Gst, sample)
        elif sink.get_property("eos"):
            tell(PASSING + "the pipeline has ended")
            return


def write(Gst: Any, sample: Any) -> None:  # a module
    """One picture, its rows without padding."""
    caps = sample.get_caps().get_structure(0)
    width, height = caps.get_value("width"), caps.get_value("height")
    buffer = sample.get_buffer()
    time = -1 if buffer.pts == Gst.CLOCK_TIME_NONE else buffer.pts
    done, pixels = buffer.map(Gst.MapFlags.READ)
    if not done:
        return
    try:
        data, row = bytes(pixels.data), 3 * width
        stride = len(data) // height
        if stride != row:
            data = b"".join(
                data[place : place + row] for place in range(0, stride * height, stride)
            )
    finally:
        buffer.unmap(pixels)
    sys.stdout.buffer.write(struct.pack(HEADER, width, height, time, len(data)) + data)
    sys.stdout.buffer.flush()


def harmless(words: str) -> str:
    """What may be shown of an error: its text may hold an address with a password."""
    found = HARMLESS.search(words)
    if found:
        return found.group()
    return "it failed" if re.search(r"[@\"=]|://", words) else words.strip().rstrip(".").lower()


def tell(words: str) -> None:
    """The last words."""
    data = words.encode()
    sys.stdout.buffer.write(struct.pack(HEADER, 0, 0, -1, len(data)) + data)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    try:
        main()
    except BrokenPipeError:  # nobody reads any more
        sys.stderr.close()
