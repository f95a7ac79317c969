#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What subscribers of `posed run` are told of cameras that freeze, die, come back and refuse a password, or find no
descriptor, while another camera beside them goes on. The cameras are gst-rtsp-server's.

usage: test_cameras.py POSED"""
import base64
import json
import os
import re
import resource
import signal
import subprocess
import time
import unittest
import urllib.parse

from daemon import PATIENCE, ROOT, Case

# Processes of a busy machine, and of a sanitizer, get their turn late.
SLACK = 10 if os.environ.get("POSED_SANITIZED") else 3
# Seconds from the next try, which the status line announces, to a picture.
BACK = 12 if os.environ.get("POSED_SANITIZED") else 5
SERVER = ROOT / "tests" / "decode" / "rtsp_server.py"


class Server:
    def __init__(self, test, *login):
        self.port, self.login = 0, login
        self.start(test)
        test.addCleanup(self.kill)

    def start(self, test):
        self.process = subprocess.Popen(["/usr/bin/python3", SERVER, str(self.port), *self.login],
                                        stdout=subprocess.PIPE)
        line = self.process.stdout.readline()
        if not line:
            self.kill()
            test.skipTest("gst-rtsp-server is not installed (see scripts/packages)")
        self.port = int(line)

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def url(self, path="cam"):
        return f"rtsp://127.0.0.1:{self.port}/{path}"


class Watching:
    """Reads a client's status lines of one camera, and keeps all its bytes."""

    def __init__(self, client):
        self.client, self.text = client, b""
        self.retry_s = {}  # of each camera's last line that told when it is tried again
        line = client.raw_line
        client.raw_line = lambda: self.keep(line())

    def keep(self, line):
        self.text += line or b""
        if b'"retry_s"' in (line or b""):
            status = json.loads(line)
            self.retry_s[status["camera"]] = status["retry_s"]
        return line

    def wait(self, camera, state):
        """The line and the seconds until it came."""
        begin = time.monotonic()
        while True:
            line = self.client.read()
            assert line is not None, "the daemon hung up"
            if line["type"] == "status" and "numbers" not in line and (line["camera"], line["state"]) == (camera, state):
                return line, time.monotonic() - begin
            assert time.monotonic() - begin < PATIENCE, f"{camera} is not {state}: last {line}"


class Cameras(Case):
    def wait_until_back(self, watching, camera):
        took = watching.wait(camera, "up")[1]
        self.assertLess(took, watching.retry_s[camera] + BACK)
        return took

    def test_one_freezes_and_dies_and_the_other_goes_on(self):
        witness, victim = Server(self), Server(self)
        daemon = self.daemon({"good": {"url": witness.url()}, "bad": {"url": victim.url()},
                              "udp": {"url": victim.url("jpeg"), "transport": "udp"}})
        client = self.client(daemon)
        watching = Watching(client)
        client.subscribe()
        for camera in daemon.cameras_dir.iterdir():
            client.read_while(lambda: client.delivered.get(camera.stem, 0) < 3)

        victim.process.send_signal(signal.SIGSTOP)
        down, took = watching.wait("bad", "down")
        self.assertRegex(down["reason"], r"timed out after \d+\.\d s in read")
        self.assertLess(took, 3.5 + SLACK)
        self.assertTrue(0.5 < down["retry_s"] <= 1.2, down)
        if client.state["udp"] != "down":
            watching.wait("udp", "down")
        victim.process.send_signal(signal.SIGCONT)
        back = [self.wait_until_back(watching, "bad")]
        if client.state["udp"] != "up":
            watching.wait("udp", "up")

        self.assertIsNone(victim.process.poll())
        victim.kill()
        down, died = watching.wait("bad", "down")
        self.assertLess(died, 1 + SLACK)
        self.assertTrue(0.5 < down["retry_s"] <= 1.2, down)
        victim.start(self)
        back.append(self.wait_until_back(watching, "bad"))
        print(f"# frozen told after {took:.2f} s, dead after {died:.2f} s, back after {back[0]:.2f} s and "
              f"{back[1]:.2f} s", flush=True)

        numbers = client.status()[0]
        self.assertEqual(numbers["good"]["state"], "up")
        self.assertEqual(numbers["good"]["numbers"]["reconnects"], 0)
        self.assertEqual(numbers["good"]["numbers"]["corrupt"], 0)
        self.assertGreaterEqual(numbers["bad"]["numbers"]["reconnects"], 2)
        self.assertEqual(daemon.stop()[0], 0)
        log = daemon.log.read_text()
        self.assertEqual(len(re.findall(r"camera bad.*down: ", log)), 2, log)

    def test_without_descriptors_a_camera_waits_for_them_and_no_other_goes(self):
        witness, victim = Server(self), Server(self)
        daemon = self.daemon({"good": {"url": witness.url()}, "bad": {"url": victim.url()}})
        client = self.client(daemon)
        watching = Watching(client)
        client.subscribe()
        for camera in ("good", "bad"):
            client.read_while(lambda: client.delivered.get(camera, 0) < 3)
        pid = daemon.process.pid
        before = set(os.listdir(f"/proc/{pid}/fd"))
        limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (4, limits[1]))  # what is open stays, and nothing is added

        victim.kill()
        victim.start(self)
        end = time.monotonic() + PATIENCE
        while "too many open files" not in (down := watching.wait("bad", "down")[0])["reason"]:
            self.assertLess(time.monotonic(), end, down)
        self.assertLessEqual(down["retry_s"], 10)
        seen = client.delivered["good"]
        client.read_while(lambda: client.delivered["good"] < seen + 25)
        self.assertNotEqual(client.state["bad"], "up")
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
        self.wait_until_back(watching, "bad")

        numbers = client.status()[0]
        self.assertEqual((numbers["good"]["numbers"]["reconnects"], numbers["good"]["numbers"]["corrupt"]), (0, 0))
        self.assertLessEqual(len(os.listdir(f"/proc/{pid}/fd")), len(before))
        self.assertEqual(daemon.stop()[0], 0)

    def test_a_connection_that_lacks_one_descriptor_loses_none(self):
        """Two are there where RTP over UDP takes three: libavformat would forget the second one at every try."""
        server = Server(self)
        daemon = self.daemon({"udp": {"url": server.url(), "transport": "udp"}})
        client = self.client(daemon)
        watching = Watching(client)
        client.subscribe()
        client.read_while(lambda: client.delivered.get("udp", 0) < 3)
        pid = daemon.process.pid
        before = os.listdir(f"/proc/{pid}/fd")
        server.kill()
        watching.wait("udp", "down")
        limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        left = {int(fd) for fd in os.listdir(f"/proc/{pid}/fd")}
        free = [fd for fd in range(max(left) + 3) if fd not in left]
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (free[1] + 1, limits[1]))
        server.start(self)
        for _ in range(2):
            end = time.monotonic() + PATIENCE
            while "too many open files" not in (down := watching.wait("udp", "down")[0])["reason"]:
                self.assertLess(time.monotonic(), end, down)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
        self.wait_until_back(watching, "udp")
        self.assertLessEqual(len(os.listdir(f"/proc/{pid}/fd")), len(before))
        self.assertEqual(daemon.stop()[0], 0)

    def test_passwords_open_cameras_and_are_never_told(self):
        user, right, wrong = "ad min", "p@ss:w/rd%41?", "l3tm31n!"
        for way in ("basic", "digest"):
            with self.subTest(way):
                server = Server(self, way, user, right)
                for name, secret in (("right", right), ("wrong", wrong)):
                    path = self.folder.name + "/" + name
                    with open(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
                        file.write(secret + "\n")
                cameras = {name: {"url": server.url(), "username": user, "password_file": f"{self.folder.name}/{name}"}
                           for name in ("right", "wrong")}
                cameras["none"] = {"url": server.url()}
                daemon = self.daemon(cameras, config={"log_level": "debug"})
                client = self.client(daemon)
                watching = Watching(client)
                client.subscribe()
                reasons = {}
                while len(reasons) < 2 or client.delivered.get("right", 0) < 3:
                    line = client.read()
                    if line["type"] == "status" and line["state"] == "down":
                        reasons[line["camera"]] = line
                self.assertIn("user name or password refused (401)", reasons["wrong"]["reason"])
                self.assertIn("wants a user name and a password, and has none (401)", reasons["none"]["reason"])
                for line in reasons.values():
                    self.assertTrue(24 <= line["retry_s"] <= 36, line)
                client.send({"request": "metrics"})
                client.read_until("metrics")
                self.assertEqual(daemon.stop()[0], 0)
                told = daemon.log.read_bytes() + watching.text
                self.assertIn(b"camera wrong", told)
                for secret in (right, wrong):
                    for form in (secret, urllib.parse.quote(secret, safe=""), urllib.parse.quote(secret),
                                 base64.b64encode(f"{user}:{secret}".encode()).decode()):
                        self.assertNotIn(form.encode(), told)
                server.kill()


if __name__ == "__main__":
    unittest.main(argv=["test_cameras.py"], verbosity=2)
