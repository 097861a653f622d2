"""Every kind of live source, from real senders on this machine."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.live.watching import Sender, Watcher, check_counts

H264 = "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=10"
H265 = "x265enc tune=zerolatency speed-preset=ultrafast key-int-max=10"
WATCHED = {
    "H.264": ("rtp", f"{H264} ! rtph264pay"),
    "H.264 with every number about to wrap": (
        "rtp",
        f"{H264} ! rtph264pay seqnum-offset=65500 timestamp-offset=4294900000",
    ),
    "H.265": ("rtp", f"{H265} ! rtph265pay config-interval=1"),
    "MPEG-TS in RTP": ("rtp", f"{H264} ! mpegtsmux ! rtpmp2tpay"),
    "MPEG-TS": ("udp", f"{H264} ! mpegtsmux alignment=7"),
}


@pytest.mark.gstreamer
@pytest.mark.parametrize(("scheme", "rest"), WATCHED.values(), ids=WATCHED.keys())
def test_a_sender_is_watched_without_being_told_what_it_sends(
    scheme: str,
    rest: str,
    gst_sender: Callable[..., Sender],
    watched: Callable[..., Watcher],
    port: int,
) -> None:
    gst_sender(rest)

    watcher = watched(f"{scheme}://0.0.0.0:{port}")
    watcher.wait_for_frames(50)

    watcher.stop()
    check_counts(watcher)
    assert {frame.size for frame in watcher.frames} == {(160, 96)}
    assert {frame.epoch for frame in watcher.frames} == {0}
    assert watcher.states[:2] == ["CONNECTING", "LIVE"]


@pytest.mark.gstreamer
def test_an_sdp_file_tells_what_its_sender_does_not(
    gst_sender: Callable[..., Sender], watched: Callable[..., Watcher], port: int, tmp_path: Path
) -> None:
    sdp = tmp_path / "camera.sdp"
    sdp.write_text(
        "v=0\r\ns=camera\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\n"
        f"m=video {port} RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
    )
    gst_sender(f"{H264} ! rtph264pay")

    watcher = watched(str(sdp))
    watcher.wait_for_frames(5)

    watcher.stop()
    assert watcher.source.name == "camera.sdp"


@pytest.mark.gstreamer
def test_mpegts_on_an_address_for_rtp_is_named(
    gst_sender: Callable[..., Sender], watched: Callable[..., Watcher], port: int
) -> None:
    gst_sender(f"{H264} ! mpegtsmux alignment=7")

    watcher = watched(f"rtp://127.0.0.1:{port}")
    watcher.wait_for_states("CONNECTING", "RECONNECTING")

    watcher.stop()
    assert "the sender speaks MPEG-TS without RTP" in watcher.causes[1]


@pytest.mark.gstreamer
def test_video_without_parameter_sets_is_named(
    gst_sender: Callable[..., Sender], watched: Callable[..., Watcher], port: int
) -> None:
    strip = "h265parse ! video/x-h265,stream-format=hvc1 ! rtph265pay config-interval=0"
    gst_sender(f"{H265} ! {strip}")

    watcher = watched(f"rtp://127.0.0.1:{port}")
    watcher.wait_for_states("CONNECTING", "RECONNECTING")

    watcher.stop()
    assert "without its parameter sets" in watcher.causes[1]


@pytest.mark.gstreamer
def test_a_group_is_watched_through_the_interface_that_is_named(
    gst_sender: Callable[..., Sender], watched: Callable[..., Watcher], port: int
) -> None:
    gst_sender(f"{H264} ! mpegtsmux alignment=7", host="239.255.77.78 multicast-iface=lo")

    watcher = watched(f"udp://239.255.77.78:{port}", interface="lo")
    other = watched(f"udp://239.255.77.78:{port}", interface="127.0.0.1")
    watcher.wait_for_frames(5)
    other.wait_for_frames(5)

    watcher.stop()
    other.stop()


def test_a_port_of_another_program_is_named_and_how_to_share_it(
    watched: Callable[..., Watcher], port: int
) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as GStreamer's udpsrc does
        other.bind(("0.0.0.0", port))
        watcher = watched(f"rtp://0.0.0.0:{port}")
        watcher.wait_for_states("CONNECTING", "RECONNECTING")
        watcher.stop()

    assert f"another program has port {port}" in watcher.causes[1]
    assert "multiudpsink" in watcher.causes[1]


def test_a_wrong_value_of_an_option_ends_the_source(
    watched: Callable[..., Watcher], port: int
) -> None:
    watcher = watched(f"rtp://127.0.0.1:{port}", codec="h266")

    watcher.wait(lambda: watcher.error is not None)

    assert "source option codec" in str(watcher.error)
    assert watcher.states == ["CONNECTING"]


@pytest.mark.gstreamer
def test_a_stranger_watches_a_drone_from_the_command_line(
    gst_sender: Callable[..., Sender], port: int, tiny_bundle: Path
) -> None:
    gst_sender(f"{H264} ! rtph264pay")
    command = [sys.executable, "-m", "skyeye_edge", "watch", f"rtp://0.0.0.0:{port}"]

    with subprocess.Popen(
        [*command, "--bundle", str(tiny_bundle), "--every", "0.2", "--json"],
        stdout=subprocess.PIPE,
        text=True,
    ) as job:
        assert job.stdout is not None
        lines = [job.stdout.readline() for _ in range(5)]
        job.terminate()
        job.wait()

    events = [json.loads(line) for line in lines]
    assert "LIVE" in [event.get("state") for event in events]
    assert "answer" in [event["type"] for event in events]
