#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Live streams over HTTP that look like clips to libav, or come in bursts: playlists, MP4 in fragments.

usage: test_playlist.py POSED"""
import contextlib
import datetime
import http.server
import threading
import unittest

from daemon import Case
from front import DIR, make

RATE, FRAMES = 25, 75


class Camera(http.server.BaseHTTPRequestHandler):
    """A playlist of three parts to which none is ever added, ended or not, and the same as one endless MP4."""

    ended = False

    def do_GET(self):
        self.send_response(200)
        if self.path != "/list.m3u8":
            body = (DIR / self.path[1:]).read_bytes()
        else:
            body = (DIR / "list.m3u8").read_bytes()
            if not Camera.ended:
                body = body.replace(b"#EXT-X-ENDLIST\n", b"")
        if not self.path.endswith(".mp4"):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            self.wfile.write(body)

    def log_message(self, *_):
        pass


class Playlist(Case):
    @classmethod
    def setUpClass(cls):
        make("ffmpeg", "-v", "error", "-f", "lavfi", "-i", f"testsrc=size=64x48:rate={RATE}", "-frames:v",
             str(FRAMES), "-pix_fmt", "yuv420p", "-c:v", "libx264", "-g", "25", "-tune", "zerolatency", "clip.mp4")
        make("ffmpeg", "-v", "error", "-i", "clip.mp4", "-c", "copy", "-hls_time", "1", "list.m3u8")
        make("ffmpeg", "-v", "error", "-i", "clip.mp4", "-c", "copy", "-movflags",
             "empty_moov+frag_keyframe+default_base_moof", "fragments.mp4")
        cls.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Camera)
        cls.server.daemon_threads = True
        threading.Thread(target=cls.server.serve_forever, daemon=True).start()

    def setUp(self):
        super().setUp()
        Camera.ended = False

    def watch(self, cameras):
        """A client, subscribed, of a daemon whose cameras are @cameras, {NAME: (PATH, KEYS)}."""
        port = self.server.server_address[1]
        daemon = self.daemon({name: {"url": f"http://127.0.0.1:{port}/{path}", **keys}
                              for name, (path, keys) in cameras.items()})
        client = self.client(daemon)
        client.subscribe()
        return client

    def test_parts_are_played_at_their_own_rate(self):
        client = self.watch({"all": ("list.m3u8", {}), "some": ("list.m3u8", {"max_fps": 5})})
        poses, down = {"all": [], "some": []}, set()
        while len(down) < 2:
            line = client.read()
            if line["type"] == "pose" and line["camera"] not in down:
                poses[line["camera"]].append(line)
            if line["type"] == "status" and line["state"] == "down":
                self.assertIn("timed out", line["reason"])
                down.add(line["camera"])
        first, last = (datetime.datetime.fromisoformat(line["time"].replace("Z", "+00:00"))
                       for line in (poses["all"][0], poses["all"][-1]))
        self.assertGreater((last - first).total_seconds(), 0.8 * FRAMES / RATE)
        self.assertGreaterEqual(poses["some"][-1]["seq"], 0.8 * FRAMES / RATE * 5)

    def test_a_playlist_that_was_ended_is_awaited(self):
        client = self.watch({"door": ("list.m3u8", {})})
        self.assertEqual(client.read_until("status", state="up")["camera"], "door")
        Camera.ended = True
        client.read_until("status", state="down")
        decoded = client.status()[0]["door"]["numbers"]["decoded"]
        line = client.read_until("status", state="down")
        self.assertIn("the live stream has ended and left a recording", line["reason"])
        self.assertEqual(client.status()[0]["door"]["numbers"]["decoded"], decoded)
        Camera.ended = False
        client.read_until("status", state="up")
        self.assertEqual(client.read_until("pose")["clock"], "arrival")

    def test_fragments_without_a_length_are_live(self):
        client = self.watch({"door": ("fragments.mp4", {})})
        self.assertEqual(client.read_until("pose")["clock"], "arrival")
        self.assertIn("ended the stream", client.read_until("status", state="down")["reason"])
        client.read_until("status", state="up")


if __name__ == "__main__":
    unittest.main(argv=["test_playlist.py"], verbosity=2)
