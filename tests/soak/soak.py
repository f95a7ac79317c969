#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs posed for hours with cameras, subscribers and a random fault every few seconds, and says whether it stood it.

usage: soak.py POSED [--hours N] ... (scripts/soak finds POSED)

It passes when posed neither ended nor complained, no line of any camera was lost untold, files and threads are as
before whenever the faults pause, memory does not grow, and no password was in anything that it wrote. It never asks
how fast anything was: it may run on a busy machine. SIGINT or SIGTERM ends it early, and what it saw is judged."""
import argparse
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))
os.environ.setdefault("POSED_PATIENCE", "120")
from daemon import POSED, Daemon, wait_for  # noqa: E402
import faults  # noqa: E402
from measure import Secrets, slope, usage  # noqa: E402
from world import Checker, Comer, JunkServer, Leaked, RtspServer, Slow, Stalled, Subscriber  # noqa: E402

SLOPE_MAX = 0.5    # MB/h, what a year would stand
SHORT_GROWTH = 4   # MB that a run of minutes may grow by
TOLERANCE = 2      # descriptors more than at first: a camera may be connecting at that moment


class Failure(Exception):
    pass


class Soak:
    def __init__(self, options, folder):
        self.options, self.dir = options, folder
        self.rng = random.Random(options.seed)
        self.begin = time.monotonic()
        self.events = open(folder / "events.log", "w", buffering=1)
        self.secrets = Secrets()
        self.over, self.quiet, self.enough = threading.Event(), threading.Event(), threading.Event()
        self.servers, self.points, self.base = [], [], None
        self.daemon = self.checker = None

    def log(self, text):
        self.events.write(f"{time.monotonic() - self.begin:10.2f} {text}\n")

    def say(self, text):
        self.log(text)
        print(f"{time.monotonic() - self.begin:8.0f} s  {text}")

    def new_password(self):
        core = f"{self.rng.getrandbits(64):016x}"
        password = f"s@k/{core}:x"
        self.secrets.add(password, core)
        return password

    def write_password(self, password):
        path = self.dir / "door.password"
        path.touch(0o600)
        path.write_text(password + "\n")

    def write_camera(self, name, camera):
        self.daemon.write_camera(name, camera)
        self.daemon.signal(signal.SIGHUP)

    def remove_camera(self, name):
        self.daemon.remove_camera(name)
        self.daemon.signal(signal.SIGHUP)

    def connect(self):
        """A subscriber, or None while the daemon takes none: it has too many, or no descriptor left."""
        try:
            return Subscriber(self.daemon.path, self.secrets)
        except (ConnectionError, BlockingIOError, TypeError, AssertionError):  # the last two: something else than hello
            return None

    def set_up(self):
        self.clip = self.dir / "clip.mp4"
        subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=size=320x180:rate=10:duration=6",
                        "-pix_fmt", "yuv420p", "-g", "10", str(self.clip)], check=True)
        cameras = {"steady": {"url": "test:people?size=320x180&rate=25", "realtime": True},
                   "lobby": {"url": "test:people?size=320x180&rate=12", "realtime": True, "track": True},
                   "file": {"url": str(self.clip), "realtime": True, "loop": True}}
        plain = RtspServer(self.dir / "rtsp-plain.log")
        password = self.new_password()
        self.guarded = RtspServer(self.dir / "rtsp-guarded.log", "u", password)
        self.write_password(password)
        if plain.start() and self.guarded.start():
            self.servers = [plain, self.guarded]
            url = f"rtsp://127.0.0.1:{plain.port}"
            cameras |= {"front": {"url": url + "/cam"}, "till": {"url": url + "/jpeg", "transport": "udp"},
                        "door": {"url": f"rtsp://127.0.0.1:{self.guarded.port}/gop", "username": "u",
                                 "password_file": str(self.dir / "door.password"), "open_timeout_s": 4}}
        else:
            self.say("no gst-rtsp-server here: no RTSP cameras")
        self.junk = JunkServer(self.rng)
        config = {"engine": self.options.engine, "width": self.options.width, "height": self.options.height,
                  "max_clients": 300}
        env = {"POSED_NULL_FAIL_EVERY": "997"}  # a batch fails at times
        if self.options.preload:
            env["LD_PRELOAD"] = self.options.preload
        self.cameras = sorted(cameras)
        self.daemon = Daemon(self.dir, cameras, config=config, env=env)
        self.daemon.client().close()  # it is up
        self.checker = Checker(self, "checker")
        self.checker.start()
        self.company = [self.checker, Slow(self, "slow"), Stalled(self, "stalled")]
        self.company += [Comer(self, f"comer {i}") for i in range(3)]
        for one in self.company[1:]:
            one.start()

    def has_seen(self, camera):
        """Whether the checker has had a line of it. What is lost of a camera before its first line, nobody is told."""
        return self.checker.client and camera in self.checker.client.first

    def state(self, camera):
        return self.checker.client.state.get(camera) if self.checker.client else None

    def check(self):
        if self.daemon.process.poll() is not None:
            raise Failure(f"posed ended by itself with {self.daemon.process.returncode}")
        for one in self.company:
            if one.error:
                raise Failure(one.error)

    def measure(self):
        """Wait until all is as if nothing had happened, then look. Returns (MB, files, threads)."""
        def calm():
            self.check()
            return all(self.state(name) == "up" for name in self.cameras) and \
                all(not one.client for one in self.company[1:])
        self.quiet.set()
        self.daemon.signal(signal.SIGHUP)  # a reload that found no descriptors left said so and changed nothing
        try:
            wait_for("every camera up and every subscriber gone", calm, 180)
            seconds = 11 if self.options.hours > 0.25 else 2  # it trims its heap every 10 s
            end, least = time.monotonic() + seconds, None
            while time.monotonic() < end:
                self.check()
                now = usage(self.daemon.process.pid)
                least = now if least is None else tuple(map(min, least, now))
                time.sleep(0.1)
        finally:
            self.quiet.clear()
        return least

    def pause_and_look(self, chaos):
        chaos.finish()
        memory, files, threads = self.measure()
        hours = (time.monotonic() - self.begin) / 3600
        self.points.append((hours, memory, files, threads))
        if self.base is None:
            self.base = (files, threads)
        self.say(f"{sum(chaos.counts.values())} faults; {memory:.2f} MB, {files} files, {threads} threads; "
                 f"{self.checker.client.types.get('pose', 0)} lines, {self.checker.client.types.get('gap', 0)} gaps")
        if files > self.base[0] + TOLERANCE or threads > self.base[1]:
            raise Failure(f"{files} files and {threads} threads, {self.base[0]} and {self.base[1]} at first: "
                          + ", ".join(sorted(os.readlink(f) for f in
                                             pathlib.Path(f"/proc/{self.daemon.process.pid}/fd").iterdir()
                                             if os.path.lexists(f))))

    def run(self):
        self.set_up()
        chaos = faults.Chaos(self, self.rng, self.options.every, self.log)
        self.chaos = chaos
        self.measure()
        while chaos.rehearse():  # heaps and thread pools are then as large as they will be
            self.check()
            time.sleep(0.01)
        self.pause_and_look(chaos)
        end = self.begin + self.options.hours * 3600
        pause = max(10, min(120, self.options.hours * 3600 / 12))
        while time.monotonic() < end and not self.enough.is_set():
            until = min(end, time.monotonic() + pause)
            while time.monotonic() < until and not self.enough.is_set():
                chaos.step()
                self.check()
                time.sleep(0.01)
            self.pause_and_look(chaos)
        self.finish()

    def finish(self):
        """Stop the daemon and settle the accounts of the subscriber that was there all the time."""
        self.over.set()
        client = self.checker.client
        self.daemon.signal(signal.SIGTERM)
        code = self.daemon.wait()
        self.checker.join()
        if code != 0:
            raise Failure(f"posed ended with {code}, not 0, after SIGTERM")
        if self.checker.error:
            raise Failure(self.checker.error)
        told = sum(client.told_before.values()) + sum(client.told(c) for c in client.next)
        unseen = sum(n - 1 for n in client.first.values())
        decoded, published = map(int, re.findall(r"(\d+) frames decoded, (\d+) lines published",
                                                 self.daemon.log.read_text())[-1])
        ours = client.bye["client"]
        if ours["lost"] != sum(client.lost.values()) + client.lost_before or \
                ours["delivered"] != client.types.get("pose", 0):
            raise Failure(f"posed says {ours}, the subscriber got {client.types} and was told of "
                          f"{sum(client.lost.values()) + client.lost_before} lost")
        self.equation = (decoded, told, unseen + client.unseen_before)
        if decoded != told + unseen + client.unseen_before:
            raise Failure(f"{decoded} frames decoded, but {told} told and {unseen + client.unseen_before} before the "
                          "first line")

    def judge_memory(self):
        warm = self.points[len(self.points) // 5:]
        b, error = slope([(h, mb) for h, mb, _, _ in warm])
        length = warm[-1][0] - warm[0][0] if warm else 0
        bound = SLOPE_MAX if length >= 0.75 else SLOPE_MAX + SHORT_GROWTH / max(length, 1e-3)
        if len(warm) < 4:
            return False, f"{len(warm)} pauses are too few to judge memory"
        text = (f"memory {b:+.2f} +- {error:.2f} MB/h over {length * 60:.0f} minutes and {len(warm)} pauses "
                f"(at most {bound:.2f})")
        if length < 0.75:
            text += "; too short for 0.5 MB/h"
        return b <= bound, text

    def clean_up(self):
        self.over.set()
        if self.daemon:
            if self.daemon.process.poll() is None:
                self.daemon.signal(signal.SIGCONT)
            self.daemon.kill()
        for server in [*self.servers]:
            server.kill()
        self.events.close()

    def judge_logs(self):
        problems = []
        text = self.daemon.log.read_bytes()
        for bad in (b"Sanitizer", b"runtime error", b"assertion", b"Assertion"):
            if bad in text:
                problems.append(f"{bad.decode()} in posed's log")
        if self.secrets.found_in(text):
            problems.append("a password is in posed's log")
        return problems


def summary(soak, problems):
    ok, memory = soak.judge_memory() if soak.points else (False, "memory was not looked at")
    if not ok:
        problems.append(memory if soak.points else "not one pause")
    lines = [f"seed {soak.options.seed}, {(time.monotonic() - soak.begin) / 60:.1f} minutes, "
             f"engine {soak.options.engine}, log {soak.dir}"]
    if getattr(soak, "chaos", None):
        lines.append(f"{sum(soak.chaos.counts.values())} faults: "
                     + ", ".join(f"{n} {name}" for name, n in sorted(soak.chaos.counts.items())))
    lines.append(memory)
    if soak.points:
        lines.append(f"files {soak.points[0][2]} at first, {soak.points[-1][2]} at last; "
                     f"threads {soak.points[0][3]} and {soak.points[-1][3]}")
    if hasattr(soak, "equation"):
        decoded, told, unseen = soak.equation
        lines.append(f"{decoded} frames decoded = {told} told as line or gap + {unseen} before the first line")
    lines.append(", ".join(f"{one.name}: {one.visits} visits" for one in getattr(soak, "company", [])))
    lines += [f"FAILED: {p if len(p) < 500 else p[:150] + ' ... ' + p[-150:]}" for p in problems] or ["PASSED"]
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(prog="soak", description=__doc__.split("\n\n")[0])
    parser.add_argument("posed", help=argparse.SUPPRESS)
    parser.add_argument("--hours", type=float, default=1, help="how long (default 1)")
    parser.add_argument("--seed", type=int, default=None, help="of all that is random (default: another each time)")
    parser.add_argument("--every", type=float, default=3, help="seconds between faults on average (default 3)")
    parser.add_argument("--engine", default="null", help="null (default), onednn, ...")
    parser.add_argument("--width", type=int, default=128, help="of the network's input (default 128)")
    parser.add_argument("--height", type=int, default=96, help="of the network's input (default 96)")
    parser.add_argument("--log", type=pathlib.Path, help="folder to make for the logs (default: a new one in /tmp)")
    parser.add_argument("--preload", help="a library to load into posed: for tests of this script")
    options = parser.parse_args()
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(1 << 32)
    if options.log:
        options.log.mkdir(parents=True)
    folder = options.log or pathlib.Path(tempfile.mkdtemp(prefix="posed-soak-"))
    soak = Soak(options, folder.resolve())
    soak.say(f"seed {options.seed}, {options.hours} hours, log in {folder}")
    problems = []
    for number in (signal.SIGINT, signal.SIGTERM):  # ends it early; what was seen so far is judged
        signal.signal(number, lambda *_: soak.enough.set())
    try:
        soak.run()
    except (Failure, Leaked, AssertionError, OSError, subprocess.CalledProcessError) as error:
        problems.append(str(error))
    finally:
        soak.over.set()
        if soak.daemon:
            problems += soak.judge_logs()
        text = summary(soak, problems)
        (folder / "summary").write_text(text + "\n")
        print(text, flush=True)
        soak.clean_up()
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
