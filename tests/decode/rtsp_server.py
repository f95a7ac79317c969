#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""An RTSP camera for tests: rtsp_server.py [PORT [basic|digest USER PASSWORD]]. Prints its port; serves /cam, /gop and
/jpeg until killed. POSED_RTSP_SIZE=WxH in the environment is the size of the picture.

Exits with 77 (skip) when gst-rtsp-server or the H.264 encoder is not installed.
"""
import os
import sys

try:
    import gi
    gi.require_version("Gst", "1.0")
    gi.require_version("GstRtspServer", "1.0")
    from gi.repository import GLib, Gst, GstRtspServer
except (ImportError, ValueError):
    sys.exit(77)

WIDTH, HEIGHT = os.environ.get("POSED_RTSP_SIZE", "320x240").split("x")
PICTURE = ("videotestsrc is-live=true pattern=ball ! "
           f"video/x-raw,format=I420,width={WIDTH},height={HEIGHT},framerate=25/1 ! ")
ENCODERS = {
    "/cam": ("x264enc", "x264enc tune=zerolatency key-int-max=25 ! rtph264pay name=pay0 pt=96 config-interval=1"),
    "/gop": ("x264enc", "x264enc tune=zerolatency key-int-max=125 ! rtph264pay name=pay0 pt=96 config-interval=1"),
    "/jpeg": ("jpegenc", "jpegenc ! rtpjpegpay name=pay0 pt=26"),
}


def main():
    Gst.init(None)
    if not Gst.ElementFactory.find("x264enc"):
        sys.exit(77)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(sys.argv[1] if len(sys.argv) > 1 else "0")
    auth = None
    if len(sys.argv) > 4:
        way, user, password = sys.argv[2:5]
        auth = GstRtspServer.RTSPAuth()
        token = GstRtspServer.RTSPToken()
        token.set_string("media.factory.role", "user")
        auth.set_supported_methods({"basic": 1, "digest": 2}[way])
        auth.add_digest(user, password, token)
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
        server.set_auth(auth)
    for path, (element, encoder) in ENCODERS.items():
        if not Gst.ElementFactory.find(element):
            continue
        factory = GstRtspServer.RTSPMediaFactory()
        factory.set_launch("( " + PICTURE + encoder + " )")
        factory.set_shared(True)
        if auth:
            permissions = GstRtspServer.RTSPPermissions()
            permissions.add_permission_for_role("user", "media.factory.access", True)
            permissions.add_permission_for_role("user", "media.factory.construct", True)
            factory.set_permissions(permissions)
        server.get_mount_points().add_factory(path, factory)
    if not server.attach(None):
        sys.exit("port %s is taken" % sys.argv[1])
    print(server.get_bound_port(), flush=True)
    GLib.MainLoop().run()


main()
