"""SDP files: what is believed of them, and what is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skyeye_edge.core.errors import InputError
from skyeye_edge.core.limits import SDP_BYTES
from skyeye_edge.runtime.sources.sdp import Sdp, parse_sdp

GOOD = """v=0
o=- 0 0 IN IP4 127.0.0.1
s=No Name
c=IN IP4 239.1.1.1/16
t=0 0
a=control:rtsp://elsewhere.example/steal
m=audio 5004 RTP/AVP 0
c=IN IP4 10.9.9.9
m=video 5600 RTP/AVP 96
b=AS:2000
a=rtpmap:96 H264/90000
a=fmtp:96 packetization-mode=1;sprop-parameter-sets=Z0LAH9oFB+Q=,aM4G4g==,%%%;x=1
"""


def test_the_first_video_is_read_and_nothing_else() -> None:
    found = parse_sdp(GOOD)

    sets = (bytes.fromhex("6742c01fda0507e4"), bytes.fromhex("68ce06e2"))
    assert found == Sdp("239.1.1.1", 5600, 96, "h264", sets)


@pytest.mark.parametrize(
    ("old", "new", "wrong"),
    [
        pytest.param("m=video 5600", "m=video 99999", "must be like", id="port"),
        pytest.param("m=video", "m=image", "no video", id="no video"),
        pytest.param("RTP/AVP 96", "RTP/SAVP 96", "encrypted", id="encrypted"),
        pytest.param("H264/90000", "VP8/90000", "VP8 cannot be watched", id="codec"),
        pytest.param("H264/90000", "H264/8000", "at 90000", id="clock"),
        pytest.param("239.1.1.1/16", "rtsp://x", "no address", id="address"),
        pytest.param("t=0 0", "t=0 0\n" * SDP_BYTES, "are accepted", id="size"),
    ],
)
def test_what_cannot_be_watched_is_refused(old: str, new: str, wrong: str) -> None:
    with pytest.raises(InputError, match=wrong):
        parse_sdp(GOOD.replace(old, new))


@given(st.text(max_size=200) | st.lists(st.sampled_from(GOOD.splitlines())).map("\n".join))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        found = parse_sdp(text)
    except InputError:
        return

    assert 0 < found.port < 65536
