#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Disks that are full, and too few descriptors: one clear line, a code, and nothing half done under the name asked for.

usage: test_files.py POSED"""
import json
import os
import pathlib
import resource
import signal
import subprocess
import sys
import tempfile
import time
import unittest

POSED = sys.argv[1]
ROOT = pathlib.Path(os.environ["POSED_SOURCE_ROOT"])
NETWORK = str(ROOT / "models" / "posed-lite.onnx")
PATIENCE = float(os.environ.get("POSED_PATIENCE", "60"))
OFFLINE = ["--engine", "null", "--network", NETWORK, "--width", "128", "--height", "64"]


def limited(limit, n):
    def apply():
        if limit == resource.RLIMIT_FSIZE:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # the write fails instead, as on a full disk
        resource.setrlimit(limit, (n, n))
    return apply


def run(*args, stdout=subprocess.PIPE, limit=None, n=0):
    return subprocess.run([POSED, *map(str, args)], stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=PATIENCE,
                          preexec_fn=limited(limit, n) if limit is not None else None)


class FullDisk(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="posed-files-")
        self.addCleanup(folder.cleanup)
        self.dir = pathlib.Path(folder.name)

    def check(self, done, *words):
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)

    def test_a_result_that_does_not_fit_leaves_no_file(self):
        frames = "test:people?size=320x240&frames=30"
        for out, args in (("poses.jsonl", ["detect", *OFFLINE, frames, "-o"]),
                          ("poses.json", ["detect", *OFFLINE, "--format", "coco", frames, "-o"]),
                          ("drawn.mp4", ["detect", *OFFLINE, frames, "-o", "/dev/null", "--draw"]),
                          ("drawn.png", ["detect", *OFFLINE, "test:people?size=320x240&frames=1", "-o", "/dev/null",
                                         "--draw"]),
                          ("random.onnx", ["model", "random", "--network", "tiny", "-o"]),
                          ("copy.onnx", ["model", "import", NETWORK, "-o"])):
            with self.subTest(out):
                path = self.dir / out
                self.check(run(*args, path, limit=resource.RLIMIT_FSIZE, n=600), out)
                self.assertEqual(list(self.dir.iterdir()), [])

    def test_devices_that_are_full_stay(self):
        link = self.dir / "drawn.mp4"
        link.symlink_to("/dev/full")
        frames = "test:people?size=64x48&frames=20"
        self.check(run("detect", *OFFLINE, frames, "-o", "/dev/null", "--draw", link), "drawn.mp4", "No space")
        self.assertTrue(link.is_symlink())
        self.check(run("detect", *OFFLINE, frames, "-o", "/dev/full"), "/dev/full: No space")
        with open("/dev/full", "w", encoding="ascii") as full:
            self.check(run("detect", *OFFLINE, frames, stdout=full), "standard output: No space")
            self.check(run("model", "info", NETWORK, stdout=full), "No space")
            for json_too in ([], ["--json"]):
                self.check(run("check", "--files", "--config", self.config(), *json_too, stdout=full), "cannot write")

    def test_answers_of_a_daemon_that_do_not_fit_are_no_success(self):
        daemon = subprocess.Popen([POSED, "run", "--config", self.config()], stderr=subprocess.DEVNULL)
        self.addCleanup(daemon.wait)
        self.addCleanup(daemon.kill)
        end = time.monotonic() + PATIENCE
        while not (self.dir / "s").exists() and time.monotonic() < end:
            time.sleep(0.01)
        posectl = [pathlib.Path(POSED).with_name("posectl"), "--socket", self.dir / "s"]
        with open("/dev/full", "w", encoding="ascii") as full:
            for words in (["status"], ["status", "--json"], ["metrics"], ["watch"], ["watch", "--json"]):
                with self.subTest(words):
                    done = subprocess.run([*posectl, *words], stdout=full, stderr=subprocess.PIPE, text=True,
                                          timeout=PATIENCE)
                    self.check(done, "cannot write")

    def config(self):
        path = self.dir / "posed.json"
        (self.dir / "cameras.d").mkdir(exist_ok=True)
        path.write_text(json.dumps({"socket": str(self.dir / "s"), "engine": "null", "network": NETWORK, "width": 128,
                                    "height": 64, "cache_dir": str(self.dir)}))
        url = "test:people?size=64x48&rate=25&frames=50"
        (self.dir / "cameras.d" / "a.json").write_text(json.dumps({"url": url}))
        return path

    def test_a_log_that_takes_nothing_more_stops_nobody(self):
        with open("/dev/full", "w", encoding="ascii") as full:
            done = subprocess.run([POSED, "run", "--config", self.config(), "--exit-when-done"], stderr=full,
                                  timeout=PATIENCE)
        self.assertEqual(done.returncode, 0)

    def test_a_reader_that_goes_ends_the_work_and_nothing_is_said(self):
        out, into = os.pipe()
        os.close(out)
        done = run("detect", *OFFLINE, "test:people?size=64x48&frames=20", stdout=into)
        os.close(into)
        self.assertIn(done.returncode, (1, -signal.SIGPIPE))
        self.assertLessEqual(len(done.stderr.splitlines()), 1)


class Descriptors(unittest.TestCase):
    def test_too_few_are_told_at_the_start(self):
        with tempfile.TemporaryDirectory(prefix="posed-files-") as name:
            folder = pathlib.Path(name)
            (folder / "cameras.d").mkdir()
            config = folder / "posed.json"
            config.write_text(json.dumps({"socket": str(folder / "s"), "engine": "null", "network": NETWORK,
                                          "width": 128, "height": 64, "cache_dir": name}))
            url = "test:people?size=64x48&rate=25&frames=10"
            for camera in range(12):
                (folder / "cameras.d" / f"c{camera}.json").write_text(json.dumps({"url": url, "realtime": False}))
            for n in (8, 12, 16, 24, 31):
                done = run("run", "--config", config, "--exit-when-done", limit=resource.RLIMIT_NOFILE, n=n)
                self.assertEqual((done.returncode, len(done.stderr.splitlines())), (1, 1), done.stderr)
                self.assertIn("open files", done.stderr)
            done = run("run", "--config", config, "--exit-when-done", limit=resource.RLIMIT_NOFILE, n=32)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("120 frames decoded, 120 lines published", done.stderr)

    @unittest.skipIf(os.environ.get("POSED_SANITIZED"), "a sanitizer wants descriptors of its own")
    def test_offline_commands_say_what_they_could_not_open(self):
        for n in range(4, 16):
            done = run("detect", *OFFLINE, "test:people?size=64x48&frames=3", limit=resource.RLIMIT_NOFILE, n=n)
            if done.returncode == 127:  # not even the program's own libraries
                continue
            self.assertIn(done.returncode, (0, 1, 2), done.stderr)
            self.assertEqual(len(done.stderr.splitlines()) == 0, done.returncode == 0, done.stderr)


if __name__ == "__main__":
    sys.argv.pop(1)
    unittest.main(verbosity=2)
