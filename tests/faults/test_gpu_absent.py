#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Machines on which the cudnn engine cannot run: each is one line that says what to do, and `auto` passes on to another
engine. Driver and libraries are pretended by tests/faults/gpu_world.c.

usage: test_gpu_absent.py POSED POSED-CUDNN.so GPU_WORLD.so"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

POSED, PLUGIN, WORLD = sys.argv[1:4]
del sys.argv[1:]
NETWORK = pathlib.Path(os.environ["POSED_SOURCE_ROOT"], "models", "posed-lite.onnx")


class Absent(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="posed-absent-")
        self.addCleanup(folder.cleanup)
        self.dir = pathlib.Path(folder.name)
        (self.dir / "cameras.d").mkdir()
        (self.dir / "cameras.d" / "a.json").write_text('{"url": "test:people?size=64x48&frames=1"}')
        self.config = {"socket": str(self.dir / "s"), "network": str(NETWORK), "cache_dir": str(self.dir),
                       "width": 64, "height": 48}

    def run_daemon(self, engine, **world):
        (self.dir / "posed.json").write_text(json.dumps({**self.config, "engine": engine}))
        env = {**os.environ, "POSED_PLUGIN_DIR": os.path.dirname(PLUGIN), "LD_PRELOAD": WORLD, **world}
        done = subprocess.run([POSED, "run", "--config", self.dir / "posed.json", "--exit-when-done"], env=env,
                              stderr=subprocess.PIPE, text=True, timeout=100)
        return done.returncode, done.stderr.splitlines()

    def refuse(self, words, **world):
        code, lines = self.run_daemon("cudnn", **world)
        self.assertEqual(code, 75, lines)
        self.assertEqual(len(lines), 1, lines)
        self.assertIn(words, lines[0])
        code, lines = self.run_daemon("auto", **world)
        self.assertEqual(code, 0, lines)
        self.assertTrue(any("engine onednn" in line or "engine reference" in line for line in lines), lines)

    def test_no_driver(self):
        self.refuse("no NVIDIA driver is loaded", WORLD_DRIVER="0", WORLD_COUNT_ERROR="35")

    def test_a_driver_that_is_too_old(self):
        self.refuse("the NVIDIA driver knows CUDA 11.4", WORLD_DRIVER="11040", WORLD_COUNT_ERROR="35")

    def test_no_device(self):
        self.refuse("no CUDA device", WORLD_DEVICES="0", WORLD_COUNT_ERROR="100")
        self.refuse("the driver lists none", WORLD_DEVICES="0")

    def test_another_cudnn(self):
        self.refuse("cuDNN 8 is loaded, this build needs 9.x", WORLD_CUDNN="8904")
        self.refuse("cuDNN 10 is loaded, this build needs 9.x", WORLD_CUDNN="100000")

    def test_a_number_that_no_gpu_has(self):
        """A mistake of the configuration, also where `auto` could take another engine."""
        for devices, count, words in (([5], 2, "GPU 5: there are 2 GPUs"), ([1], 1, "GPU 1: there is 1 GPU,")):
            self.config["devices"] = devices
            for engine in ("cudnn", "auto"):
                code, lines = self.run_daemon(engine, WORLD_DEVICES=str(count))
                self.assertEqual(code, 78, lines)
                self.assertEqual(len(lines), 1, lines)
                self.assertIn(words, lines[0])

    def test_a_number_on_a_machine_without_gpus(self):
        self.config["devices"] = [1]
        self.refuse("no CUDA device", WORLD_DEVICES="0", WORLD_COUNT_ERROR="100")

    def test_no_cudnn(self):
        data = pathlib.Path(PLUGIN).read_bytes()
        self.assertIn(b"libcudnn.so.9\0", data)
        (self.dir / "posed-cudnn.so").write_bytes(data.replace(b"libcudnn.so.9\0", b"libcudno.so.9\0"))
        self.refuse("libcudno.so.9: cannot open shared object file", POSED_PLUGIN_DIR=str(self.dir))


if __name__ == "__main__":
    unittest.main(verbosity=2)
