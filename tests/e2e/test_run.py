#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`posed run` with the null engine on synthetic cameras: its lines, its socket, and how it ends.

usage: test_run.py POSED"""
import signal
import socket
import stat
import subprocess
import sys
import time
import unittest

from daemon import PATIENCE, POSED, Case, finite, live, pattern, wait_for


class Lines(Case):
    def test_every_kind_of_line_is_as_the_schema_says(self):
        daemon = self.daemon({"a": live(track=True, smooth=2), "b": finite(10), "nowhere": {"url": "/no/such.mp4"}})
        client = self.client(daemon)
        self.assertEqual(client.hello["cameras"], ["a", "b", "nowhere"])
        self.assertEqual(len(client.hello["skeleton"]["keypoints"]), 18)
        self.assertEqual(client.subscribe()["unknown"], [])
        pose = client.read_until("pose", camera="a")
        self.assertEqual(len(pose["people"]), 3)
        self.assertEqual(sorted(p["id"] for p in pose["people"]), [1, 2, 3])
        down = client.read_until("status", camera="nowhere", state="down")
        self.assertNotEqual(down["reason"], "")
        client.read_while(lambda: client.state.get("b") != "ended")
        client.send({"request": "ping", "n": 7})
        self.assertEqual(client.read_until("pong")["n"], 7)
        client.send({"request": "metrics"})
        text = client.read_until("metrics")["text"]
        self.assertIn('posed_camera_up{camera="a"} 1', text)
        self.assertIn("posed_stage_seconds_bucket", text)
        cameras, whole = client.status()
        self.assertEqual(set(cameras), {"a", "b", "nowhere"})
        self.assertEqual(cameras["b"]["numbers"]["decoded"], 10)
        self.assertEqual(whole["cameras"]["all"], 3)
        daemon.signal(signal.SIGTERM)
        client.read_to_end()
        self.assertIsNotNone(client.bye)

    def test_subscriptions_choose_cameras_and_types(self):
        daemon = self.daemon({"a": live(), "b": live(), "c": live()})
        only_b = self.client(daemon)
        self.assertEqual(only_b.subscribe(["b", "x"], types=["pose"])["unknown"], ["x"])
        states = self.client(daemon)
        states.subscribe(types=["status"])
        for _ in range(20):
            line = only_b.read()
            self.assertIn(line["type"], ("pose", "gap"))
            self.assertEqual(line["camera"], "b")
        self.assertEqual({states.read_until("status")["camera"] for _ in range(3)}, {"a", "b", "c"})
        states.send({"request": "ping"})
        states.read_until("pong")
        self.assertNotIn("pose", states.types)

    def test_max_fps_thins_and_says_so(self):
        daemon = self.daemon({"a": live(50)})
        client = self.client(daemon)
        begin = time.monotonic()  # earlier than the first line, so that who reads late measures more and not less
        client.subscribe(max_fps=10, types=["pose"])
        client.read_until("pose")
        for _ in range(15):
            client.read_until("pose")
        self.assertGreater(time.monotonic() - begin, 1.2)
        numbers = client.status()[1]["client"]
        self.assertGreater(numbers["thinned"], 0)
        daemon.signal(signal.SIGTERM)
        client.read_to_end()
        final = client.bye["client"]
        self.assertEqual(final["delivered"], client.delivered["a"])
        self.assertEqual(final["lost"], client.lost.get("a", 0))

    def test_half_a_close_is_still_served(self):
        daemon = self.daemon({"a": live()})
        client = self.client(daemon)
        client.send(b'{"request":"ping","n":1}')  # no newline: the end ends it
        client.socket.shutdown(socket.SHUT_WR)
        self.assertEqual(client.read()["n"], 1)
        self.assertIsNone(client.read())
        client = self.client(daemon)
        client.send({"subscribe": {"cameras": "*"}})
        client.socket.shutdown(socket.SHUT_WR)
        for _ in range(3):
            client.read_until("pose")


class Socket(Case):
    def run_once(self, daemon):
        done = subprocess.run([POSED, "run", "--config", daemon.dir / "posed.json"], capture_output=True, text=True,
                              timeout=PATIENCE)
        return done.returncode, done.stderr

    def test_taken_by_a_living_daemon(self):
        daemon = self.daemon({"a": live()})
        client = self.client(daemon)
        code, text = self.run_once(daemon)
        self.assertEqual(code, 1)
        self.assertEqual(len(text.splitlines()), 1, text)
        self.assertIn("running daemon", text)
        client.send({"request": "ping"})
        client.read_until("pong")

    def test_left_by_a_dead_one(self):
        daemon = self.daemon({"a": live()})
        self.client(daemon)
        daemon.kill()
        self.assertTrue(daemon.path.exists())
        daemon.start()
        client = self.client(daemon)
        client.subscribe()
        client.read_until("pose")
        self.assertEqual(daemon.stop()[0], 0)
        self.assertFalse(daemon.path.exists())

    def test_paths_that_cannot_be(self):
        daemon = self.daemon({"a": live()}, start=False)
        for path, word, code in (("/tmp/" + "x" * 120, "bytes", 78), (str(daemon.dir / "no" / "s"), "folder", 1),
                                 (str(daemon.dir / "posed.json"), "no socket", 78)):
            daemon.config["socket"] = path
            daemon.write_config()
            got, text = self.run_once(daemon)
            self.assertEqual((got, len(text.splitlines())), (code, 1), text)
            self.assertIn(word, text)
            self.assertTrue((daemon.dir / "posed.json").is_file())

    def test_its_mode_is_as_configured(self):
        daemon = self.daemon({"a": live()}, config={"socket_mode": "0640"})
        self.client(daemon)
        self.assertEqual(stat.S_IMODE(daemon.path.stat().st_mode), 0o640)


class Ends(Case):
    def end(self, number):
        """Seconds that the end of a daemon with work and clients takes."""
        daemon = self.daemon({c: live() for c in "abcd"}, env={"POSED_NULL_BATCH_MS": "100"})
        clients = [self.client(daemon) for _ in range(3)]
        for client in clients[1:]:
            client.subscribe()
        clients[1].read_until("pose")
        code, seconds = daemon.stop(number)
        self.assertEqual(code, 0)
        for client in clients:
            client.read_to_end()
            self.assertIsNotNone(client.bye)
            client.close()
        return seconds

    def test_sigterm_is_quick_and_says_bye(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            self.assert_quick(1.0, lambda number=number: self.end(number))

    def end_while_it_starts(self, number):
        daemon = self.daemon({"a": live()}, env={"POSED_NULL_OPEN_MS": "60000"})
        wait_for("a socket", daemon.path.exists)
        code, seconds = daemon.stop(number)
        self.assertEqual(code, 0)
        self.assertFalse(daemon.path.exists())
        return seconds

    def test_a_start_that_takes_long_ends_at_once(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            self.assert_quick(1.0, lambda number=number: self.end_while_it_starts(number))

    def end_of_a_long_batch(self):
        daemon = self.daemon({"a": live()}, env={"POSED_NULL_FRAME_MS": "1500"})
        client = self.client(daemon)
        client.subscribe()
        wait_for("frames", lambda: client.status()[0]["a"]["numbers"]["decoded"] > 1)
        code, seconds = daemon.stop()
        self.assertEqual(code, 0)
        client.read_to_end()
        self.assertIsNotNone(client.bye)
        self.assertGreater(client.lost["a"], 0)
        return seconds

    def test_a_batch_that_hangs_does_not_hold_the_end(self):
        self.assert_quick(1.2, self.end_of_a_long_batch, sanitized=2.0)

    def end_of_files_that_wait(self):
        """Whether somebody had to be left behind."""
        daemon = self.daemon({f"c{i}": {"url": pattern()} for i in range(30)}, config={"batch": 1},
                             env={"POSED_NULL_BATCH_MS": "50"})
        client = self.client(daemon)
        wait_for("files that wait for room",
                 lambda: all(c["numbers"]["decoded"] > 8 for c in client.status()[0].values()))
        code, _ = daemon.stop()
        self.assertEqual(code, 0)
        return "left behind" in daemon.log.read_text()

    def test_files_that_wait_for_the_engine_do_not_hold_the_end(self):
        self.assertFalse(all(self.end_of_files_that_wait() for _ in range(3)))  # a busy machine may take the time

    def test_mistakes_in_the_configuration_are_all_told(self):
        daemon = self.daemon({"a": live(), "b": {"url": 7}, "c": {"urrl": "x"}}, config={"batch": 99}, start=False)
        done = subprocess.run([POSED, "run", "--config", daemon.dir / "posed.json"], capture_output=True, text=True,
                              timeout=PATIENCE)
        self.assertEqual(done.returncode, 78)
        for word in ("batch", "b.json", "c.json"):
            self.assertIn(word, done.stderr)

    def test_a_network_that_is_none(self):
        daemon = self.daemon({"a": live()}, start=False)
        daemon.config["network"] = str(daemon.dir / "posed.json")
        daemon.write_config()
        done = subprocess.run([POSED, "run", "--config", daemon.dir / "posed.json"], capture_output=True, text=True,
                              timeout=PATIENCE)
        self.assertEqual((done.returncode, len(done.stderr.splitlines())), (78, 1), done.stderr)

    def test_wrong_usage(self):
        for args in (["--nonsense"], ["camera"]):
            self.assertEqual(subprocess.run([POSED, "run", *args], capture_output=True).returncode, 2)
        self.assertEqual(subprocess.run([POSED, "run", "--help"], capture_output=True).returncode, 0)


if __name__ == "__main__":
    sys.argv.pop(1)
    unittest.main(verbosity=2)
