"""Metadata of a drone arrives with the frames, over a real socket."""

from __future__ import annotations

from collections.abc import Callable

from tests.integration.live.watching import Sender, Watcher


def test_sets_of_a_live_stream_arrive_whole_with_the_frame_of_their_time(
    udp_sender: Callable[[], Sender], watched: Callable[..., Watcher], port: int
) -> None:
    udp_sender()
    watcher = watched(f"udp://127.0.0.1:{port}")
    watcher.wait_for_frames(20)
    watcher.stop()

    packets = [packet for frame in watcher.frames for packet in frame.metadata]
    numbers = [int.from_bytes(packet.data[17:], "big") for packet in packets]

    assert numbers
    assert numbers == sorted(set(numbers))
    assert {packet.data[:17] for packet in packets} == {bytes(range(16)) + b"\x04"}
    assert {packet.codec for packet in packets} == {"klv"}
    for before, frame in zip(watcher.frames, watcher.frames[1:], strict=False):
        for packet in frame.metadata:
            assert packet.time is None or packet.time <= frame.time + 0.001
            assert packet.time is None or packet.time > before.time - 0.2
