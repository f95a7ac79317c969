#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The unit as it is installed, under a real systemd: a container whose /usr is this machine's own (systemd-nspawn).
READY, folders and user, credentials, reload, crash and watchdog restarts.

usage: test_systemd.py BUILD_ROOT PREFIX SYSCONFDIR HAVE_SYSTEMD"""
import json
import os
import pathlib
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import unittest

BUILD, PREFIX, SYSCONFDIR, SYSTEMD = sys.argv[1:5]
PATIENCE = 60
SLACK = 1  # seconds: a machine that is busy with other tests
TARGET = """[Unit]
Requires=basic.target posed.service
After=basic.target posed.service
"""
# Shorter than the unit's own, so that the test is; the rest of the unit is as installed.
DROPIN = """[Service]
WatchdogSec=2
"""
HANG = "Environment=POSED_NULL_HANG_AFTER=20\n"


def wait_for(what, condition, seconds=PATIENCE):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError(f"{what}: not within {seconds} s")


def reason_to_skip():
    if SYSTEMD != "1":
        return "built without systemd"
    if not shutil.which("systemd-nspawn"):
        return "systemd-nspawn is not installed (package systemd-container)"
    if os.geteuid() != 0:
        return "only root can boot a container"
    if PREFIX == "/usr" or not SYSCONFDIR.startswith(PREFIX):
        return "the container's /usr is this machine's: needs a prefix of its own"
    if os.environ.get("POSED_SANITIZED"):
        return "a sanitizer does not live within the unit's limits"
    return None


class Unit(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        reason = reason_to_skip()
        if reason:
            raise unittest.SkipTest(reason)
        folder = tempfile.TemporaryDirectory(prefix="posed-systemd-")
        cls.addClassCleanup(folder.cleanup)
        cls.make_tree(pathlib.Path(folder.name))
        cls.boot(pathlib.Path(folder.name))

    @classmethod
    def make_tree(cls, folder):
        cls.root, stage = folder / "root", folder / "stage"
        subprocess.run(["meson", "install", "-C", BUILD, "--no-rebuild", "--destdir", stage], check=True,
                       stdout=subprocess.DEVNULL)
        cls.prefix = pathlib.Path(f"{stage}{PREFIX}")
        for name in ("usr", "etc/systemd/system/posed.service.d", "var", "run", "tmp", "proc", "sys", "dev"):
            (cls.root / name).mkdir(parents=True)
        for name in ("bin", "sbin", "lib", "lib64"):
            (cls.root / name).symlink_to("usr/" + name)
        for name in ("ld.so.cache", "alternatives", "nsswitch.conf"):
            if pathlib.Path("/etc", name).exists():
                subprocess.run(["cp", "-a", f"/etc/{name}", cls.root / "etc"], check=True)
        (cls.root / "etc/machine-id").touch()
        (cls.root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n")
        (cls.root / "etc/group").write_text("root:x:0:\nnogroup:x:65534:\n")
        (cls.root / "etc/systemd/system/test.target").write_text(TARGET)
        cls.dropin = cls.root / "etc/systemd/system/posed.service.d/test.conf"
        cls.dropin.write_text(DROPIN)
        cls.etc = pathlib.Path(f"{stage}{SYSCONFDIR}")
        (cls.etc / "cameras.d").mkdir(parents=True)
        (cls.etc / "credentials").mkdir()
        (cls.etc / "credentials/door").write_text("soak-and-salt\n")
        (cls.etc / "posed.json").write_text('{"engine": "null"}')
        cls.write_camera("a", {"url": "test:people?size=160x90&rate=10", "realtime": True})
        cls.write_camera("door", {"url": "rtsp://127.0.0.1:1/", "username": "u", "password_file": "door"})

    @classmethod
    def write_camera(cls, name, camera):
        path = cls.etc / "cameras.d" / f"{name}.json"
        path.write_text(camera if isinstance(camera, str) else json.dumps(camera))
        path.chmod(0o644)

    @classmethod
    def boot(cls, folder):
        log = folder / "nspawn.log"
        with open(log, "wb") as output:
            cls.nspawn = subprocess.Popen(
                ["systemd-nspawn", "-q", "-D", cls.root, "--bind-ro=/usr", f"--bind={cls.prefix}:{PREFIX}",
                 "--register=no", "--keep-unit", "--private-network", "--console=pipe", "/lib/systemd/systemd",
                 "systemd.unit=test.target", "systemd.show_status=0"],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)
        cls.addClassCleanup(cls.shut_down)
        children = pathlib.Path(f"/proc/{cls.nspawn.pid}/task/{cls.nspawn.pid}/children")

        def is_up():
            if cls.nspawn.poll() is not None:
                raise unittest.SkipTest("no container can be booted here: " + log.read_text().strip()[-300:])
            cls.init = (children.read_text().split() or [None])[0]
            return cls.init and cls.run_inside("systemctl", "is-system-running")[1] in ("running", "starting",
                                                                                       "degraded")
        try:
            wait_for("systemd in the container", is_up)
        except AssertionError:
            raise unittest.SkipTest("systemd did not come up in a container here: " + log.read_text().strip()[-300:])

    @classmethod
    def shut_down(cls):
        if cls.nspawn.poll() is None:
            cls.run_inside("poweroff", "-f")
            try:
                cls.nspawn.wait(10)
            except subprocess.TimeoutExpired:
                cls.nspawn.kill()
                cls.nspawn.wait()

    @classmethod
    def run_inside(cls, *command):
        done = subprocess.run(["nsenter", "-t", cls.init, "-m", "-p", "-u", "-i", "-n", *command],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        return done.returncode, done.stdout.strip()

    def show(self, name):
        return self.run_inside("systemctl", "show", "-P", name, "posed")[1]

    def journal(self):
        return self.run_inside("journalctl", "--no-pager", "-o", "cat", "-u", "posed")[1]

    def wait_for_journal(self, words):
        """The journal reads what it is sent when it gets to."""
        wait_for(f"{words} in the journal", lambda: re.search(words, self.journal()))

    def hello(self):
        """The daemon's first line to a client who comes from outside, or None."""
        try:
            with socket.socket(socket.AF_UNIX) as s:
                s.settimeout(5)
                s.connect(f"/proc/{self.init}/root/run/posed/posed.sock")
                return json.loads(s.makefile().readline())
        except (OSError, ValueError):
            return None

    def test_1_ready_as_its_user_with_folders_and_credentials(self):
        wait_for("the unit", lambda: self.show("ActiveState") == "active")
        self.assertEqual(self.hello()["cameras"], ["a", "door"])  # without its password door would be a mistake: 78
        pid = self.show("MainPID")
        self.assertEqual(self.run_inside("ps", "-o", "user=", "-p", pid), (0, "posed"))
        self.assertEqual(self.run_inside("stat", "-c", "%U %a", "/run/posed", "/var/cache/posed"),
                         (0, "posed 755\nposed 750"))
        modes = self.run_inside("stat", "-c", "%U %G %a", f"{SYSCONFDIR}/cameras.d", f"{SYSCONFDIR}/credentials")
        self.assertEqual(modes, (0, "root posed 750\nroot root 700"))
        wait_for("its status", lambda: "1/2 cameras up" in self.show("StatusText"))
        self.wait_for_journal("camera a: up")
        about = self.run_inside("journalctl", "--no-pager", "-o", "json", "-u", "posed", "POSED_CAMERA=a")[1]
        lines = [json.loads(line) for line in about.splitlines()]
        self.assertIn(("6", "camera a: up"), [(line["PRIORITY"], line["MESSAGE"]) for line in lines])
        self.assertEqual({(line["SYSLOG_IDENTIFIER"], line["_SYSTEMD_UNIT"]) for line in lines},
                         {("posed", "posed.service")})
        self.assertNotIn("soak-and-salt", self.journal() + self.run_inside("systemctl", "show", "posed")[1])

    def test_1_the_group_decides_who_may_connect(self):
        wait_for("the unit", lambda: self.show("ActiveState") == "active")
        group = re.search(r"^posed:[^:]*:(\d+):", (self.root / "etc/group").read_text(), re.M)[1]
        connect = "import socket; socket.socket(socket.AF_UNIX).connect('/run/posed/posed.sock')"
        for groups, good in ((f"--groups={group}", True), ("--clear-groups", False)):
            status, output = self.run_inside("setpriv", "--reuid=4711", "--regid=4711", groups, "/usr/bin/python3", "-c",
                                             connect)
            self.assertEqual(status == 0, good, output)
            self.assertIn("" if good else "PermissionError", output)

    def test_2_reload_takes_what_is_right_and_refuses_what_is_not(self):
        pid = self.show("MainPID")
        self.write_camera("b", {"url": "test:people?size=160x90&rate=5", "realtime": True})
        self.assertEqual(self.run_inside("systemctl", "reload", "posed")[0], 0)
        wait_for("the new camera", lambda: self.hello()["cameras"] == ["a", "b", "door"])
        self.write_camera("b", '{"ulr": "x"}')
        self.assertNotEqual(self.run_inside("systemctl", "reload", "posed")[0], 0)
        self.wait_for_journal("ulr")
        self.assertEqual(self.hello()["cameras"], ["a", "b", "door"])
        self.assertEqual((self.show("MainPID"), self.show("ActiveState")), (pid, "active"))
        (self.etc / "cameras.d/b.json").unlink()

    def test_3_a_crash_is_over_within_two_seconds(self):
        times = []
        for _ in range(5):
            boot = self.hello()["boot"]
            begin = time.monotonic()
            self.run_inside("kill", "-KILL", self.show("MainPID"))
            wait_for("another daemon", lambda: (self.hello() or {"boot": boot})["boot"] != boot)
            times.append(time.monotonic() - begin)
        print(f"seconds from SIGKILL to hello: {', '.join(f'{t:.2f}' for t in times)}")
        self.assertLess(statistics.median(times), 2 + SLACK)

    def test_4_a_hung_engine_is_restarted_by_the_watchdog(self):
        restarts = int(self.show("NRestarts"))
        self.dropin.write_text(DROPIN + HANG)
        self.run_inside("systemctl", "daemon-reload")
        self.assertEqual(self.run_inside("systemctl", "restart", "posed")[0], 0)
        boot = self.hello()["boot"]
        wait_for("the watchdog", lambda: (self.hello() or {"boot": boot})["boot"] != boot)
        wait_for("its restart", lambda: int(self.show("NRestarts")) != restarts and self.show("NRestarts") != "0")
        self.wait_for_journal("Watchdog timeout")
        self.wait_for_journal("none comes out|no batch has come out")

    def test_5_sigterm_ends_it_clean(self):
        self.dropin.write_text(DROPIN)
        self.run_inside("systemctl", "daemon-reload")
        self.assertEqual(self.run_inside("systemctl", "restart", "posed")[0], 0)
        self.assertEqual(self.run_inside("systemctl", "stop", "posed")[0], 0)
        self.assertEqual((self.show("Result"), self.show("ExecMainStatus")), ("success", "0"))


unittest.main(argv=sys.argv[:1], verbosity=2)
