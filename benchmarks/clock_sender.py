"""A camera that shows the time: sends a moving picture with the wall clock drawn in it.

    python benchmarks/clock_sender.py udp://127.0.0.1:5600 [--rate 12]

At a rate of 12 a minute of video, by its time stamps, is sent in five seconds. The clock is always
that of the wall, in milliseconds, so whoever reads it from a picture knows how old that is. It
sends MPEG-TS, or RTP to an rtp:// address, until its stdin ends.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
import time

import av
import numpy as np
import numpy.typing as npt

WIDE, HIGH, FPS = 320, 180, 10
BITS, CHECK = 27, 5  # of the milliseconds, and of their checksum; 2 ** 27 ms are 37 hours
WRAP = 1 << BITS
BLOCK = WIDE // (BITS + CHECK)  # pixels of a bit, across and down
PICTURES = 50
Plane = npt.NDArray[np.uint8]


def main() -> None:
    """Send until nobody wants it any more."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url")
    parser.add_argument("--rate", type=float, default=1.0, help="times real time; default: 1")
    args = parser.parse_args()
    threading.Thread(target=end_with_stdin, name="end", daemon=True).start()
    send(args.url, args.rate)


def end_with_stdin() -> None:
    """A sender whose starter is gone, however that came, must not go on."""
    sys.stdin.read()
    os._exit(0)


def send(url: str, rate: float) -> None:
    """Pictures with a key frame every second of video, each at its time."""
    is_rtp = url.startswith("rtp:")
    with av.open(f"{url}?pkt_size=1316", "w", format="rtp" if is_rtp else "mpegts") as output:
        stream = output.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = WIDE, HIGH, "yuv420p"
        stream.options = {
            "preset": "ultrafast", "tune": "zerolatency", "g": str(FPS), "threads": "1",
        }  # fmt: skip
        pictures = [landscape(number) for number in range(PICTURES)]
        began, number = time.monotonic(), 0
        while True:
            picture = pictures[number % PICTURES].copy()
            draw_clock(picture, wall_ms())
            frame = av.VideoFrame.from_ndarray(picture, "yuv420p")
            frame.pts = number
            output.mux(stream.encode(frame))
            number += 1
            time.sleep(max(0.0, began + number / (FPS * rate) - time.monotonic()))


def landscape(number: int) -> Plane:
    """A grey picture of things that have moved on; YUV 4:2:0, its planes (HIGH * 3 / 2, WIDE)."""
    random = np.random.default_rng(0)
    fields = np.kron(random.integers(60, 180, (HIGH // 20, WIDE // 20)), np.ones((20, 20), int))
    picture = np.full((HIGH * 3 // 2, WIDE), 128, np.uint8)
    picture[:HIGH] = np.roll(fields, 6 * number, axis=1)
    return picture


def wall_ms() -> int:
    """Milliseconds of the wall clock, as far as the picture has bits for them."""
    return int(time.time() * 1000) % WRAP


def draw_clock(luma: Plane, milliseconds: int) -> None:
    """Draw the bits into the first rows, the highest one on the left: white is 1."""
    bits = _bits(milliseconds)
    luma[:BLOCK] = np.repeat(np.where(bits, 235, 16).astype(np.uint8), BLOCK)


def read_clock(rgb: npt.NDArray[np.uint8]) -> int | None:
    """The milliseconds in an (H, W, 3) picture; None where its bits are damaged."""
    middle = rgb[BLOCK // 2 - 2 : BLOCK // 2 + 2, :, 1].mean(axis=0)
    levels = middle.reshape(BITS + CHECK, BLOCK)[:, 2:-2].mean(axis=1)
    bits = levels > 127
    milliseconds = int("".join("1" if bit else "0" for bit in bits[:BITS]), 2)
    return milliseconds if (_bits(milliseconds) == bits).all() else None


def seconds_since(milliseconds: int) -> float:
    """How long ago the clock showed this."""
    return ((wall_ms() - milliseconds) % WRAP) / 1000


def _bits(milliseconds: int) -> npt.NDArray[np.bool_]:
    """The bits and those of the checksum, a remainder that no bit alone leaves unchanged."""
    written = f"{milliseconds:0{BITS}b}{milliseconds % (2**CHECK - 1):0{CHECK}b}"
    return np.array([bit == "1" for bit in written])


if __name__ == "__main__":
    main()
