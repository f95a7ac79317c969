#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What `posed run` tells the service manager, and when it stops telling it.

usage: test_notify.py POSED"""
import contextlib
import os
import socket
import sys
import time
import unittest

from daemon import PATIENCE, Case, finite, live, wait_for


class Watchdog(Case):
    """What the service manager hears. WatchdogSec= is 2 s, so 3 s without a frame coming out are a fault."""
    def listen(self):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(s.close)
        path = os.path.join(self.folder.name, "notify")
        s.bind(path)
        s.settimeout(PATIENCE)
        return s, {"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "2000000"}

    def hear(self, s, seconds):
        """What came within so many seconds."""
        words, end = [], time.monotonic() + seconds
        while True:
            s.settimeout(max(0, end - time.monotonic()))
            try:
                words += s.recv(4096).decode().splitlines()
            except (TimeoutError, BlockingIOError):
                return words

    def wait_for_log(self, daemon, s, words):
        """Hears everything until then: a daemon whom nobody hears has to wait after about ten words."""
        def told():
            self.hear(s, 0)
            return words in daemon.log.read_text()
        wait_for(words, told)
        self.hear(s, 0)

    def start(self, cameras, env):
        s, more = self.listen()
        daemon = self.daemon(cameras, env={**env, **more})
        self.client(daemon)
        if "READY=1" not in self.hear(s, 1):
            self.skipTest("built without systemd")
        return daemon, s

    def test_a_manager_that_hears_nothing_holds_nobody_up(self):
        _, more = self.listen()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
            other.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    other.sendto(b"", more["NOTIFY_SOCKET"])
        daemon = self.daemon({"a": live()}, env=more)
        client = self.client(daemon)
        client.subscribe()
        client.read_while(lambda: client.delivered.get("a", 0) < 60)  # of two seconds: it tells something each second
        self.assertEqual(daemon.stop()[0], 0)

    def test_it_starves_when_the_engine_hangs_though_cameras_go_on(self):
        daemon, s = self.start({"a": live(), "b": live()}, {"POSED_NULL_HANG_AFTER": "40"})
        client = self.client(daemon)
        # The first complaint may be that no frames come out, which is seen a look earlier; the next is 10 s later.
        self.wait_for_log(daemon, s, "the service manager is left to restart the daemon")
        dropped = client.status()[0]["a"]["numbers"]["dropped"]
        words = self.hear(s, 2.5)
        self.assertTrue(any(w.startswith("STATUS=2/2") for w in words), words)
        self.assertNotIn("WATCHDOG=1", words)
        self.assertGreater(client.status()[0]["a"]["numbers"]["dropped"], dropped)
        self.wait_for_log(daemon, s, "no batch has come out")
        self.assertEqual(daemon.stop()[0], 0)

    def test_it_starves_when_one_of_two_devices_hangs(self):
        s, more = self.listen()
        daemon = self.daemon({f"c{i}": live(rate=10) for i in range(8)}, config={"devices": [0, 1], "batch": 1},
                             env={"POSED_NULL_HANG_AFTER": ",30", **more})
        client = self.client(daemon)
        client.subscribe()
        if "READY=1" not in self.hear(s, 1):
            self.skipTest("built without systemd")
        self.wait_for_log(daemon, s, "no batch has come out of none: canned maps (device 1)")
        self.assertNotIn("WATCHDOG=1", self.hear(s, 2.5))
        daemon.kill()

    def test_it_is_fed_when_every_camera_is_down_or_ended(self):
        daemon, s = self.start({"a": finite(5), "nowhere": {"url": "/no/such.mp4"}}, {})
        self.hear(s, 3)
        words = self.hear(s, 2.5)
        self.assertTrue(any(w.startswith("STATUS=0/2") for w in words), words)
        self.assertIn("WATCHDOG=1", words)
        self.assertNotIn("the service manager is left", daemon.log.read_text())


if __name__ == "__main__":
    sys.argv.pop(1)
    unittest.main(verbosity=2)
