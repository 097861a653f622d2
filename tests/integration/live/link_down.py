"""Takes a network down and up under a stream; to be run in a network namespace of its own.

`unshare -rn python link_down.py rtp|rtsp`: makes a second namespace for the sender and a cable
between the two. Prints the states of the source, one a line.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from contextlib import ExitStack
from pathlib import Path

from skyeye_edge.core.frame import SourceChange
from skyeye_edge.runtime.sources import open_source

OURS, THEIRS = "10.77.0.1", "10.77.0.2"
HERE = Path(__file__).resolve().parent.parent
PICTURE = "videotestsrc is-live=true ! video/x-raw,width=160,height=96,framerate=20/1,format=I420"
RTP = f"{PICTURE} ! x264enc tune=zerolatency key-int-max=10 ! rtph264pay ! udpsink"


def ip(*words: str) -> None:
    """Run `ip`."""
    subprocess.run(["ip", *words], check=True)


def main(scheme: str) -> None:
    """Watch, cut, join, watch."""
    with ExitStack() as stack:
        other = subprocess.Popen(["unshare", "-n", "sleep", "600"])
        stack.callback(other.wait)
        stack.callback(other.kill)
        ours = Path("/proc/self/ns/net").readlink()
        while Path(f"/proc/{other.pid}/ns/net").readlink() == ours:
            pass
        inside = ["nsenter", "-t", str(other.pid), "-n"]
        ip("link", "add", "here", "type", "veth", "peer", "name", "there", "netns", str(other.pid))
        ip("address", "add", f"{OURS}/24", "dev", "here")
        ip("link", "set", "here", "up")
        for words in (f"address add {THEIRS}/24 dev there", "link set there up", "link set lo up"):
            subprocess.run([*inside, "ip", *words.split()], check=True)
        if scheme == "rtp":
            command = ["gst-launch-1.0", "-q", *RTP.split(), f"host={OURS}", "port=5600"]
            url = "rtp://0.0.0.0:5600"
        else:
            command = ["/usr/bin/python3", str(HERE / "rtsp_server.py"), "8554"]
            url = f"rtsp://{THEIRS}:8554/camera"
        environment = {**os.environ, "RTSP_ADDRESS": THEIRS}
        sender = subprocess.Popen([*inside, *command], stdout=sys.stderr, env=environment)
        stack.callback(sender.wait)
        stack.callback(sender.kill)
        watch(url)


def watch(url: str) -> None:
    """The states, with the network cut at the first LIVE and joined at the first RECONNECTING."""
    source = open_source(url)
    lives = 0
    for item in source.items(0.2):
        if not isinstance(item, SourceChange):
            if lives == 2:
                lives += 1
                threading.Timer(1.0, source.stop).start()
            continue
        print(item.state, flush=True)
        if item.state == "LIVE":
            lives += 1
            if lives == 1:
                ip("link", "set", "here", "down")
        if item.state == "RECONNECTING" and lives == 1:
            ip("link", "set", "here", "up")
    source.close()


if __name__ == "__main__":
    main(sys.argv[1])
