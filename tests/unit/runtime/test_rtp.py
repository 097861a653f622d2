"""RTP: packets in order, and pictures out of them, whatever the network does."""

from __future__ import annotations

import itertools
from collections.abc import Sequence as Several

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skyeye_edge.runtime.sources.rtp import (
    START,
    Pictures,
    RtpPacket,
    Sequence,
    Unit,
    codec_of,
    parse_rtp,
)

SPS, PPS = b"\x67sequence", b"\x68picture"


def packet(number: int, payload: bytes = b"", timestamp: int = 0, **more: int) -> RtpPacket:
    return RtpPacket(
        96, bool(more.get("marker")), number & 0xFFFF, timestamp, more.get("sender", 1), payload
    )


def numbers(sequence: Sequence, packets: Several[RtpPacket], now: float = 0.0) -> list[int]:
    return [each.number for one in packets for each, _ in sequence.sorted(one, now)]


def test_a_packet_is_read_with_sources_extension_and_padding() -> None:
    head = bytes.fromhex("b2e1abcd01020304deadbeef") + bytes(8)  # padding, extension, 2 sources
    extension = bytes.fromhex("bede0001") + bytes(4)

    found = parse_rtp(head + extension + b"payload" + b"\0\0\3")

    assert found == RtpPacket(97, True, 0xABCD, 0x01020304, 0xDEADBEEF, b"payload")


@given(st.binary(max_size=60))
def test_any_datagram_is_read_or_left_alone(datagram: bytes) -> None:
    found = parse_rtp(datagram)

    assert found is None or found.payload


@pytest.mark.parametrize(
    ("first", "codec"),
    [
        pytest.param("67 64", "h264", id="H.264 sequence"),
        pytest.param("7c 85", "h264", id="H.264 part of a key frame"),
        pytest.param("7c 05", "h264", id="H.264 later part"),
        pytest.param("41 9a", "h264", id="H.264 picture"),
        pytest.param("78 00", "h264", id="H.264 several"),
        pytest.param("06 05", None, id="H.264 message, or H.265 picture"),
        pytest.param("40 01", "hevc", id="H.265 video parameters"),
        pytest.param("62 01", "hevc", id="H.265 part"),
        pytest.param("60 01", "hevc", id="H.265 several"),
        pytest.param("02 01", None, id="H.265 picture, or H.264 part of one"),
        pytest.param("ff ff", None, id="nothing known"),
    ],
)
def test_what_is_sent_is_told_by_its_first_bytes(first: str, codec: str | None) -> None:
    assert codec_of(bytes.fromhex(first) + b"rest") == codec


@given(
    start=st.integers(0, 0xFFFF),
    order=st.permutations(range(1, 12)),
)
def test_packets_come_out_in_order_also_over_a_wrap(start: int, order: list[int]) -> None:
    sequence = Sequence(patience=1.0)

    came = numbers(sequence, [packet(start + place) for place in (0, *order)])

    assert came == [(start + place) & 0xFFFF for place in range(12)]


def test_a_missing_packet_is_waited_for_and_then_given_up() -> None:
    sequence = Sequence(patience=0.1)
    assert numbers(sequence, [packet(1), packet(3)], now=0.0) == [1]

    before = list(sequence.sorted(packet(4), 0.05))
    after = [(each.number, missing) for each, missing in sequence.sorted(None, 0.11)]

    assert (before, after) == ([], [(3, True), (4, False)])


@given(st.lists(st.integers(0, 0xFFFF), max_size=60))
def test_whatever_numbers_come_none_is_given_twice_in_a_row_or_kept_for_ever(
    came: list[int],
) -> None:
    sequence = Sequence(patience=0.1)

    given = [n for time, each in enumerate(came) for n in numbers(sequence, [packet(each)], time)]
    given += [each.number for each, _ in sequence.sorted(None, 1e6)]

    assert all(one != other for one, other in itertools.pairwise(given))
    assert not sequence.waits


def test_a_sender_that_begins_anew_is_believed_after_two_packets_or_a_silence() -> None:
    jumped, other = Sequence(0.1), Sequence(0.1)

    numbers(jumped, [packet(50_000)])
    numbers(other, [packet(50_000)])
    second = [packet(7, sender=2)]

    assert numbers(jumped, [packet(3), packet(4)], 0.01) == [4]
    assert (numbers(other, second, 0.1), numbers(other, second, 1.0)) == ([], [7])


def whole(pictures: Pictures, packets: Several[tuple[RtpPacket, bool]]) -> list[Unit]:
    return [unit for each, missing in packets for unit in pictures.add(each, missing=missing)]


def in_order(*packets: RtpPacket) -> list[tuple[RtpPacket, bool]]:
    return [(each, False) for each in packets]


@given(st.lists(st.integers(1, 30), min_size=1, max_size=4))
def test_a_picture_in_any_number_of_parts_is_put_together(sizes: list[int]) -> None:
    body = bytes(range(sum(sizes)))
    place, parts = 0, []
    for number, size in enumerate(sizes):
        mark = 5 | (0x80 if number == 0 else 0) | (0x40 if number == len(sizes) - 1 else 0)
        parts.append(bytes((0x7C, mark)) + body[place : place + size])
        place += size
    packets = [packet(number, each) for number, each in enumerate(parts)]
    end = packet(9, b"\x41next", timestamp=3000)

    units = whole(Pictures("h264", [SPS, PPS]), in_order(*packets, end))

    expected = START + SPS + START + PPS + START + b"\x65" + body
    assert units == [Unit(expected, 0, True, False)]


def test_h265_in_parts_and_several_in_one_are_put_together() -> None:
    sets = [b"\x40\x01v", b"\x42\x01s", b"\x44\x01p"]
    joined = b"\x60\x01" + b"".join(len(each).to_bytes(2, "big") + each for each in sets)
    parts = b"\x62\x01" + bytes([0x80 | 19]) + b"key", b"\x62\x01" + bytes([0x40 | 19]) + b"frame"
    packets = packet(0, joined), packet(1, parts[0]), packet(2, parts[1], marker=1)

    (unit,) = whole(Pictures("hevc"), in_order(*packets))

    assert unit.data == b"".join(START + each for each in (*sets, b"\x26\x01keyframe"))
    assert unit.key


def test_a_picture_that_lost_a_part_and_the_one_behind_it_are_called_damaged() -> None:
    pictures = Pictures("h264", [SPS, PPS])
    first = packet(0, b"\x7c\x85begin", timestamp=0)
    last = packet(3, b"\x41next", timestamp=3000, marker=1)
    later = packet(4, b"\x41later", timestamp=6000, marker=1)

    units = whole(pictures, [(first, False), (last, True), (later, False)])

    assert [(unit.timestamp, unit.damaged) for unit in units] == [
        (0, True),
        (3000, True),
        (6000, False),
    ]


def test_nothing_is_given_before_the_parameter_sets_are_known() -> None:
    pictures = Pictures("h264")
    early = packet(0, b"\x41early", timestamp=0, marker=1)
    sets = packet(1, SPS, timestamp=9), packet(2, PPS, timestamp=9)
    key = packet(3, b"\x65key", timestamp=9, marker=1)

    assert (whole(pictures, in_order(early)), pictures.knows_parameters) == ([], False)
    (unit,) = whole(pictures, in_order(*sets, key))
    assert (unit.data, unit.key) == (START + SPS + START + PPS + START + b"\x65key", True)


@given(steps=st.lists(st.integers(-9000, 2**31 - 1), min_size=1, max_size=20))
def test_time_runs_on_where_its_32_bits_wrap(steps: list[int]) -> None:
    pictures = Pictures("h264", [SPS, PPS])
    times = [2**32 - 100]
    for step in steps:
        times.append(times[-1] + (step or 1))
    packets = [
        packet(number, b"\x41x", timestamp=time % 2**32, marker=1)
        for number, time in enumerate(times)
    ]

    units = whole(pictures, in_order(*packets))

    assert [unit.timestamp for unit in units] == [time - times[0] for time in times]


def test_a_picture_without_end_does_not_fill_the_memory() -> None:
    pictures, kibibytes = Pictures("h264", [SPS, PPS]), b"\x41" + bytes(60 << 10)

    endless = [packet(number, kibibytes, timestamp=7) for number in range(600)]
    units = whole(pictures, in_order(*endless, packet(600, b"\x41next", timestamp=9, marker=1)))

    assert sum(len(unit.data) for unit in units) < 1000


@given(st.lists(st.tuples(st.binary(max_size=12), st.booleans(), st.booleans()), max_size=30))
def test_any_payloads_give_pictures_or_nothing(
    came: list[tuple[bytes, bool, bool]],
) -> None:
    for codec in ("h264", "hevc"):
        pictures = Pictures(codec, [SPS, PPS, b"\x40\x01v", b"\x42\x01s", b"\x44\x01p"])
        packets = [
            (packet(number, payload, timestamp=number // 3, marker=marker), missing)
            for number, (payload, marker, missing) in enumerate(came)
            if payload
        ]

        units = whole(pictures, packets)

        assert all(unit.data.startswith(START) for unit in units)
