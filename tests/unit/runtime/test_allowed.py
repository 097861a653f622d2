"""Media that somebody else made opens nothing but itself, and takes no more than a camera's."""

from __future__ import annotations

import struct
import zlib
from fractions import Fraction
from pathlib import Path

import av
import pytest

from skyeye_edge.core.errors import MediaError
from skyeye_edge.runtime.sources.allowed import ELSEWHERE, file_options
from skyeye_edge.runtime.sources.file import FileSource, opened


@pytest.fixture
def victim(tmp_path: Path, demo_clip: Path) -> Path:
    """A private video that a list may want to show."""
    return remuxed(demo_clip, tmp_path / "private.ts", "mpegts")


def remuxed(video: Path, path: Path, container: str) -> Path:
    """The packets of a video in another container."""
    with av.open(str(video)) as source, av.open(str(path), "w", format=container) as target:
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        for packet in source.demux(stream):
            if packet.dts is not None:
                packet.stream = copy
                target.mux(packet)
    return path


def playlist(segment: str) -> str:
    return f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{segment}\n#EXT-X-ENDLIST\n"


def session(host: str) -> str:
    return (
        f"v=0\r\no=- 0 0 IN IP4 {host}\r\ns=x\r\nc=IN IP4 {host}\r\nt=0 0\r\n"
        "m=video 5799 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
    )


@pytest.mark.parametrize("name", ["evil.m3u8", "evil.mp4", "evil.ts"])
def test_a_playlist_opens_no_other_file(tmp_path: Path, victim: Path, name: str) -> None:
    (tmp_path / name).write_text(playlist(victim.as_uri()))

    with pytest.raises(MediaError):
        FileSource(tmp_path / name)


def test_a_playlist_of_a_file_beside_it_says_what_to_do(tmp_path: Path, victim: Path) -> None:
    (tmp_path / "evil.m3u8").write_text(playlist(victim.name))

    with pytest.raises(MediaError, match=r"a list of what to play, which is not followed"):
        FileSource(tmp_path / "evil.m3u8")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("evil.m3u8", playlist("http://127.0.0.1:9/x.ts")),
        ("evil.sdp", session("127.0.0.1")),
        ("evil.ffconcat", "ffconcat version 1.0\nfile private.ts\n"),
        ("evil.mp4", "ffconcat version 1.0\nfile private.ts\n"),
    ],
    ids=["playlist of a server", "session description", "list of files", "list that is no mp4"],
)
def test_lists_of_other_things_are_refused(
    tmp_path: Path, victim: Path, name: str, content: str
) -> None:
    assert victim.exists()
    (tmp_path / name).write_text(content)

    with pytest.raises(MediaError):
        FileSource(tmp_path / name)


def test_a_mov_that_refers_to_another_file_does_not_show_it(tmp_path: Path, victim: Path) -> None:
    path = tmp_path / "evil.mov"
    path.write_bytes(referring_mov(remuxed(victim, tmp_path / "own.mov", "mov"), victim.name))

    with pytest.raises(MediaError):
        FileSource(path)


def referring_mov(path: Path, name: str) -> bytes:
    """A mov whose pictures lie in another file: a data reference that is not its own."""
    data = path.read_bytes()
    own = struct.pack(">I4sI4s", 28, b"dref", 0, b"\0\0\0\1") + struct.pack(">I4sI", 12, b"url ", 1)
    place = data.index(own)
    other = struct.pack(">I4sI4s", 28, b"dref", 0, b"\0\0\0\1") + struct.pack(
        ">I4sI", 12, b"alis", 0
    )
    index = data.index(b"moov") - 4
    changed = data[:place] + other + data[place + len(own) :]
    assert name
    return struct.pack(">I4s", 16, b"ftyp") + b"qt  \0\0\0\0" + changed[index:]


def chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def black_png(side: int) -> bytes:
    """A black picture, of which zlib makes next to nothing."""
    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(side * (side + 1)), 1)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        chunk(kind, content)
        for kind, content in ((b"IHDR", head), (b"IDAT", pixels), (b"IEND", b""))
    )


@pytest.mark.parametrize(("side", "allowed"), [(8064, True), (8300, False)])
def test_a_video_of_giant_pictures_is_refused(tmp_path: Path, side: int, allowed: bool) -> None:
    path = tmp_path / "giant.mov"
    with av.open(str(path), "w") as container:
        stream = container.add_mux_stream("png", width=64, height=64)
        packet = av.Packet(black_png(side))
        packet.stream, packet.time_base, packet.is_keyframe = stream, Fraction(1, 25), True
        packet.pts, packet.dts, packet.duration = 0, 0, 1
        container.mux(packet)

    if allowed:
        assert FileSource(path).facts.frames == 1
    else:
        with pytest.raises(MediaError, match="more than 67,108,864 pixels"):
            FileSource(path)


def test_every_format_that_leads_elsewhere_is_left_out() -> None:
    allowed = set(file_options()["format_whitelist"].split(","))

    assert {"mov", "matroska", "avi", "mpegts", "flv"} <= allowed
    assert not allowed & ELSEWHERE


def test_ordinary_files_are_read_as_before(victim: Path, demo_clip: Path) -> None:
    for path in (victim, demo_clip):
        with opened(path) as container:
            assert container.streams.video
