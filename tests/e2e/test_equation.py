#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Nothing is lost untold, whatever is slow or fails: files, the engine, or who reads.

usage: test_equation.py POSED"""
import os
import sys
import time
import unittest

from daemon import Case, finite, live, stop_and_read_to_end


class Equation(Case):
    """published + gaps == decoded, for every camera and every subscriber."""

    def test_it_holds_for_files_to_the_last_frame(self):
        daemon = self.daemon({"a": finite(3000, realtime=False), "b": finite(500)}, args=["--exit-when-done"],
                             env={"POSED_NULL_BATCH_MS": "2"})
        client = self.client(daemon)
        client.subscribe()
        client.read_to_end()
        self.assertEqual(daemon.wait(), 0)
        for camera, frames in (("a", 3000), ("b", 500)):
            if camera in client.first:
                self.assertEqual(client.first[camera] - 1 + client.told(camera), frames)
        self.assertFalse(client.cut)
        self.assertEqual(client.bye["client"]["lost"], sum(client.lost.values()))
        self.assertEqual(set(client.state.values()), {"ended"})
        self.assertIn("3500 frames decoded, 3500 lines published", daemon.log.read_text())

    def test_it_holds_when_the_engine_is_too_slow(self):
        daemon = self.daemon({c: live(100) for c in "abc"}, env={"POSED_NULL_BATCH_MS": "60"})
        clients = [self.client(daemon) for _ in range(2)]
        for client in clients:
            client.subscribe()
        for client in clients:
            client.read_while(lambda: min(client.told(c) for c in "abc") < 150)
        cameras, _ = clients[0].status()
        stop_and_read_to_end(daemon, *clients)
        for client in clients:
            for camera in "abc":
                self.assertGreater(client.lost[camera], 0)
                decoded = client.next[camera] - 1
                self.assertEqual(client.first[camera] - 1 + client.told(camera), decoded)
                self.assertGreaterEqual(decoded, cameras[camera]["numbers"]["decoded"])
        self.assertEqual({c: clients[0].next[c] for c in "abc"}, {c: clients[1].next[c] for c in "abc"})

    def test_a_stalled_reader_loses_lines_and_nobody_else_does(self):
        daemon = self.daemon({c: live(200, max_fps=0) for c in "abcdefgh"})
        fast, stalled = self.client(daemon), self.client(daemon)
        for client in (fast, stalled):
            client.subscribe(types=["pose"])
        end = time.monotonic() + 2.5  # about 4000 lines of 1.2 kB: ten times what waits for one client
        while time.monotonic() < end:
            fast.read()
        queued = fast.status()[1]
        self.assertLess(queued["client"]["queued_bytes"], (256 + 32) * 1024)  # 256 of poses, and the answer itself
        stalled.read_while(lambda: sum(stalled.lost.values()) < 100)
        stop_and_read_to_end(daemon, fast, stalled)
        self.assertEqual(stalled.bye["client"]["lost"], sum(stalled.lost.values()))
        self.assertEqual(stalled.bye["client"]["delivered"], sum(stalled.delivered.values()))
        for camera in "abcdefgh":
            self.assertEqual(fast.next[camera], stalled.next[camera])

    def test_lines_of_a_slow_engine_are_fresh_and_every_camera_has_its_share(self):
        daemon = self.daemon({f"c{i}": live(50) for i in range(6)}, config={"batch": 1},
                             env={"POSED_NULL_BATCH_MS": "50"})
        client = self.client(daemon)
        client.subscribe()
        for _ in range(30):
            client.read_until("pose")
        before = dict(client.delivered)
        ages = [client.read_until("pose")["latency_ms"] for _ in range(90)]
        share = [n - before.get(c, 0) for c, n in client.delivered.items()]
        self.assertLessEqual(max(share) - min(share), 2, share)
        if not os.environ.get("POSED_SANITIZED"):  # the batch, and at most two frames' time in the queue before it
            self.assertLess(sorted(ages)[len(ages) // 2], 100)

    def test_frames_lost_to_the_engine_are_told(self):
        daemon = self.daemon({"a": live(50)}, env={"POSED_NULL_LOST_AFTER": "100"})
        client = self.client(daemon)
        client.subscribe()
        client.read_to_end()
        self.assertEqual(daemon.wait(), 75)
        self.assertGreater(client.lost.get("a", 0), 0)
        self.assertEqual(client.bye["client"]["lost"], client.lost["a"])

    def test_an_engine_that_hands_out_another_shape_is_given_up(self):
        daemon = self.daemon({"a": live(50)}, env={"POSED_NULL_SHAPE_AFTER": "100"})
        client = self.client(daemon)
        client.subscribe()
        client.read_to_end()
        self.assertEqual(daemon.wait(), 75)
        self.assertGreaterEqual(client.lost.get("a", 0), 9)
        self.assertRegex(daemon.log.read_text(), r"maps of 1\d{3}x\d+ with \d+ and \d+ channels, expected \d+x")


if __name__ == "__main__":
    sys.argv.pop(1)
    unittest.main(verbosity=2)
