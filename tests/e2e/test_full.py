# SPDX-License-Identifier: Apache-2.0
"""posed with as many cameras as there can be.

usage: test_full.py POSED"""
import signal
import sys
import unittest

from daemon import Case, pattern, wait_for

CAMERAS_MAX = 256
SLOW = {"url": pattern(rate=1, size="64x64"), "realtime": True}


class Full(Case):
    def test_a_camera_that_changes_finds_its_place_again(self):
        daemon = self.daemon({f"c{i:03}": SLOW for i in range(CAMERAS_MAX)})
        client = self.client(daemon)
        client.subscribe(["c007"])
        client.read_until("pose")
        daemon.write_camera("c007", {**SLOW, "track": True})
        daemon.signal(signal.SIGHUP)
        wait_for("the reload", lambda: "1 restarted" in daemon.log.read_text())
        while "id" not in client.read_until("pose")["people"][0]:
            pass
        self.assertEqual(len(client.status()[0]), CAMERAS_MAX)
        self.assertEqual(daemon.stop()[0], 0)

    def test_one_that_found_no_place_is_started_by_the_next_reload(self):
        daemon = self.daemon({f"c{i:03}": SLOW for i in range(CAMERAS_MAX)})
        client = self.client(daemon)
        client.subscribe()
        client.read_until("pose", camera="c007")
        daemon.remove_camera("c007")
        daemon.write_camera("d007", SLOW)
        daemon.signal(signal.SIGHUP)
        client.read_until("status", camera="c007", state="removed")
        self.assertIn("camera d007: at most 256 cameras; this camera is not watched", daemon.log.read_text())
        daemon.signal(signal.SIGHUP)
        client.read_until("pose", camera="d007")
        self.assertEqual(daemon.stop()[0], 0)


if __name__ == "__main__":
    sys.argv.pop(1)
    unittest.main(verbosity=2)
