"""How the packets of each kind of live source are got; one file each, in the child process only."""

from __future__ import annotations

from contextlib import AbstractContextManager

from skyeye_edge.runtime.sources.demuxing import Opened
from skyeye_edge.runtime.sources.readers import ffmpeg, gst, rtp, srt, stdin, udp
from skyeye_edge.runtime.sources.registry import Notes, Target


def open_reader(target: Target, notes: Notes) -> AbstractContextManager[Opened]:
    """Opens a target, with the reader of its kind.

    Args:
        target: what is wanted.
        notes: of earlier openings; a reader may change them.
    """
    match target.kind:
        case "udp":
            return udp.opened(target)
        case "rtp" | "sdp":
            return rtp.opened(target, notes)
        case "srt":
            return srt.opened(target)
        case "stdin":
            return stdin.opened(target)
        case "gst":
            return gst.opened(target)
        case _:
            return ffmpeg.opened(target)
