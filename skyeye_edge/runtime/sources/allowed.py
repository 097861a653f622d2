"""What FFmpeg may open and compute because of what stands in media that somebody else made.

A playlist, a session description or a list of files is media to FFmpeg, too, and tells it what to
open next: other files of this machine, or other machines. So a file is only a file here.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from skyeye_edge.core import limits
from skyeye_edge.core.errors import needs

if TYPE_CHECKING:
    import av

# Demuxers that open something besides what they were given, or that are devices.
ELSEWHERE = frozenset(
    (
        "alias_pix", "alsa", "avisynth", "concat", "dash", "fbdev", "hds", "hls", "image2", "imf",
        "kmsgrab", "lavfi", "oss", "rtp", "rtsp", "sap", "sdp", "smoothstreaming",
        "v4l2", "video4linux2,v4l2", "vobsub", "webm_dash_manifest", "x11grab",
    )
)  # fmt: skip


@cache
def file_options() -> dict[str, str]:
    """Options of `av.open` for a file that may open no other file and no address."""
    with needs("runtime"):
        import av
    formats = sorted(av.formats_available - ELSEWHERE)
    return {"protocol_whitelist": "file", "format_whitelist": ",".join(formats)}


def set_limits(context: av.VideoCodecContext) -> None:
    """Let a decoder refuse pictures larger than any camera's, before memory is taken for them."""
    context.options = {**context.options, "max_pixels": str(limits.FRAME_PIXELS)}


def is_too_large(packet: av.Packet[Any]) -> bool:
    """Whether a compressed picture is larger than any camera's."""
    return packet.size > limits.PACKET_BYTES
