#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`posed run` and its socket, with the null engine on synthetic cameras.

usage: test_run.py POSED"""
import contextlib
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
import unittest

from daemon import NETWORK, PATIENCE, POSED, Case, finite, live, stop_and_read_to_end, wait_for


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


class Reload(Case):
    def lost_nothing_else(self, client, numbers):
        """Of camera a, but what the queue dropped. That is told behind a later line, and what was dropped before the
        first line never: until then the count is ahead."""
        self.assertEqual(numbers["failed"], 0)
        self.assertLessEqual(client.lost.get("a", 0), numbers["dropped"])
        client.read_while(lambda: client.next["a"] <= numbers["decoded"])
        self.assertGreaterEqual(client.first["a"] - 1 + client.lost.get("a", 0), numbers["dropped"])

    def test_cameras_come_change_and_go_and_the_others_lose_nothing(self):
        daemon = self.daemon({"a": live(), "b": live(), "c": live()})
        client = self.client(daemon)
        client.subscribe()
        for camera in "abc":
            client.read_until("pose", camera=camera)
        daemon.remove_camera("b")
        daemon.write_camera("c", live(track=True))
        daemon.write_camera("d", live())
        daemon.signal(signal.SIGHUP)
        client.read_until("status", camera="b", state="removed")
        client.read_until("pose", camera="d")
        client.read_while(lambda: client.state.get("c") != "up")
        while "id" not in client.read_until("pose", camera="c")["people"][0]:
            pass  # lines of before; that their numbers go on is checked with every line
        cameras, _ = client.status()
        self.assertEqual(set(cameras), {"a", "c", "d"})
        self.lost_nothing_else(client, cameras["a"]["numbers"])
        numbers = cameras["c"]["numbers"]
        # One on its way to the queue, one there, and one in each of a device's four batches.
        under_way = numbers["decoded"] - numbers["published"] - numbers["dropped"] - numbers["failed"]
        self.assertLessEqual(under_way, 6)

    def test_counts_go_on_through_it(self):
        daemon = self.daemon({"a": live(max_fps=5)})
        client = self.client(daemon)
        numbers = wait_for("frames above max_fps", lambda: self.enough(client.status()[0]["a"]["numbers"]))
        daemon.write_camera("a", live(max_fps=5, track=True))
        daemon.signal(signal.SIGHUP)
        wait_for("the reload", lambda: "1 restarted" in daemon.log.read_text())
        while client.status()[0]["a"]["state"] != "up":
            pass
        after = client.status()[0]["a"]["numbers"]
        for name in ("decoded", "published", "dropped", "failed", "corrupt", "skipped", "reconnects"):
            self.assertGreaterEqual(after[name], numbers[name], name)

    def enough(self, numbers):
        return numbers if numbers["skipped"] > 30 else None

    def test_what_the_command_line_says_has_not_changed(self):
        daemon = self.daemon({}, config={"socket": "/nowhere/s", "engine": "auto", "network": "/nowhere/network.onnx"},
                             start=False)
        daemon.args = ["--socket", daemon.path, "--engine", "null", "--network", NETWORK]
        daemon.start()
        self.client(daemon)
        daemon.signal(signal.SIGHUP)
        wait_for("the reload", lambda: "0 removed" in daemon.log.read_text())
        self.assertNotIn("has changed", daemon.log.read_text())

    def test_what_waits_for_a_restart_is_told_until_it_is_taken_back(self):
        daemon = self.daemon({})
        self.client(daemon)
        for n, (width, told) in enumerate(((64, 1), (64, 2), (456, 2))):
            daemon.config["width"] = width
            daemon.write_config()
            daemon.signal(signal.SIGHUP)
            wait_for("the reload", lambda: daemon.log.read_text().count("0 removed") == n + 1)
            self.assertEqual(daemon.log.read_text().count("width has changed"), told)

    def test_one_that_is_asked_for_while_the_engine_starts_is_not_forgotten(self):
        daemon = self.daemon({"a": live()}, env={"POSED_NULL_BATCH_MS": "1500"})  # the start waits for a batch
        wait_for("the socket, which comes after the configuration", daemon.path.exists)
        daemon.write_camera("b", live())
        daemon.signal(signal.SIGHUP)
        client = self.client(daemon)
        wait_for("the camera", lambda: "b" in client.status()[0])

    def test_a_bad_file_leaves_everything(self):
        daemon = self.daemon({"a": live()})
        client = self.client(daemon)
        client.subscribe()
        client.read_until("pose")
        daemon.remove_camera("a")
        daemon.write_camera("b", live())
        (daemon.cameras_dir / "c.json").write_text("{")
        daemon.signal(signal.SIGHUP)
        wait_for("the complaint", lambda: "nothing was changed" in daemon.log.read_text())
        self.assertEqual(set(client.status()[0]), {"a"})
        client.read_until("pose", camera="a")
        (daemon.cameras_dir / "c.json").unlink()
        daemon.signal(signal.SIGHUP)
        client.read_until("pose", camera="b")

    def test_the_end_may_come_while_removed_cameras_are_on_their_way_out(self):
        daemon = self.daemon({f"c{i}": live() for i in range(24)})
        client = self.client(daemon)
        client.subscribe(["c0"])
        client.read_until("pose")
        for i in range(1, 24):
            daemon.remove_camera(f"c{i}")
        daemon.signal(signal.SIGHUP)
        wait_for("the reload", lambda: "23 removed" in daemon.log.read_text())
        code, _ = daemon.stop()
        self.assertEqual(code, 0)
        client.read_to_end()
        self.assertIsNotNone(client.bye)

    def test_a_storm_of_reloads(self):
        daemon = self.daemon({"a": live(), "b": live()})
        client = self.client(daemon)
        client.subscribe(["a"])
        client.read_until("pose")
        for i in range(40):
            daemon.write_camera("b", live(max_fps=5 + i))
            daemon.signal(signal.SIGHUP)
            time.sleep(0.01)
        wait_for("a quiet camera", lambda: client.status()[0].get("b", {}).get("state") == "up")
        self.lost_nothing_else(client, client.status()[0]["a"]["numbers"])
        self.assertEqual(daemon.stop()[0], 0)


if __name__ == "__main__":
    sys.argv.pop(1)
    unittest.main(verbosity=2)
