"""A drone for tests: sends a moving picture and metadata as MPEG-TS over UDP until it is killed.

Run as `python udp_sender.py udp://127.0.0.1:PORT`. It prints one line when it sends. With
rtp:// in front it sends noise as RTP, as a drone does for QGroundControl.
"""

from __future__ import annotations

import sys
import time
from fractions import Fraction

import av
import numpy as np

FPS = 20


def send(url: str) -> None:
    """Frames of 160x96 with a key frame every half second, each at its time."""
    with av.open(f"{url}?pkt_size=1316", "w", format="mpegts") as output:
        stream = output.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        stream.options = {"preset": "ultrafast", "tune": "zerolatency", "g": str(FPS // 2)}
        metadata = output.add_data_stream("klv")
        print("sending", flush=True)
        began = time.monotonic()
        number = 0
        while True:
            rgb = np.full((96, 160, 3), 40, np.uint8)
            rgb[:, number % 160] = 255
            for packet in stream.encode(av.VideoFrame.from_ndarray(rgb, "rgb24")):
                output.mux(packet)
            output.mux(klv(number, metadata))
            number += 1
            time.sleep(max(0.0, began + number / FPS - time.monotonic()))


def klv(number: int, stream: av.stream.Stream) -> av.Packet[av.stream.Stream]:
    """A packet of flight metadata at the time of a frame; what it says is of no matter here."""
    packet = av.Packet(bytes(range(16)) + b"\x04" + number.to_bytes(4, "big"))
    packet.stream, packet.time_base = stream, Fraction(1, FPS)
    packet.pts = packet.dts = number
    return packet


def send_rtp(url: str) -> None:
    """Noise of 160x96 as H.264 over RTP."""
    random = np.random.default_rng(0)
    with av.open(url, "w", format="rtp") as output:
        stream = output.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        stream.options = {"preset": "ultrafast", "tune": "zerolatency", "g": str(FPS // 2)}
        print("sending", flush=True)
        while True:
            noise = random.integers(0, 256, (96, 160, 3), np.uint8)
            output.mux(stream.encode(av.VideoFrame.from_ndarray(noise, "rgb24")))
            time.sleep(1 / FPS)


if __name__ == "__main__":
    (send_rtp if sys.argv[1].startswith("rtp") else send)(sys.argv[1])
