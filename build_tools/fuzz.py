"""Feed invented content to a reader until it fails: `python build_tools/fuzz.py gguf`.

Needs atheris (`pip install atheris`), which follows what of the code each input reaches; what comes
behind the name of the reader goes to libFuzzer, such as `-max_total_time=60`. `make test` does the
same with Hypothesis, shorter.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from skyeye_edge.core.boxes import BoxSpec
from skyeye_edge.core.errors import BundleError, InputError
from skyeye_edge.core.gguf_header import read_gguf_header
from skyeye_edge.core.manifest import read_manifest
from skyeye_edge.core.parsing import parse_reply
from skyeye_edge.core.reply import Reply
from skyeye_edge.core.tasks import Describe, Detect, Ground
from skyeye_edge.runtime.sources.rtp import Pictures, codec_of, parse_rtp
from skyeye_edge.runtime.sources.sdp import parse_sdp

FOLDER = Path(tempfile.mkdtemp(prefix="skyeye-fuzz-"))


def gguf(data: bytes) -> None:
    """A GGUF header."""
    _read_file(read_gguf_header, b"GGUF\3\0\0\0" + data)


def manifest(data: bytes) -> None:
    """The manifest of a bundle."""
    _read_file(read_manifest, data)


def boxes(data: bytes) -> None:
    """An answer with boxes."""
    number = len(data)
    reply = Reply(
        tuple(range(number)),
        tuple(bytes([byte]) for byte in data),
        (1.0,) * number,
        (True,) * number,
        "end",
    )
    for task in (Ground("a boat"), Detect("boat"), Describe(boxes=True)):
        parse_reply(task, reply, (640, 480), BoxSpec())


def sdp(data: bytes) -> None:
    """A session description."""
    try:
        parse_sdp("m=video 5600 RTP/AVP 96\nc=IN IP4 127.0.0.1\n" + data.decode("utf-8", "replace"))
    except InputError:
        return  # refused in words, as it should be


def rtp(data: bytes) -> None:
    """Datagrams of RTP, each behind its length in one byte."""
    for codec in ("h264", "hevc"):
        pictures = Pictures(codec, [])
        rest = data
        while rest:
            packet = parse_rtp(b"\x80\x60" + rest[1 : 1 + rest[0]])
            rest = rest[1 + rest[0] :]
            if packet is not None:
                codec_of(packet.payload)
                list(pictures.add(packet, missing=packet.number % 7 == 0))


def _read_file(read: Callable[[Path], object], data: bytes) -> None:
    path = FOLDER / "input"
    path.write_bytes(data)
    try:
        read(path)
    except BundleError:
        return  # refused in words, as it should be


READERS: dict[str, Callable[[bytes], None]] = {
    each.__name__: each for each in (gguf, manifest, boxes, sdp, rtp)
}


def main() -> None:
    """Run libFuzzer on the reader that the first argument names."""
    if len(sys.argv) < 2 or sys.argv[1] not in READERS:
        sys.exit(f"{__doc__}\nreaders: {', '.join(READERS)}")
    try:
        fuzzer = import_module("atheris")
    except ModuleNotFoundError:
        sys.exit("atheris is not installed; run: pip install atheris")
    fuzzer.instrument_all()
    fuzzer.Setup([sys.argv[0], *sys.argv[2:]], READERS[sys.argv[1]])
    fuzzer.Fuzz()


if __name__ == "__main__":
    main()
