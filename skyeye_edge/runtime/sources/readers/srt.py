"""SRT: by FFmpeg where it was built with it, else by the program srt-live-transmit."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qsl, urlencode

from skyeye_edge.core.address import parse_address
from skyeye_edge.runtime.sources.causes import End, SourceEnded
from skyeye_edge.runtime.sources.demuxing import Opened
from skyeye_edge.runtime.sources.ffmpeg_options import has_protocol
from skyeye_edge.runtime.sources.readers import ffmpeg
from skyeye_edge.runtime.sources.readers.programs import Program
from skyeye_edge.runtime.sources.readers.udp import opened_transport
from skyeye_edge.runtime.sources.registry import SRT_OPTIONS, Target

MISSING = (
    "this FFmpeg has no SRT, and there is no srt-live-transmit; sudo apt-get install srt-tools"
)
ENDED = "no SRT connection, or it has ended"


@contextmanager
def opened(target: Target) -> Iterator[Opened]:
    """MPEG-TS that comes over SRT."""
    if has_protocol("srt"):
        with ffmpeg.opened(target, _address(target)) as found:
            yield found
        return
    program = shutil.which("srt-live-transmit")
    if program is None:
        raise SourceEnded(End(MISSING, final=True))
    command = [program, "-q", "-a:no", _address(target), "file://con"]
    with Program(command, ENDED) as bridge, opened_transport(bridge, target) as found:
        yield found


def _address(target: Target) -> str:
    """The address with the options that are SRT's own; holds the passphrase."""
    address = parse_address(target.text)
    path, _, query = address.rest.partition("?")
    asked = dict(parse_qsl(query))
    asked |= {name: value for name, value in target.options.items() if name in SRT_OPTIONS}
    place = f"srt://{address.host}:{address.port}{path}"
    return f"{place}?{urlencode(asked)}" if asked else place
