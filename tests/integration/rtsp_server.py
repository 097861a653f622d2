"""A camera for tests: an RTSP server with a test picture, on GStreamer, until it is killed.

Run with the system's Python, which has the binding:
`/usr/bin/python3 rtsp_server.py PORT [basic|digest USER PASSWORD]`.
It prints one line when it listens.
"""

from __future__ import annotations

import os
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402  # only after the versions

PIPELINE = (
    "( videotestsrc is-live=true ! video/x-raw,width=160,height=96,framerate=20/1"
    " ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=10"
    " ! rtph264pay name=pay0 pt=96 config-interval=1 )"
)


def guard(
    server: GstRtspServer.RTSPServer,
    factory: GstRtspServer.RTSPMediaFactory,
    method: str,
    user: str,
    password: str,
) -> None:
    """Let in only who knows the password, asked for by `method`."""
    permissions = GstRtspServer.RTSPPermissions()
    for permission in ("media.factory.access", "media.factory.construct"):
        permissions.add_permission_for_role("viewer", permission, True)
    factory.set_permissions(permissions)
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "viewer")
    auth = GstRtspServer.RTSPAuth()
    if method == "digest":
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        auth.add_digest(user, password, token)
    else:
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
    server.set_auth(auth)


if __name__ == "__main__":
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address(os.environ.get("RTSP_ADDRESS", "127.0.0.1"))
    server.set_service(sys.argv[1])
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(PIPELINE)
    factory.set_shared(True)
    if len(sys.argv) > 2:
        guard(server, factory, *sys.argv[2:])
    server.get_mount_points().add_factory("/camera", factory)
    server.attach(None)
    print("listening", flush=True)
    GLib.MainLoop().run()
