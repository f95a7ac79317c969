#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Work shared out to several devices.

usage: test_devices.py POSED"""
import signal
import sys
import unittest

from daemon import Case, live


class Devices(Case):
    """Several devices, which the null engine poses as; that each camera's lines are in order is checked with every
    line."""
    def start(self, cameras, devices=2, **env):
        daemon = self.daemon(cameras, config={"devices": list(range(devices)), "batch": 2},
                             env={f"POSED_NULL_{key}": value for key, value in env.items()})
        client = self.client(daemon)
        client.subscribe()
        return daemon, client

    def test_each_does_what_it_can(self):
        daemon, client = self.start({f"c{i}": live(50) for i in range(6)}, BATCH_MS="40,8")
        client.read_while(lambda: sum(client.delivered.values()) < 400)
        whole = client.status()[1]
        slow, fast = whole["devices"]
        self.assertEqual((slow["device"][-10:], fast["device"][-10:]), ("(device 0)", "(device 1)"))
        self.assertGreater(slow["batches"], 5)
        self.assertGreater(fast["batches"], slow["batches"])
        self.assertGreater(slow["busy_s"], 0.04 * (slow["batches"] - 1) * 0.99)  # the last one's may be added just now
        self.assertGreater(min(client.delivered.values()), 30)
        client.send({"request": "metrics"})
        text = client.read_until("metrics")["text"]
        self.assertIn('posed_device_batches_total{device="none: canned maps (device 1)"}', text)
        self.assertEqual(text.count("posed_engine_info{"), 2)
        daemon.signal(signal.SIGTERM)
        client.read_to_end()
        self.assertIsNotNone(client.bye)

    def test_a_failed_batch_is_counted_and_the_rest_stays_in_order(self):
        daemon, client = self.start({f"c{i}": live(50) for i in range(4)}, BATCH_MS="30,7", FAIL_EVERY="5,4")
        before = client.status()[1]["frames"]["failed"]  # of which a client that comes late is not told
        client.read_while(lambda: sum(client.delivered.values()) < 300)
        cameras, whole = client.status()
        self.assertGreater(whole["frames"]["failed"] - before, 10)
        self.assertTrue(all(d["failed_batches"] for d in whole["devices"]), whole["devices"])
        daemon.signal(signal.SIGTERM)
        client.read_to_end()
        failed = whole["frames"]["failed"] - before
        self.assertGreaterEqual(sum(client.lost.values()), failed - len(cameras) * 3)

    def test_one_that_is_lost_is_the_end(self):
        daemon, client = self.start({"a": live(50)}, devices=3, LOST_AFTER=",,20")
        client.read_to_end()
        self.assertEqual(daemon.wait(), 75)
        self.assertIn("the device is lost", daemon.log.read_text())

    def end(self):
        daemon, client = self.start({f"c{i}": live() for i in range(4)}, devices=8, FRAME_MS="150")
        client.read_until("pose")
        code, seconds = daemon.stop()
        self.assertEqual(code, 0)
        return seconds

    def test_the_end_is_quick_with_batches_on_every_one(self):
        self.assert_quick(1.2, self.end)


if __name__ == "__main__":
    sys.argv.pop(1)
    unittest.main(verbosity=2)
