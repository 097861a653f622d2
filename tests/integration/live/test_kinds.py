"""Every kind of live source, from real senders on this machine."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
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


@pytest.mark.slow
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
    assert {frame.size for frame in (*watcher.frames, *other.frames)} == {(160, 96)}


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


PICTURE = "-re -f lavfi -i testsrc=size=160x96:rate=20 -c:v libx264 -g 10 -tune zerolatency"


@pytest.fixture
def ffmpeg() -> Iterator[Callable[[str], Sender]]:
    """A function that sends a test picture with FFmpeg's own program, to what follows."""
    with ExitStack() as stack:

        def start(rest: str) -> Sender:
            command = f"ffmpeg -nostdin -v error {PICTURE} {rest}"
            program = subprocess.Popen(command.split(), stdout=subprocess.PIPE)
            stack.callback(program.wait)
            stack.callback(program.kill)
            return program

        yield start


def test_a_server_of_rtmp_is_watched_and_its_key_is_not_shown(
    ffmpeg: Callable[[str], Sender], watched: Callable[..., Watcher], port: int
) -> None:
    ffmpeg(f"-f flv -listen 1 rtmp://127.0.0.1:{port}/live/kiwi-7x")

    watcher = watched(f"rtmp://127.0.0.1:{port}/live/kiwi-7x")
    watcher.wait_for_frames(5)

    watcher.stop()
    assert watcher.source.name == f"rtmp://127.0.0.1:{port}/live/…"


def test_who_sends_rtmp_to_us_is_watched(
    ffmpeg: Callable[[str], Sender], watched: Callable[..., Watcher], port: int
) -> None:
    watcher = watched(f"rtmp://127.0.0.1:{port}/live/key", listen="1")
    watcher.wait_for_states("CONNECTING")
    while not watcher.frames:  # FFmpeg's program does not try twice
        ffmpeg(f"-t 2 -f flv rtmp://127.0.0.1:{port}/live/key").wait()

    watcher.stop()
    assert watcher.states[:2] == ["CONNECTING", "LIVE"]
    check_counts(watcher)


def test_a_stream_over_http_is_watched(
    ffmpeg: Callable[[str], Sender], watched: Callable[..., Watcher], port: int
) -> None:
    ffmpeg(f"-f mpegts -listen 1 http://127.0.0.1:{port}/live.ts")

    watcher = watched(f"http://127.0.0.1:{port}/live.ts")
    watcher.wait_for_frames(5)

    watcher.stop()
    assert "LIVE" in watcher.states
    check_counts(watcher)


def test_a_video_over_http_is_watched_to_its_end(
    started: Callable[..., Sender],
    watched: Callable[..., Watcher],
    port: int,
    tmp_path: Path,
) -> None:
    picture = PICTURE.removeprefix("-re ")
    playlist = tmp_path / "live.m3u8"
    command = f"ffmpeg -v error {picture} -t 2 -f hls -hls_playlist_type vod {playlist}"
    subprocess.run(command.split(), check=True)
    program = (
        "import http.server as h; s = h.HTTPServer(('127.0.0.1', int(__import__('sys').argv[1])), "
        "h.SimpleHTTPRequestHandler); print('listening', flush=True); s.serve_forever()"
    )
    started(sys.executable, "-c", f"import os; os.chdir({str(tmp_path)!r}); {program}", str(port))

    watcher = watched(f"http://127.0.0.1:{port}/live.m3u8")
    watcher.wait(lambda: "ENDED" in watcher.states)

    assert watcher.causes[-1] == "end of the video"
    check_counts(watcher)


@pytest.mark.gstreamer
@pytest.mark.srt
def test_srt_is_watched(
    started: Callable[..., Sender], watched: Callable[..., Watcher], port: int
) -> None:
    pipeline = (
        f"videotestsrc is-live=true ! video/x-raw,width=160,height=96,framerate=20/1,format=I420 ! "
        f"{H264} ! mpegtsmux alignment=7 ! srtsink wait-for-connection=false "
        f"uri=srt://127.0.0.1:{port}?mode=listener&passphrase=kiwi-kiwi-kiwi"
    )
    started("gst-launch-1.0", *pipeline.split())

    watcher = watched(f"srt://127.0.0.1:{port}", passphrase="kiwi-kiwi-kiwi")
    watcher.wait_for_frames(5)

    watcher.stop()
    check_counts(watcher)
    assert "kiwi" not in watcher.source.name + "".join(watcher.causes)


@pytest.mark.rtsp
def test_rtsp_is_watched_over_udp_where_that_is_asked_for(
    rtsp_server: Callable[..., Sender], watched: Callable[..., Watcher], port: int
) -> None:
    rtsp_server()

    watcher = watched(f"rtsp://127.0.0.1:{port}/camera", rtsp_transport="udp")
    watcher.wait_for_frames(10)

    watcher.stop()
    check_counts(watcher)


@pytest.mark.rtsp
def test_a_pipeline_of_gstreamer_is_watched(watched: Callable[..., Watcher]) -> None:
    picture = "video/x-raw,width=162,height=96,framerate=20/1"  # rows that it pads

    watcher = watched(f"gst:videotestsrc is-live=true pattern=red ! {picture}")
    watcher.wait_for_frames(5)

    watcher.stop()
    check_counts(watcher)
    frame = watcher.frames[-1]
    assert frame.size == (162, 96)
    assert frame.rgb[50, [0, 80, 161]].tolist() == [[255, 0, 0]] * 3


@pytest.mark.rtsp
def test_a_pipeline_that_cannot_be_is_named_without_its_secrets(
    watched: Callable[..., Watcher],
) -> None:
    watcher = watched("gst:rtspsrc location=rtsp://admin:kiwi@camera ! nosuch password=plum")
    watcher.wait(lambda: watcher.error is not None)

    assert (
        str(watcher.error)
        == 'gst:rtspsrc: GStreamer does not understand the pipeline: no element "nosuch"'
    )


def test_a_camera_that_is_not_there_is_named_and_waited_for(
    watched: Callable[..., Watcher],
) -> None:
    watcher = watched("/dev/video97")
    watcher.wait_for_states("CONNECTING", "RECONNECTING")

    watcher.stop()
    assert watcher.causes[1].startswith("there is no camera /dev/video97")


@pytest.mark.parametrize("sent", ["video", "nothing"])
def test_standard_input_is_watched_to_its_end(sent: str, tiny_bundle: Path) -> None:
    picture = PICTURE.removeprefix("-re ")
    send = f"ffmpeg -v error {picture} -t 3 -f mpegts -" if sent == "video" else "true"
    watch = f"{sys.executable} -m skyeye_edge watch - --json --bundle {tiny_bundle}"

    done = subprocess.run(f"{send} | {watch}", shell=True, capture_output=True, text=True)

    if sent == "video":
        types = [json.loads(line)["type"] for line in done.stdout.splitlines()]
        assert (done.returncode, types[-1]) == (0, "summary")
        assert "answer" in types
    else:
        assert done.returncode == 2
        assert "stdin: standard input has ended, and is no video" in done.stderr


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
