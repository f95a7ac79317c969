#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Clients that are a nuisance, and too many of them: what posed does to them, and that nobody else notices.

usage: test_clients.py POSED"""
import json
import os
import random
import resource
import socket
import sys
import time
import unittest

from daemon import PATIENCE, Case, live, wait_for

SANITIZED = bool(os.environ.get("POSED_SANITIZED"))


def memory_kb(daemon):
    with open(f"/proc/{daemon.process.pid}/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))


def loop_seconds(daemon):
    """Processor time of the loop thread."""
    pid = daemon.process.pid
    with open(f"/proc/{pid}/task/{pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def open_files(daemon):
    return len(os.listdir(f"/proc/{daemon.process.pid}/fd"))


class Nuisances(Case):
    def connect(self, daemon):
        s = socket.socket(socket.AF_UNIX)
        self.addCleanup(s.close)
        s.settimeout(PATIENCE)
        s.connect(str(daemon.path))
        return s

    def watched_daemon(self, **more):
        """A daemon, and a subscriber with whose lines nothing may happen. Its buffers hold some five seconds of them:
        whoever may take longer lets it catch up."""
        daemon = self.daemon({"a": live(50)}, **more)
        watcher = self.client(daemon)
        watcher.subscribe()
        watcher.read_until("pose")
        return daemon, watcher

    def check(self, daemon, watcher):
        """The book-keeping of every line is in Client; here: the daemon still answers, and no line was lost to clients."""
        cameras, _ = watcher.status()
        numbers = cameras["a"]["numbers"]
        self.assertLessEqual(watcher.lost.get("a", 0), numbers["dropped"])

    def test_a_line_may_come_in_any_pieces(self):
        daemon, watcher = self.watched_daemon()
        client = self.client(daemon)
        for byte in b'{"request":"ping","n":1}\n{"request"':
            client.send(bytes([byte]))
        self.assertEqual(client.read_until("pong")["n"], 1)
        time.sleep(0.05)
        client.send(b':"ping","n":2}\n' + b'{"request":"ping","n":2}\n' * 299)
        for _ in range(300):
            self.assertEqual(client.read()["n"], 2)
        half = self.client(daemon)
        half.send(b'{"subscribe":{"cam')
        half.close()
        self.check(daemon, watcher)

    def test_ten_megabytes_without_a_newline(self):
        daemon, watcher = self.watched_daemon()
        watcher.read_while(lambda: watcher.next["a"] <= 96)  # the engine draws maps for 32 frames, 13 MB, when they come
        before = memory_kb(daemon)
        for _ in range(5):
            s = self.connect(daemon)
            sent = 0
            try:
                while sent < 10 << 20:
                    sent += s.send(b"x" * 65536)
            except (BrokenPipeError, ConnectionResetError):
                pass
            self.assertLess(sent, 2 << 20)  # closed after 4 KiB; what the socket's buffers hold went out before
        if not SANITIZED:
            self.assertLess(memory_kb(daemon) - before, 4096)
        self.check(daemon, watcher)

    def test_noise(self):
        daemon, watcher = self.watched_daemon()
        seed = int.from_bytes(os.urandom(4), "big")
        print(f"seed {seed}", file=sys.stderr)
        dice = random.Random(seed)
        for _ in range(20):
            s = self.connect(daemon)
            s.settimeout(0.2)
            data = dice.randbytes(200_000)
            if dice.random() < 0.5:
                data = data.replace(b"\x00", b"\n").replace(b"\x10", b"\n")
            try:
                s.sendall(data)
                while s.recv(65536):
                    pass
            except (TimeoutError, BrokenPipeError, ConnectionResetError):
                pass
            s.close()
            watcher.catch_up()
        self.check(daemon, watcher)

    def test_a_thousand_connects_at_once(self):
        daemon, watcher = self.watched_daemon()
        fds = open_files(daemon)
        begin = time.monotonic()
        for i in range(1000):
            with socket.socket(socket.AF_UNIX) as s:
                s.connect(str(daemon.path))
                if i % 3:
                    s.send(b'{"subscribe":{}}\n')
                if i % 100 == 99:
                    s.settimeout(PATIENCE)
                    self.assertIn(b'"type":"hello"', s.recv(64))
                    watcher.catch_up()
        print(f"1000 connects in {time.monotonic() - begin:.2f} s", file=sys.stderr)
        self.check(daemon, watcher)
        wait_for("closed connections", lambda: open_files(daemon) <= fds)

    def test_they_cannot_take_the_last_descriptors(self):
        daemon, watcher = self.watched_daemon()
        limit = 200
        resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, (limit, limit))
        kept, reasons = [], []
        for _ in range(limit):
            s = self.connect(daemon)
            kept.append(s)
            line = json.loads(s.makefile().readline())
            if line["type"] == "bye":
                reasons.append(line["reason"])
            watcher.catch_up()
        self.assertEqual(set(reasons), {"too many open files"})
        self.assertLess(open_files(daemon), limit - 60)
        daemon.write_camera("b", live())  # the clients are still there, and a camera finds what it needs
        daemon.signal(1)
        watcher.read_until("pose", camera="b")
        self.check(daemon, watcher)
        self.assertEqual(daemon.log.read_text().count("descriptors"), 1)
        for s in kept:
            s.close()
        wait_for("room for a client", lambda: self.greeted(daemon))

    def greeted(self, daemon):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(PATIENCE)
            s.connect(str(daemon.path))
            return json.loads(s.makefile().readline())["type"] == "hello"

    def test_without_any_descriptor_the_loop_goes_on_and_they_wait(self):
        daemon, watcher = self.watched_daemon()
        limits = resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, (4, limits[1]))
        waiting = [self.connect(daemon) for _ in range(3)]
        wait_for("the complaint", lambda: "clients have to wait" in daemon.log.read_text())
        before = loop_seconds(daemon)
        begin = time.monotonic()
        while time.monotonic() < begin + 1:
            watcher.read_until("pose")
        spent = loop_seconds(daemon) - before
        if not SANITIZED:
            self.assertLess(spent, 0.5)
        self.assertEqual(daemon.log.read_text().count("have to wait"), 1)
        resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, limits)
        for s in waiting:
            self.assertIn(b'"type":"hello"', s.recv(64))
        self.check(daemon, watcher)
        self.assertEqual(daemon.stop()[0], 0)


if __name__ == "__main__":
    sys.argv.pop(1)
    unittest.main(verbosity=2)
