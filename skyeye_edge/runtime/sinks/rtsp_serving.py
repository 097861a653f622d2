"""An RTSP server that hands on the H.264 that arrives at a port, by GStreamer.

Started as a program, perhaps with another interpreter than ours (the system's, which has
GStreamer's binding), so it needs nothing but Python 3.6 and PyGObject. What it is to do comes as a
line of JSON on standard input, because everybody may read a command line; it ends with that input.
"""

import json
import sys
from typing import Any

LISTENS, MISSING, TAKEN = "listens", "missing", "taken"
PIPELINE = (
    "( udpsrc address=127.0.0.1 port={} buffer-size=2000000"
    ' caps="application/x-rtp,media=video,clock-rate=90000,encoding-name=H264,payload=96"'
    " ! rtph264depay ! h264parse ! rtph264pay name=pay0 pt=96 config-interval=-1 )"
)


def main() -> None:
    """Serve until nobody wants it any more; the first line says whether it listens."""
    wanted = json.loads(sys.stdin.readline())
    try:
        import gi

        gi.require_version("Gst", "1.0")
        gi.require_version("GstRtspServer", "1.0")
        from gi.repository import GLib, Gst, GstRtspServer
    except (ImportError, ValueError):
        print(MISSING, flush=True)
        return
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address(wanted["host"])
    server.set_service(str(wanted["port"]))
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(PIPELINE.format(wanted["rtp"]))
    factory.set_shared(True)
    if wanted["user"]:
        guard(GstRtspServer, server, factory, wanted["user"], wanted["password"])
    server.get_mount_points().add_factory(wanted["path"], factory)
    print(LISTENS if server.attach(None) else TAKEN, flush=True)
    loop = GLib.MainLoop()
    GLib.io_add_watch(0, GLib.PRIORITY_DEFAULT, GLib.IOCondition.HUP, lambda *_: loop.quit())
    loop.run()


def guard(module: Any, server: Any, factory: Any, user: str, password: str) -> None:
    """Let in only who knows the password."""
    permissions = module.RTSPPermissions()
    for permission in ("media.factory.access", "media.factory.construct"):
        permissions.add_permission_for_role("viewer", permission, True)
    factory.set_permissions(permissions)
    token = module.RTSPToken()
    token.set_string("media.factory.role", "viewer")
    auth = module.RTSPAuth()
    auth.add_basic(module.RTSPAuth.make_basic(user, password), token)
    server.set_auth(auth)


if __name__ == "__main__":
    main()
