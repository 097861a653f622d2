"""What can be watched, and with which options."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest

from skyeye_edge.core.errors import InputError
from skyeye_edge.runtime.sources.registry import KINDS, is_live, live_target


@pytest.mark.parametrize(
    ("what", "kind", "text", "name"),
    [
        ("rtp://@:5600", "rtp", "rtp://@:5600", "rtp://:5600"),
        ("udp://:5600", "udp", "udp://:5600", "udp://:5600"),
        ("0", "v4l2", "/dev/video0", "/dev/video0"),
        ("/dev/video12", "v4l2", "/dev/video12", "/dev/video12"),
        (
            "gst: rtspsrc location=rtsp://a:pw@b",
            "gst",
            " rtspsrc location=rtsp://a:pw@b",
            "gst:rtspsrc",
        ),
        ("rtmp://h/live/abc", "rtmp", "rtmp://h/live/abc", "rtmp://h/live/…"),
        ("https://h/a.m3u8?t=1", "https", "https://h/a.m3u8?t=1", "https://h/a.m3u8"),
        ("srt://h:9000?passphrase=kiwi", "srt", "srt://h:9000?passphrase=kiwi", "srt://h:9000"),
    ],
)
def test_a_source_has_a_kind_and_a_name_without_secrets(
    what: str, kind: str, text: str, name: str
) -> None:
    target = live_target(what)

    assert (target.kind, target.text, target.name) == (kind, text, name)
    assert "pw" not in repr(target) and "kiwi" not in repr(target)


@pytest.mark.parametrize(
    ("what", "live"),
    [
        ("-", True),
        ("0", True),
        (Path("camera.sdp"), True),
        ("flight.mp4", False),
        (Path("0"), False),
        (Path("rtsp:/host/x"), False),
    ],
)
def test_what_is_live_is_told_from_files(what: str | Path, live: bool) -> None:
    assert is_live(what) == live


def test_options_override_those_of_a_kind() -> None:
    target = live_target("rtsp://h/x", {"rtsp_transport": "udp", "max_delay": "300000"})

    assert target.options == {
        **KINDS["rtsp"].options,
        "rtsp_transport": "udp",
        "max_delay": "300000",
    }


def test_options_are_those_of_pyav_also_where_opencv_has_brought_an_ffmpeg_of_its_own() -> None:
    program = (
        "import cv2\n"
        "from skyeye_edge.runtime.sources.registry import live_target\n"
        "live_target('0', {'video_size': '640x480', 'video_sze': '1'})"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert "is video_size meant" in done.stderr


@pytest.mark.parametrize(
    ("what", "option", "meant"),
    [
        ("rtsp://h/x", "rtsp_transprt", "is rtsp_transport meant"),
        ("rtp://@:5600", "interfce", "is interface meant"),
        ("srt://h:9000", "passphrse", "is passphrase meant"),
        ("0", "video_sze", "is video_size meant"),
        ("gst:videotestsrc", "probesize", "no such option"),
    ],
)
def test_an_option_that_does_not_exist_is_refused(what: str, option: str, meant: str) -> None:
    with pytest.raises(InputError, match=meant) as caught:
        live_target(what, {option: "kiwi"})

    assert "kiwi" not in str(caught.value)


def test_who_is_to_connect_to_us_is_waited_for_without_end() -> None:
    patience = live_target("rtmp://0.0.0.0/live/key", {"listen": "1"}).patience

    assert patience.opening == math.inf


@pytest.mark.parametrize("what", ["gst:", "gst:!", "missing.sdp", "srt://host", "rtp://host"])
def test_what_cannot_be_watched_is_refused(what: str, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        live_target(what)
