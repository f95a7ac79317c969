#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Clients that make mistakes, are a nuisance or too many: what posed does to them, and that nobody else notices.

usage: test_clients.py POSED"""
import json
import os
import random
import resource
import select
import socket
import subprocess
import sys
import time
import unittest

from daemon import PATIENCE, POSED, Case, live, wait_for

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


class Clients(Case):
    def test_bad_lines_are_answered_and_change_nothing(self):
        daemon = self.daemon({"a": live()})
        client = self.client(daemon)
        for bad in (b"\n", b"{}\n", b"[]\n", b"nonsense\n", b"\xff\xfe\x00\n", b'{"request":"fly"}\n', b'"\\ud800"\n',
                    b'{"subscribe":1}\n', b'{"subscribe":{"cameras":7}}\n', b'{"subscribe":{"types":["x"]}}\n',
                    b'{"subscribe":{"types":[]}}\n', b'{"subscribe":{"max_fps":-1}}\n', b'{"subscribe":{"max_fps":0}}\n',
                    b'{"subscribe":{"cameras":["' + b"x" * 64 + b'"]}}\n', b'{"request":"ping","n":"x"}\n'):
            client.send(bad)
            if bad != b"\n":
                self.assertEqual(client.read()["type"], "error", bad)
        client.send(b'{"request":"ping","n":1,"later":true}\n{"request":"pi')
        self.assertEqual(client.read()["n"], 1)
        client.send(b'ng","n":2}\r\n')
        self.assertEqual(client.read()["n"], 2)

    def test_a_line_too_long_ends_the_connection(self):
        daemon = self.daemon({"a": live()})
        client = self.client(daemon)
        client.send(b"x" * 5000)
        self.assertEqual(client.read()["type"], "error")
        self.assertEqual(client.read()["reason"], "line too long")
        self.assertIsNone(client.read())

    def test_it_does_so_though_lines_come_quicker_than_they_are_read(self):
        daemon = self.daemon({c: live(100) for c in "abcdefgh"})
        client = self.client(daemon)
        client.subscribe()
        time.sleep(2)  # until much waits
        client.send(b"x" * 4096)
        end = time.monotonic() + PATIENCE
        while data := client.socket.recv(4096):
            client.rest += data
            self.assertLess(time.monotonic(), end, "still served")
            time.sleep(0.02)
        client.read_to_end()
        self.assertEqual(client.bye["reason"], "line too long")
        self.assertEqual(client.bye["client"]["delivered"], sum(client.delivered.values()))
        self.assertEqual(client.bye["client"]["lost"], sum(client.lost.values()))

    def test_who_asks_without_reading_is_bounded(self):
        daemon = self.daemon({"a": live()})
        client = self.client(daemon)
        client.socket.setblocking(False)
        sent = 0
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            try:
                sent += client.socket.send(b'{"request":"metrics"}\n' * 100)
            except BlockingIOError:
                time.sleep(0.01)
        other = self.client(daemon)
        self.assertLess(other.status()[1]["latency_ms"]["p99"], 1000)
        with open(f"/proc/{daemon.process.pid}/status") as f:
            rss = next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))
        self.assertLess(sent, 4 << 20)
        if not os.environ.get("POSED_SANITIZED"):
            self.assertLess(rss, 200_000)

    def test_one_too_many_is_turned_away(self):
        daemon = self.daemon({"a": live()}, config={"max_clients": 2})
        kept = [self.client(daemon) for _ in range(2)]
        s = socket.socket(socket.AF_UNIX)
        self.addCleanup(s.close)
        s.settimeout(PATIENCE)
        s.connect(str(daemon.path))
        line = json.loads(s.makefile().readline())
        self.assertEqual((line["type"], line["reason"]), ("bye", "too many clients"))
        kept[0].close()
        wait_for("a place", lambda: self.can_connect(daemon))

    def test_posectl_says_that_it_waits(self):
        path = os.path.join(self.folder.name, "mute")
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path)
            server.listen()
            posectl = subprocess.Popen([POSED.with_name("posectl"), "--socket", path, "status"], text=True,
                                       stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            self.addCleanup(posectl.stderr.close)
            self.addCleanup(posectl.wait)
            self.addCleanup(posectl.kill)
            self.assertTrue(select.select([posectl.stderr], [], [], PATIENCE)[0])
            self.assertIn(f"{path}: no answer yet", posectl.stderr.readline())

    def test_posectl_says_why_it_is_turned_away(self):
        s = socket.socket(socket.AF_UNIX)
        self.addCleanup(s.close)
        path = self.folder.name + "/s"
        s.bind(path)
        s.listen()
        posectl = subprocess.Popen([POSED.with_name("posectl"), "--socket", path, "status"], stderr=subprocess.PIPE,
                                   text=True)
        connection, _ = s.accept()
        connection.sendall(b'{"type":"bye","reason":"too many open files"}\n')
        connection.close()
        self.assertIn("the daemon says: too many open files", posectl.communicate(timeout=PATIENCE)[1])
        self.assertEqual(posectl.returncode, 1)

    def test_posectl_does_not_watch_without_a_name_that_cannot_be_sent(self):
        daemon = self.daemon({"a": live()})
        self.client(daemon)
        done = subprocess.run([POSED.with_name("posectl"), "--socket", daemon.path, "watch", "--count", "1", "a",
                               b"caf\xe9"], capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("are they UTF-8?", done.stderr)

    def can_connect(self, daemon):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(PATIENCE)
            s.connect(str(daemon.path))
            return json.loads(s.makefile().readline())["type"] == "hello"

    def test_many_come_and_go(self):
        daemon = self.daemon({"a": live(100)})
        watcher = self.client(daemon)
        watcher.subscribe()
        fds = len(os.listdir(f"/proc/{daemon.process.pid}/fd"))
        for i in range(200):
            client = daemon.client()
            client.send({"subscribe": {"cameras": "*"}})
            if i % 2:
                client.read()
            client.close()
        watcher.send({"request": "ping"})
        watcher.read_until("pong")
        wait_for("closed connections", lambda: len(os.listdir(f"/proc/{daemon.process.pid}/fd")) <= fds)
        self.assertEqual(watcher.lost.get("a", 0) + watcher.delivered["a"],
                         watcher.next["a"] - watcher.first["a"])


if __name__ == "__main__":
    sys.argv.pop(1)
    unittest.main(verbosity=2)
