#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""GPUs that open and then fail at their first batch: `auto` says why and computes elsewhere, and an engine that was asked
for by name ends the start. The GPUs are pretended by tests/faults/stub_gpu.c.

usage: test_gpu_broken.py POSED POSED-CUDNN.so"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

POSED, PLUGIN = sys.argv[1:3]
del sys.argv[1:]
NETWORK = pathlib.Path(os.environ["POSED_SOURCE_ROOT"], "models", "posed-lite.onnx")
REASONS = {
    "init": "the stub has no memory for a batch",
    "prepare": "the stub has no way to run a layer",
    "submit": "the engine refuses its first batch",
    "trial": "the stub is lost",
    "nan": "numbers that are not finite",
}


class Broken(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="posed-broken-")
        self.addCleanup(folder.cleanup)
        self.dir = pathlib.Path(folder.name)
        (self.dir / "cameras.d").mkdir()
        (self.dir / "cameras.d" / "a.json").write_text('{"url": "test:people?size=64x48&frames=2"}')

    def run_daemon(self, fail, **config):
        text = json.dumps({"socket": str(self.dir / "s"), "network": str(NETWORK), "cache_dir": str(self.dir),
                           "width": 64, "height": 48, **config})
        (self.dir / "posed.json").write_text(text)
        env = {**os.environ, "POSED_PLUGIN_DIR": os.path.dirname(PLUGIN), "STUB_FAIL": fail}
        done = subprocess.run([POSED, "run", "--config", self.dir / "posed.json", "--exit-when-done"], env=env,
                              stderr=subprocess.PIPE, text=True, timeout=100)
        return done.returncode, done.stderr.splitlines()

    def only(self, lines, words):
        found = [line for line in lines if words in line]
        self.assertEqual(len(found), 1, lines)
        return found[0]

    def test_auto_takes_the_next_engine(self):
        for fail, reason in REASONS.items():
            code, lines = self.run_daemon(fail, engine="auto")
            self.assertEqual(code, 0, lines)
            line = self.only(lines, "cudnn cannot be used: ")
            self.assertIn(reason, line)
            self.assertTrue(line.endswith("; trying the next one"), line)
            self.assertNotIn("engine cudnn (", self.only(lines, ", batches of up to "))
            self.only(lines, "2 frames decoded, 2 lines published")

    def test_an_engine_asked_for_by_name_is_not_replaced(self):
        for fail, reason in REASONS.items():
            code, lines = self.run_daemon(fail, engine="cudnn")
            self.assertEqual(code, 75, lines)
            self.assertIn(reason, self.only(lines, "posed run: "))
            self.assertFalse([line for line in lines if "cannot be used" in line], lines)

    def test_auto_leaves_out_one_of_several_devices(self):
        code, lines = self.run_daemon("prepare@1", engine="auto", devices=[0, 1, 2])
        self.assertEqual(code, 0, lines)
        self.assertIn(REASONS["prepare"], self.only(lines, "device 1 is left out: "))
        self.assertIn("engine cudnn (stub 0", self.only(lines, ", batches of up to "))
        self.only(lines, "engine cudnn as well on stub 2")
        self.only(lines, "2 frames decoded, 2 lines published")

    def test_auto_goes_on_without_the_first_of_several_devices(self):
        code, lines = self.run_daemon("nan@0", engine="auto", devices=[0, 1])
        self.assertEqual(code, 0, lines)
        self.only(lines, "cudnn cannot be used: ")

    def test_the_largest_batch_is_prepared(self):
        for batch, sizes in ((12, [1, 2, 4, 8, 12]), (16, [1, 2, 4, 8, 16]), (20, [1, 2, 4, 8, 16, 20]), (1, [1])):
            code, lines = self.run_daemon("", engine="cudnn", batch=batch)
            self.assertEqual(code, 0, lines)
            told = [int(line.split("prepared ")[1]) for line in lines if "prepared " in line]
            self.assertEqual(told, sizes)
            self.assertIn(f"{1 + len(sizes)} MiB", self.only(lines, f", batches of up to {batch}"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
