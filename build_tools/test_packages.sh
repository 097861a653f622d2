#!/bin/sh
# Programs of the system that some tests compare with, send from or send to: ffprobe, Java, GStreamer with its
# RTSP server, an MQTT broker, SRT, ip, strace, and a font with Hebrew letters. Never fails: where they cannot be
# installed, those tests are skipped and say why.
have() {
    for program in ffprobe java gst-launch-1.0 mosquitto mosquitto_sub srt-live-transmit ip strace; do
        # a broker is for administrators: it stands where the path of others does not lead
        PATH="$PATH:/usr/sbin:/sbin" command -v "$program" >/dev/null || return 1
    done
    /usr/bin/python3 -c "import gi; gi.require_version('GstRtspServer', '1.0')" 2>/dev/null
}
skip() {
    echo "[test packages] not installed: $1; tests that need them are skipped"
    exit 0
}

have && exit 0
command -v apt-get >/dev/null || skip "this is not a Debian"
[ "$(id -u)" = 0 ] || skip "not root (sudo sh build_tools/test_packages.sh)"
echo "[test packages] installing ffmpeg, Java, GStreamer, mosquitto and SRT with apt-get"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
export DEBIAN_FRONTEND=noninteractive
timeout 120 apt-get update -q >"$log" 2>&1 || skip "apt-get update failed ($(tail -n 1 "$log"))"
timeout 600 apt-get install -q -y --no-install-recommends \
    ffmpeg python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-base \
    gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly \
    gstreamer1.0-libav gstreamer1.0-tools mosquitto mosquitto-clients srt-tools iproute2 \
    fontconfig fonts-dejavu-core default-jre-headless strace \
    >"$log" 2>&1 </dev/null || skip "apt-get install failed ($(tail -n 1 "$log"))"
have || skip "installed, but they do not start"
