"""What a sender speaks, told from its first bytes."""

from __future__ import annotations

import socket

import pytest

from skyeye_edge.core.address import parse_address
from skyeye_edge.runtime.sources.datagrams import receive, speaks_rtp


@pytest.mark.parametrize(
    ("datagram", "rtp"),
    [
        pytest.param(bytes.fromhex("80600001000003e8deadbeef") + b"h264", True, id="H.264"),
        pytest.param(bytes.fromhex("90e00001000003e8deadbeef") + b"h265", True, id="extension"),
        pytest.param(b"\x47\x40\x00\x10" + bytes(184), False, id="MPEG-TS"),
        pytest.param(b"\x00\x00\x00\x01\x67" + bytes(20), False, id="raw H.264"),
        pytest.param(b"\x80\x60", False, id="too short"),
        pytest.param(b"", False, id="nothing"),
    ],
)
def test_rtp_is_told_by_its_first_byte(datagram: bytes, rtp: bool) -> None:
    assert speaks_rtp(datagram) == rtp


def test_where_nothing_comes_there_is_nothing_to_tell() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

        nothing = receive(parse_address(f"udp://127.0.0.1:{port}"), 0.01)

    assert nothing == b""
