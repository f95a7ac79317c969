#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Cameras behind TLS: clips and playlists by https://, streams by rtsps://; certificates that are checked, and wrong
ones; peers that stall in the handshake and after it.

usage: test_tls.py POSED"""
import contextlib
import functools
import http.server
import os
import subprocess
import sys
import threading
import time
import unittest

from daemon import PATIENCE, ROOT, Case, live
from front import DIR, Front, certificate, make

SLACK = 10 if os.environ.get("POSED_SANITIZED") else 3


class Files(http.server.SimpleHTTPRequestHandler):
    """What is in DIR, over connections that are kept; /led/FILE leads to the same without TLS."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if not self.path.startswith("/led/"):
            return super().do_GET()
        self.send_response(302)
        self.send_header("Location", f"http://127.0.0.1:{self.server.server_address[1]}/{self.path[5:]}")
        self.send_header("Content-Length", "0")
        self.end_headers()
        return None

    def handle(self):
        with contextlib.suppress(ConnectionError):  # whoever keeps a connection may end it by a reset
            super().handle()

    def log_message(self, *_):
        pass


class Tls(Case):
    @classmethod
    def setUpClass(cls):
        cls.right = certificate("right", "IP:127.0.0.1")
        cls.other = certificate("other", "DNS:elsewhere")
        make("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=size=64x48:rate=25", "-frames:v", "50", "-pix_fmt",
             "yuv420p", "-c:v", "libx264", "-g", "25", "-tune", "zerolatency", "clip.h264")
        make("ffmpeg", "-v", "error", "-r", "25", "-i", "clip.h264", "-c", "copy", "clip.mp4")
        make("ffmpeg", "-v", "error", "-i", "clip.mp4", "-c", "copy", "-hls_time", "1", "list.m3u8")
        cls.plain = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Files, directory=DIR))
        cls.plain.daemon_threads = True
        threading.Thread(target=cls.plain.serve_forever, daemon=True).start()

    def camera_behind_tls(self):
        process = subprocess.Popen([sys.executable, ROOT / "tests" / "decode" / "bad_camera.py", DIR / "clip.h264"],
                                   stdout=subprocess.PIPE)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return f"rtsps://127.0.0.1:{Front(self.right, int(process.stdout.readline())).port}/"

    def follow(self, client, downs, done):
        """The first `down` line of each of the cameras @downs, once @done holds as well."""
        lines, end = {}, time.monotonic() + PATIENCE
        while set(downs) - set(lines) or not done():
            line = client.read()
            assert line is not None, "the daemon hung up"
            self.assertLess(time.monotonic(), end, f"{set(downs) - set(lines)}, last {line}")
            if line["type"] == "status" and line["state"] == "down" and "numbers" not in line:
                lines.setdefault(line["camera"], line)
        return lines

    def test_certificates_are_checked_when_asked(self):
        port, other = (Front(c, self.plain.server_address[1]).port for c in (self.right, self.other))
        ca = {"ca_file": str(DIR / "right.pem")}
        (DIR / "mixed.m3u8").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1,\n"
                                        f"http://127.0.0.1:{self.plain.server_address[1]}/list0.ts\n#EXT-X-ENDLIST\n")
        (DIR / "part.m3u8").write_text((DIR / "list.m3u8").read_text().replace("list1.ts", "led/list1.ts"))
        good = {"free": {"url": f"https://127.0.0.1:{other}/clip.mp4"},
                "checked": {"url": f"https://127.0.0.1:{port}/clip.mp4", **ca},
                "list": {"url": f"https://127.0.0.1:{port}/list.m3u8", **ca},
                "named": {"url": f"https://127.0.0.1:{other}/clip.mp4", "ca_file": str(DIR / "other.pem"),
                          "tls_name": "elsewhere"}}
        bad = {"stranger": ({"url": f"https://127.0.0.1:{other}/list.m3u8", **ca}, "not vouched for by ca_file"),
               "name": ({"url": f"https://127.0.0.1:{other}/clip.mp4", "ca_file": str(DIR / "other.pem")},
                        "its certificate is for another name"),
               "led": ({"url": f"https://127.0.0.1:{port}/led/clip.mp4", **ca}, "leads to an address without TLS"),
               "mixed": ({"url": f"https://127.0.0.1:{port}/mixed.m3u8", **ca}, ""),
               "gone": ({"url": f"https://127.0.0.1:{port}/clip.mp4", "ca_file": str(DIR / "gone.pem")},
                        "its ca_file: " + str(DIR / "gone.pem") + ": no such file")}
        half = {"part": {"url": f"https://127.0.0.1:{port}/part.m3u8", **ca}}
        daemon = self.daemon({**good, **half, **{name: camera for name, (camera, _) in bad.items()}})
        client = self.client(daemon)
        client.subscribe()
        lines = self.follow(client, bad, lambda: all(client.state.get(c) == "ended" for c in (*good, *half)))
        for name, (_, reason) in bad.items():
            self.assertIn(reason, lines[name]["reason"])
            self.assertNotIn(name, client.delivered)
        self.assertGreater(lines["stranger"]["retry_s"], 20)
        for name, line in client.status()[0].items():
            self.assertEqual(line["numbers"]["decoded"], 50 if name in good else 25 if name in half else 0, name)
        self.assertEqual(daemon.stop()[0], 0)

    def test_a_peer_that_stalls_costs_its_deadline(self):
        handshake, answer = Front(None).port, Front(self.right).port
        stalled = {f"{scheme}-{i}": {"url": f"{scheme}://127.0.0.1:{port}/x", "open_timeout_s": 1}
                   for scheme in ("https", "rtsps") for i, port in enumerate((handshake, answer))}
        plain = {"plain": {"url": f"rtsps://127.0.0.1:{self.plain.server_address[1]}/x", "open_timeout_s": 5}}
        daemon = self.daemon({"good": live(), **stalled, **plain})
        client = self.client(daemon)
        client.subscribe()
        begin = time.monotonic()
        lines = self.follow(client, [*stalled, *plain], lambda: client.delivered.get("good", 0) > 10)
        self.assertLess(time.monotonic() - begin, 2 + SLACK)
        for name in stalled:
            self.assertRegex(lines[name]["reason"], r"timed out after \d+\.\d s in connecting")
        self.assertIn("TLS: ", lines["plain"]["reason"])
        code, took = daemon.stop()
        self.assertEqual(code, 0)
        self.assertLess(took, 1 + SLACK)

    def test_streams_freeze_and_come_back(self):
        url = self.camera_behind_tls()
        daemon = self.daemon({"good": {"url": url + "good"},
                              "bad": {"url": url + "freeze:30+good", "read_timeout_s": 1},
                              "checked": {"url": url + "good/2", "ca_file": str(DIR / "right.pem")}})
        client = self.client(daemon)
        client.subscribe()
        lines = self.follow(client, ["bad"], lambda: client.told("bad") > 40 and client.told("good") > 20 and
                            client.state.get("checked") in ("up", "down"))
        self.assertRegex(lines["bad"]["reason"], r"timed out after \d+\.\d s in read")
        if client.state["checked"] == "down":  # up with an FFmpeg that can
            self.assertIn("cannot check the certificate", client.status()[0]["checked"]["reason"])
        self.assertEqual(client.status()[0]["good"]["numbers"]["reconnects"], 0)
        code, took = daemon.stop()
        self.assertEqual(code, 0)
        self.assertLess(took, 1 + SLACK)


if __name__ == "__main__":
    unittest.main(argv=["test_tls.py"], verbosity=2)
