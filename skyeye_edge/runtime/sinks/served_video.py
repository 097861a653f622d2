"""Live video that others come for: an RTSP server of our own, where GStreamer has one."""

from __future__ import annotations

import json
import select
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

from skyeye_edge.core.address import Address
from skyeye_edge.core.errors import InputError, MissingExtraError
from skyeye_edge.core.events import Event
from skyeye_edge.core.frame import Frame
from skyeye_edge.runtime.sinks import rtsp_serving
from skyeye_edge.runtime.sinks.video import VideoSettings, live_video

PORT = 8554
STARTING = 20.0  # seconds
BINDING = (
    "no Python here has GStreamer's RTSP server; sudo apt-get install python3-gi "
    "gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-good gstreamer1.0-plugins-bad"
)


class ServedVideo:
    """The video of `live_video`, handed to whoever asks for it; a server that dies is replaced.

    Args:
        address: where to listen, as rtsp://0.0.0.0:8554/uav1; a login in it is asked for.
        settings: of the video.

    Raises:
        InputError: the port is taken, or nothing can listen there.
        MissingExtraError: there is no GStreamer with its RTSP server.
    """

    only_frames = True

    def __init__(self, address: Address, settings: VideoSettings) -> None:
        self.name = address.shown
        self._address = address
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            self._rtp: int = probe.getsockname()[1]
        self._server = self._started()
        self._video = live_video(Address("rtp", None, "127.0.0.1", self._rtp, ""), settings)

    def write(self, event: Event, frame: Frame | None) -> None:
        """Show it; raises OSError."""
        if self._server.poll() is not None:
            self._let_go()
            try:
                self._server = self._started()
            except (InputError, MissingExtraError) as error:
                raise ConnectionError(f"{error}") from error
        self._video.write(event, frame)

    def close(self) -> None:
        """End video and server. Closing twice is fine."""
        self._video.close()
        self._let_go()

    @property
    def server_pid(self) -> int:
        """Process id of the server, for logs and tests."""
        return self._server.pid

    def _let_go(self) -> None:
        self._server.kill()
        self._server.wait()
        for pipe in (self._server.stdin, self._server.stdout):
            assert pipe is not None
            pipe.close()

    def _started(self) -> subprocess.Popen[bytes]:
        for interpreter in dict.fromkeys((sys.executable, "/usr/bin/python3")):
            if not Path(interpreter).exists():
                continue
            self._server = self._process(interpreter)
            said = _first_line(self._server)
            if said == rtsp_serving.LISTENS:
                return self._server
            self._let_go()
            if said != rtsp_serving.MISSING:
                raise InputError(f"{self.name}: cannot listen there; is the port taken?")
        raise MissingExtraError(f"{self.name}: {BINDING}")

    def _process(self, interpreter: str) -> subprocess.Popen[bytes]:
        user, _, password = (self._address.login or "").partition(":")
        wanted = {
            "host": self._address.host.strip("[]"),
            "port": self._address.port or PORT,
            "path": f"/{self._address.rest.partition('?')[0].strip('/')}",
            "rtp": self._rtp,
            "user": unquote(user),
            "password": unquote(password),
        }
        process = subprocess.Popen(
            [interpreter, "-I", rtsp_serving.__file__],  # -I: ours is not its environment
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            start_new_session=True,  # Ctrl-C in a terminal is for us, we end it
        )
        assert process.stdin is not None
        process.stdin.write(json.dumps(wanted).encode() + b"\n")
        return process


def _first_line(process: subprocess.Popen[bytes]) -> str:
    assert process.stdout is not None
    if not select.select([process.stdout], [], [], STARTING)[0]:
        return ""
    return process.stdout.readline().decode().strip()
