#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One allocation of FFmpeg fails (libavutil makes those of its other libraries). The same holds as in test_alloc.py, which
has jansson's too, but for leaks of memory, which may be FFmpeg's; descriptors are counted. In a few places FFmpeg itself
reads through a null pointer or aborts then: such runs are counted and told, and are no fault of ours. libuv's allocations
are left alone, for it aborts by design.

usage: test_libs.py POSED_FAULTY FFMPEG      faulty.py has what the environment may set"""
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import threading
import time

from faulty import NETWORK, OFFLINE, PATIENCE, ROOT, sweep

LIBRARIES = os.environ.get("POSED_FAIL_LIBS", "libavutil")
FFMPEG = sys.argv[2]
FRAMES = 100  # of each of two cameras
REQUESTS = [{"subscribe": {"cameras": "*"}}, {"request": "status"}, {"request": "metrics"}, {"request": "ping", "n": 1}]


def clip(path):
    made = subprocess.run([FFMPEG, "-v", "error", "-f", "lavfi", "-i", "testsrc=size=64x48:rate=25", "-frames:v",
                           str(FRAMES), "-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "ultrafast", "-g", "25",
                           path], check=False)
    if made.returncode != 0:
        print("1..0 # SKIP this ffmpeg makes no H.264")
        sys.exit(77)
    return path


def camera(stream):
    """An RTSP server and its URL."""
    server = subprocess.Popen([sys.executable, ROOT / "tests" / "decode" / "bad_camera.py", stream],
                              stdout=subprocess.PIPE)
    return server, f"rtsp://127.0.0.1:{int(server.stdout.readline())}/good"


def commands(video, rtsp):
    def config(folder, name, urls):
        (folder / f"{name}.d").mkdir()
        for at, url in enumerate(urls):
            (folder / f"{name}.d" / f"c{at}.json").write_text(json.dumps({"url": url}))
        path = folder / f"{name}.json"
        path.write_text(json.dumps({"socket": str(folder / "s"), "engine": "null", "network": NETWORK, "width": 128,
                                    "height": 64, "cache_dir": str(folder), "cameras_dir": f"{name}.d"}))
        return path

    def make(folder):
        files, live = config(folder, "files", [str(video)] * 2), config(folder, "live", [rtsp])
        return {
            "run": (["run", "--config", files, "--exit-when-done"], {1, 75, 78}),
            "detect": (["detect", *OFFLINE, video, "-o", folder / "out.jsonl", "--draw", folder / "drawn.mp4"], {1}),
            "check": (["check", "--config", live, "--cameras"], {1, 78}),
        }
    return make


def subscribe(folder, process):
    """A client that asks for everything, from the first moment on. Whatever it gets must be whole lines of JSON."""
    def talk():
        end = time.monotonic() + PATIENCE
        while process.poll() is None and time.monotonic() < end:
            with socket.socket(socket.AF_UNIX) as s:
                s.settimeout(PATIENCE)
                try:
                    s.connect(str(folder / "s"))
                    s.sendall(b"".join(json.dumps(request).encode() + b"\n" for request in REQUESTS))
                    for line in s.makefile("rb"):
                        if line.endswith(b"\n"):
                            json.loads(line)
                    return
                except ValueError:
                    process.kill()  # which fails the run
                    raise
                except OSError:
                    time.sleep(0.005)
    threading.Thread(target=talk, daemon=True).start()


def main():
    with tempfile.TemporaryDirectory(prefix="posed-libs-") as name:
        env = {"POSED_FAIL_LIBS": LIBRARIES, "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"}
        folder = pathlib.Path(name)
        server, url = camera(clip(folder / "clip.h264"))
        try:  # a camera that waits 1, 2, 4, 8, 8 s would take all day to have 20 failures behind it
            return sweep(commands(clip(folder / "clip.mp4"), url), env, subscribe, jobs=3, bursts=(1, 1, 1, 3))
        finally:
            server.kill()
            server.wait()


if __name__ == "__main__":
    sys.exit(main())
