"""How soon live video is back after its sender is: killed and started again, or frozen and thawed.

What limits it: the pause before a new try (0.25 to 1 s), the opening of the stream (a round trip or
two), and the wait for a key frame, one a second here. A spare reader process is started beforehand,
so that its own start (0.3 to 0.5 s of imports) does not count.

    python benchmarks/live_return.py --runs 20

Needs GStreamer (build_tools/test_packages.sh). Prints a table; the last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import socket
import statistics
import subprocess
import threading
import time
from pathlib import Path

from skyeye_edge.core.frame import SourceChange
from skyeye_edge.runtime.sources import open_source

PICTURE = "videotestsrc is-live=true ! video/x-raw,width=640,height=360,framerate=30/1,format=I420"
H264 = "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=30"
SERVER = Path(__file__).resolve().parent.parent / "tests" / "integration" / "rtsp_server.py"
OUTAGES = (1.0, 3.0, 7.0)  # seconds, in turns: short, stalled, and given up
LIMIT = 60.0  # seconds after which something hangs
SENDERS: dict[str, tuple[str, str]] = {
    "RTP": (
        "rtp://127.0.0.1:{port}",
        f"{PICTURE} ! {H264} ! rtph264pay config-interval=1 ! udpsink",
    ),
    "MPEG-TS": ("udp://127.0.0.1:{port}", f"{PICTURE} ! {H264} ! mpegtsmux alignment=7 ! udpsink"),
    "RTSP over TCP": ("rtsp://127.0.0.1:{port}/camera", ""),
}


class Watch:
    """The state of a source, followed by a thread."""

    def __init__(self, url: str) -> None:
        self.source = open_source(url)
        self._changed = threading.Condition()
        self._state, self._frames = "", 0
        threading.Thread(target=self._follow, daemon=True).start()

    def _follow(self) -> None:
        for item in self.source.items(0.0):
            with self._changed:
                if isinstance(item, SourceChange):
                    self._state = item.state
                else:
                    self._frames += 1
                self._changed.notify_all()

    def wait_for_frame(self) -> None:
        """The next frame of a source that is LIVE."""
        with self._changed:
            known = self._frames
            came = self._changed.wait_for(
                lambda: self._frames > known and self._state == "LIVE", LIMIT
            )
        if not came:
            raise SystemExit(f"no frame for {LIMIT:.0f} s; {self._state}")


def started(rest: str, port: int) -> subprocess.Popen[bytes]:
    """A sender, from the moment when it sends or listens."""
    if rest:
        command = ["gst-launch-1.0", *rest.split(), "host=127.0.0.1", f"port={port}"]
    else:
        command = ["/usr/bin/python3", str(SERVER), str(port)]
    program = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert program.stdout is not None
    while (
        (line := program.stdout.readline())
        and b"listening" not in line
        and b"New clock" not in line
    ):
        pass
    return program


def seconds_to_return(name: str, runs: int, *, frozen: bool) -> list[float]:
    """For each run, the time from the return of the sender to the first frame."""
    url, rest = SENDERS[name]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    sender, watch, took = started(rest, port), Watch(url.format(port=port)), []
    try:
        watch.wait_for_frame()
        for run in range(runs):
            outage = OUTAGES[run % len(OUTAGES)]
            sender, back = interrupted(sender, outage, rest, port, frozen=frozen)
            watch.wait_for_frame()
            took.append(time.monotonic() - back)
    finally:
        watch.source.close()
        sender.kill()
        sender.wait()
    return took


def interrupted(
    sender: subprocess.Popen[bytes], outage: float, rest: str, port: int, *, frozen: bool
) -> tuple[subprocess.Popen[bytes], float]:
    """The sender that is back, and since when."""
    if frozen:
        os.kill(sender.pid, signal.SIGSTOP)
        time.sleep(outage)
        os.kill(sender.pid, signal.SIGCONT)
        return sender, time.monotonic()
    sender.kill()
    sender.wait()
    time.sleep(outage)
    return started(rest, port), time.monotonic()


def main() -> None:
    """Measure, and print what came out."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--only", choices=SENDERS)
    args = parser.parse_args()
    print(f"{'sender':15}{'fault':9}{'median s':>9}{'p95 s':>7}{'worst s':>9}{'runs':>6}")
    figures: dict[str, dict[str, float]] = {}
    for name in [args.only] if args.only else SENDERS:
        for fault in ("killed", "frozen"):
            took = seconds_to_return(name, args.runs, frozen=fault == "frozen")
            row = {
                "median_s": round(statistics.median(took), 2),
                "p95_s": round(sorted(took)[int(0.95 * (len(took) - 1))], 2),
                "worst_s": round(max(took), 2),
            }
            figures[f"{name}, {fault}"] = row
            print(
                f"{name:15}{fault:9}{row['median_s']:9}{row['p95_s']:7}{row['worst_s']:9}{len(took):6}"
            )
    machine = f"{platform.machine()}, {os.cpu_count()} cores"
    print(
        json.dumps({"benchmark": "live_return", "machine": machine, "runs": args.runs, **figures})
    )


if __name__ == "__main__":
    main()
