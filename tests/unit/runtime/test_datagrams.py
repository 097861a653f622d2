"""What a sender speaks, told from its first bytes."""

from __future__ import annotations

import socket

import pytest

from skyeye_edge.runtime.sources.causes import SourceEnded
from skyeye_edge.runtime.sources.datagrams import Datagrams, speaks_mpegts, speaks_rtp


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


def test_a_transport_stream_is_told_by_its_packets() -> None:
    packet = b"\x47" + bytes(187)

    assert [speaks_mpegts(each) for each in (7 * packet, packet + b"\x47", b"", packet[1:])] == [
        True,
        False,
        False,
        False,
    ]


def test_where_nothing_comes_there_is_nothing_to_take() -> None:
    with Datagrams("127.0.0.1", 0) as datagrams:
        assert datagrams.take(0.01) is None


def test_what_arrives_waits_up_to_a_limit_and_then_the_oldest_is_lost() -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
        Datagrams("127.0.0.1", 0, most=250) as datagrams,
    ):
        for letter in b"abcd":
            sender.sendto(bytes([letter]) * 100, datagrams.place)
        datagrams.wait_for(2, lost=2)

        taken = [datagrams.take(60.0), datagrams.take(60.0)]

    assert taken == [b"c" * 100, b"d" * 100]


@pytest.mark.parametrize(
    ("host", "interface", "cause"),
    [
        pytest.param("127.0.0.1", "", "another program has port", id="port"),
        pytest.param("192.0.2.1", "", "no address of this machine", id="address"),
        pytest.param("127.0.0.1", "nothing0", "no network interface nothing0", id="interface"),
        pytest.param("239.1.2.3", "nothing0", "no network interface nothing0", id="group"),
    ],
)
def test_why_it_cannot_be_listened_is_said(host: str, interface: str, cause: str) -> None:
    with Datagrams("127.0.0.1", 0) as taken, pytest.raises(SourceEnded) as caught:
        Datagrams(host, taken.place[1], interface)

    assert cause in caught.value.end.cause


@pytest.mark.parametrize("interface", ["lo", "127.0.0.1"])
def test_a_group_is_heard_through_the_interface_that_is_named(interface: str) -> None:
    with Datagrams("239.255.77.77", 0, interface) as datagrams:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            own = socket.inet_aton("127.0.0.1")
            sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, own)
            sender.sendto(b"hello", datagrams.place)

        assert datagrams.take(60.0) == b"hello"


@pytest.mark.parametrize("sender", ["127.0.0.1", "::1"])
@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="there is no IPv6 here")
def test_every_interface_means_both_families(sender: str) -> None:
    family = socket.AF_INET6 if ":" in sender else socket.AF_INET
    with Datagrams("0.0.0.0", 0) as datagrams, socket.socket(family, socket.SOCK_DGRAM) as out:
        out.sendto(b"hello", (sender, datagrams.place[1]))

        assert datagrams.take(60.0) == b"hello"


def test_several_may_listen_to_a_group() -> None:
    group = "239.255.77.77"

    with Datagrams(group, 0, "lo") as one, Datagrams(group, one.place[1], "lo") as other:
        assert one.place == other.place
