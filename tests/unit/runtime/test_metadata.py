"""Packets of data streams travel with the frame of their time, byte for byte."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from skyeye_edge.core.frame import Frame
from skyeye_edge.core.limits import METADATA_BYTES, METADATA_PACKETS
from skyeye_edge.runtime.sources.file import FileSource
from skyeye_edge.runtime.sources.metadata import MetadataQueue

FPS = 20


def flight(path: Path, frames: int, sets: dict[int, list[bytes]]) -> Path:
    """A TS of `frames` pictures; at some of them there are sets of metadata."""
    with av.open(str(path), "w", format="mpegts") as output:
        video = output.add_stream("libx264", rate=FPS)
        video.width, video.height, video.pix_fmt = 160, 96, "yuv420p"
        video.options = {"preset": "ultrafast", "tune": "zerolatency", "g": "10"}
        data = output.add_data_stream("klv")
        for number in range(frames):
            picture = av.VideoFrame.from_ndarray(np.full((96, 160, 3), number, np.uint8), "rgb24")
            picture.pts, picture.time_base = number, Fraction(1, FPS)
            output.mux(video.encode(picture))
            for order, each in enumerate(sets.get(number, [])):
                packet = av.Packet(each)
                packet.stream, packet.time_base = data, Fraction(1, 90000)
                packet.pts = packet.dts = number * 90000 // FPS + order
                output.mux(packet)
        output.mux(video.encode(None))
    return path


def frames_of(path: Path, every: float, *, skip: bool = True) -> list[Frame]:
    source = FileSource(path, skip=skip)
    frames = [item for item in source.items(every) if isinstance(item, Frame)]
    source.close()
    return frames


@pytest.mark.parametrize("skip", [True, False])
def test_every_set_is_with_the_frame_of_its_time(tmp_path: Path, skip: bool) -> None:
    sets = {number: [bytes([number]) * (number + 1)] for number in range(0, 40, 2)}
    path = flight(tmp_path / "flight.ts", 40, sets)

    found = {frame.index: frame.metadata for frame in frames_of(path, 0.0, skip=skip)}

    assert {
        index: [packet.data for packet in packets] for index, packets in found.items() if packets
    } == sets
    assert {packet.codec for packets in found.values() for packet in packets} == {"klv"}
    for index, packets in found.items():
        assert all(packet.time == pytest.approx(index / FPS, abs=1e-4) for packet in packets)


@pytest.mark.parametrize("skip", [True, False])
def test_a_frame_brings_all_since_the_one_before(tmp_path: Path, skip: bool) -> None:
    sets = {number: [bytes([number, 1]), bytes([number, 2])] for number in range(40)}
    path = flight(tmp_path / "flight.ts", 40, sets)

    frames = frames_of(path, 0.5, skip=skip)

    assert [frame.index for frame in frames] == [0, 10, 20, 30]
    for frame in frames:
        since = range(max(0, frame.index - 9), frame.index + 1)
        # the second set of a picture is a tick behind it: with a stamp so near it is still its own
        assert [packet.data for packet in frame.metadata] == [
            each for number in since for each in sets[number]
        ]


def test_a_video_without_data_has_frames_without_metadata(demo_clip: Path) -> None:
    assert {frame.metadata for frame in frames_of(demo_clip, 3.0)} == {()}


class Sender:
    """Packets as a demuxer gives them."""

    def __init__(self, folder: Path) -> None:
        self._file = av.open(str(folder / "x.ts"), "w", format="mpegts")
        self._stream = self._file.add_data_stream("klv")

    def packet(self, data: bytes, stamp: float | None) -> av.Packet[av.stream.Stream]:
        packet = av.Packet(data)
        packet.stream, packet.time_base = self._stream, Fraction(1, 90000)
        if stamp is not None:
            packet.pts = round(stamp * 90000)
        return packet


def test_what_comes_before_its_picture_waits_and_what_has_no_stamp_does_not(
    tmp_path: Path,
) -> None:
    sender, queue = Sender(tmp_path), MetadataQueue()
    for data, stamp in ((b"now", 5.0), (b"later", 5.2), (b"async", None)):
        queue.add(sender.packet(data, stamp))

    first, second = queue.taken(0.0, -5.0), queue.taken(0.2, -5.0)

    assert [(each.data, each.time) for each in first] == [(b"now", 0.0), (b"async", None)]
    assert [each.data for each in second] == [b"later"]


def test_what_a_sender_left_before_it_began_anew_does_not_wait_for_ever(tmp_path: Path) -> None:
    sender, queue = Sender(tmp_path), MetadataQueue()
    queue.add(sender.packet(b"of before", 90000.0))

    assert [each.data for each in queue.taken(0.0, 0.0)] == [b"of before"]


def test_the_queue_is_bounded_in_number_and_size(tmp_path: Path) -> None:
    sender, queue = Sender(tmp_path), MetadataQueue()
    queue.add(sender.packet(bytes(METADATA_BYTES + 1), 0.0))
    for number in range(METADATA_PACKETS + 10):
        queue.add(sender.packet(number.to_bytes(4, "big"), 0.0))

    taken = queue.taken(0.0, 0.0)

    assert len(taken) == METADATA_PACKETS
    assert taken[0].data == (10).to_bytes(4, "big")
