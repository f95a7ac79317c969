#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`meson install` into an empty folder: everything is there, pages and units are without fault, the unit is hardened.

usage: test_install.py BUILD_ROOT PREFIX SYSCONFDIR HAVE_SYSTEMD"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

BUILD, PREFIX, SYSCONFDIR, SYSTEMD = sys.argv[1:5]
del sys.argv[1:]


def run(*command):
    done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.returncode, done.stdout


def need(*programs):
    for program in programs:
        if not shutil.which(program):
            raise unittest.SkipTest(f"{program} is not installed")


def need_systemd():
    if SYSTEMD != "1":
        raise unittest.SkipTest("built without systemd")
    need("systemd-analyze")


class Installed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="posed-install-")
        cls.root = pathlib.Path(cls.folder.name, "root")
        status, output = run("meson", "install", "-C", BUILD, "--no-rebuild", "--destdir", cls.root)
        assert status == 0, output
        cls.prefix = pathlib.Path(f"{cls.root}{PREFIX}")

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def unit(self, *dropins):
        """The unit as a copy that runs the installed program, with drop-ins beside it."""
        folder = pathlib.Path(tempfile.mkdtemp(dir=self.folder.name))
        text = (self.prefix / "lib/systemd/system/posed.service").read_text()
        (folder / "posed.service").write_text(text.replace(f"={PREFIX}/bin/", f"={self.prefix}/bin/"))
        shutil.copy(self.prefix / "lib/systemd/system/posed.socket", folder)
        (folder / "posed.service.d").mkdir()
        for dropin in dropins:
            shutil.copy(self.prefix / "share/posed/systemd" / dropin, folder / "posed.service.d")
        return folder / "posed.service"

    def test_everything_is_there(self):
        wanted = ["bin/posed", "share/posed/posed-lite.onnx", "share/posed/posed.json", "share/posed/camera.json",
                  "share/posed/posed.schema.json", "share/posed/camera.schema.json", "share/man/man1/posed.1",
                  "share/posed/posed.rules.yml", "share/posed/posed.grafana.json",
                  "share/man/man1/posectl.1", "share/man/man5/posed.conf.5"]
        if SYSTEMD == "1":
            wanted += ["lib/systemd/system/posed.service", "lib/systemd/system/posed.socket",
                       "lib/sysusers.d/posed.conf", "lib/tmpfiles.d/posed.conf",
                       "share/posed/systemd/gpu.conf", "share/posed/systemd/v4l2.conf"]
        missing = [path for path in wanted if not (self.prefix / path).is_file()]
        self.assertEqual(missing, [])

    def test_no_mark_is_left_to_be_filled(self):
        for path in self.prefix.rglob("*"):
            if path.is_file() and (path.suffix in (".service", ".conf", ".json") or path.suffix[1:].isdigit()):
                self.assertIsNone(re.search(r"@(KEYS )?\w+@", path.read_text()), path)

    def test_manual_pages_are_without_fault(self):
        need("mandoc")
        for page in sorted((self.prefix / "share/man").rglob("*.[157]")):
            self.assertEqual(run("mandoc", "-T", "lint", "-W", "warning", page), (0, ""))

    def test_every_command_is_in_the_manual(self):
        manual = (self.prefix / "share/man/man1/posed.1").read_text()
        status, output = run(self.prefix / "bin/posed", "--help")
        commands = re.findall(r"^  (\w+) +\S", output, re.M)
        self.assertTrue(status == 0 and "check" in commands, output)
        for command in commands:
            self.assertIn(f".TP\n.B {command}\n", manual)

    def test_systemd_accepts_the_units(self):
        need_systemd()
        for unit in (self.unit(), self.unit("gpu.conf"), self.unit("v4l2.conf")):
            self.assertEqual(run("systemd-analyze", "verify", "--man=no", unit, unit.with_suffix(".socket")), (0, ""))

    def test_exposure_is_bounded(self):
        need_systemd()
        # ten times what the last line of the table says
        for most, dropins in ((11, []), (13, ["gpu.conf"]), (13, ["v4l2.conf"])):
            status, output = run("systemd-analyze", "security", "--offline=yes", "--no-pager", f"--threshold={most}",
                                 self.unit(*dropins))
            self.assertEqual(status, 0, output)

    def test_user_and_folders_can_be_made(self):
        need_systemd()
        need("systemd-sysusers", "systemd-tmpfiles")
        if os.geteuid() != 0:
            self.skipTest("only root can give files to a user")
        (self.root / "etc").mkdir(exist_ok=True)
        status, output = run("systemd-sysusers", f"--root={self.root}", self.prefix / "lib/sysusers.d/posed.conf")
        self.assertEqual(status, 0, output)
        self.assertIn("\nposed:", "\n" + (self.root / "etc/passwd").read_text())
        status, output = run("systemd-tmpfiles", f"--root={self.root}", "--create",
                             self.prefix / "lib/tmpfiles.d/posed.conf")
        self.assertEqual(status, 0, output)
        etc = pathlib.Path(f"{self.root}{SYSCONFDIR}")
        modes = {name: f"{(etc / name).stat().st_mode & 0o777:o}"
                 for name in ("cameras.d", "credentials", "posed.json")}
        self.assertEqual(modes, {"cameras.d": "750", "credentials": "700", "posed.json": "644"})
        status, output = run(self.prefix / "bin/posed", "check", "--files", "--config", etc / "posed.json")
        self.assertEqual((status, "warn" in output), (0, True), output)


unittest.main()
