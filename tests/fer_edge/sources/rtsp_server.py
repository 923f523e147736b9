"""Two RTSP servers of GStreamer's for the tests; prints their ports, serves until it is ended.

It runs in the system's Python, which has GStreamer's bindings (Debian: python3-gi, gir1.2-gst-rtsp-server-1.0,
gstreamer1.0-plugins-base, gstreamer1.0-plugins-good, gstreamer1.0-plugins-ugly). The first serves everyone:

    /bars     colour bars in H.264
    /udp      the same, over UDP alone

The second serves `/bars` to the user "keeper" with the password "p@ss:word".
"""

from __future__ import annotations

import sys

import gi

for name in ("Gst", "GstRtsp", "GstRtspServer"):
    gi.require_version(name, "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

# Seven bars, each 48 pixels wide: white, yellow, cyan, green, magenta, red, blue.
BARS = (
    "( videotestsrc is-live=true pattern=smpte ! video/x-raw,width=336,height=240,framerate=25/1 "
    "! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=10 ! rtph264pay name=pay0 pt=96 )"
)


def serve(port, paths, auth=None):
    server = GstRtspServer.RTSPServer.new()
    server.set_address("127.0.0.1")
    server.set_service(port)
    server.set_auth(auth)
    for path, protocols in paths.items():
        media = GstRtspServer.RTSPMediaFactory.new()
        media.set_launch(BARS)
        media.set_shared(True)
        media.set_protocols(protocols)
        if auth is not None:
            rights = "keeper, media.factory.access=(boolean)true, media.factory.construct=(boolean)true"
            media.add_role_from_structure(Gst.Structure.new_from_string(rights))
        server.get_mount_points().add_factory(path, media)
    if server.attach(None) == 0:
        sys.exit(f"port {port} is taken")
    return server


def keeper_alone():
    auth = GstRtspServer.RTSPAuth.new()
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "keeper")
    auth.add_basic(GstRtspServer.RTSPAuth.make_basic("keeper", "p@ss:word"), token)
    return auth


Gst.init(None)
UDP, TCP = GstRtsp.RTSPLowerTrans.UDP, GstRtsp.RTSPLowerTrans.TCP
servers = [
    serve(sys.argv[1] if len(sys.argv) > 1 else "0", {"/bars": UDP | TCP, "/udp": UDP}),
    serve("0", {"/bars": UDP | TCP}, keeper_alone()),
]
print(*(server.get_bound_port() for server in servers), flush=True)
GLib.MainLoop().run()
