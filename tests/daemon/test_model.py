#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`posed model`: what it says of networks, what it writes, and what it refuses.

usage: test_model.py POSED"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

POSED = sys.argv.pop(1)
BUNDLED = pathlib.Path(os.environ["POSED_SOURCE_ROOT"], "models", "posed-lite.onnx")


class Model(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="posed-model-")
        self.addCleanup(folder.cleanup)
        self.dir = pathlib.Path(folder.name)

    def model(self, *args):
        return subprocess.run([POSED, "model", *map(str, args)], capture_output=True, text=True, timeout=60)

    def refused(self, status, text, *args):
        done = self.model(*args)
        self.assertEqual((done.returncode, done.stdout), (status, ""), done)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertTrue(done.stderr.startswith("posed model: "), done.stderr)
        self.assertIn(text, done.stderr)

    def test_info_of_the_bundled_network(self):
        told = json.loads(self.model("info", BUNDLED, "--height", "368", "--width", "656", "--json").stdout)
        self.assertEqual(told["name"], "posed-lite")
        self.assertEqual(told["skeleton"], "coco18")
        self.assertEqual(told["parameters"], 2138754)
        self.assertEqual(told["output"], {"heatmaps": 19, "pafs": 38, "stride": 8, "offset": 3.5})
        self.assertAlmostEqual(told["gflop"], 2 * 8.18, delta=0.02)
        self.assertEqual(sum(layer["parameters"] for layer in told["layers"]), told["parameters"])
        self.assertAlmostEqual(sum(layer["gflop"] for layer in told["layers"]), told["gflop"], places=6)
        self.assertEqual(told["layers"][-1]["output"][1:], [46, 82])

    def test_sizes_follow_the_stride(self):
        told = json.loads(self.model("info", BUNDLED, "--height", "100", "--json").stdout)
        self.assertEqual((told["input"]["height"], told["input"]["width"]), (104, 184))

    def test_the_table_names_every_layer(self):
        table = self.model("info", BUNDLED).stdout
        told = json.loads(self.model("info", BUNDLED, "--json").stdout)
        for layer in told["layers"]:
            self.assertIn(layer["name"][:28], table)
        self.assertIn("for a frame of 656x368", table)

    def test_random_network_is_written_and_read_again(self):
        path = self.dir / "tiny.onnx"
        done = self.model("random", "--network", "tiny", "-o", path, "--seed", 5)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))
        told = json.loads(self.model("info", path, "--json").stdout)
        self.assertEqual((told["name"], told["input"]["order"]), ("tiny", "rgb"))
        self.assertEqual([p.name for p in self.dir.iterdir()], ["tiny.onnx"])

    def test_list(self):
        names = self.model("random", "--list").stdout.split()
        self.assertIn("openpose-coco", names)
        self.assertIn("vgg19", names)

    def test_help(self):
        for args in (["--help"], ["info", "--help"], ["random", "-h"]):
            done = self.model(*args)
            self.assertEqual(done.returncode, 0)
            self.assertIn("Example:", done.stdout)

    def test_wrong_usage(self):
        self.refused(2, "info, import or random is expected")
        self.refused(2, "no 'destroy'", "destroy")
        self.refused(2, "no option '--colour'", "info", "--colour")
        self.refused(2, "--height needs a value", "info", "--height")
        self.refused(2, "--height is '0'", "info", "--height", "0")
        self.refused(2, "one FILE, got 2", "info", "a", "b")
        self.refused(2, "needs --network NAME and -o FILE", "random", "--network", "tiny")
        self.refused(2, "no network is called 'large'; there are: openpose-coco", "random", "--network", "large",
                     "-o", self.dir / "x")

    def test_files_that_are_no_networks(self):
        self.refused(1, "/nowhere.onnx: No such file or directory", "info", "/nowhere.onnx")
        self.refused(1, "not a file", "info", self.dir)
        text = self.dir / "text.onnx"
        text.write_text("not a network\n")
        self.refused(1, "text.onnx: not an ONNX file", "info", text)
        cut = self.dir / "cut.onnx"
        cut.write_bytes(BUNDLED.read_bytes()[:100000])
        self.refused(1, "cut.onnx: not an ONNX file, or cut short (100000 bytes)", "info", cut)
        self.refused(1, "/nowhere/x.onnx: No such file or directory", "random", "--network", "tiny", "-o",
                     "/nowhere/x.onnx")


if __name__ == "__main__":
    unittest.main(verbosity=2)
