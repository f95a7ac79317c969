#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`posed bench`: its figures agree with one another, its drawing is well-formed.

usage: test_bench.py POSED"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

POSED = sys.argv.pop(1)
NETWORK = pathlib.Path(os.environ["POSED_SOURCE_ROOT"]) / "models" / "posed-lite.onnx"


def bench(*options):
    return subprocess.run([POSED, "bench", "--network", NETWORK, "--seconds", "0.02", "--width", "64", "--height", "64",
                           *options], capture_output=True, text=True, timeout=200)


class Bench(unittest.TestCase):
    def test_figures_agree_with_one_another(self):
        with tempfile.TemporaryDirectory() as folder:
            plot = pathlib.Path(folder) / "batches.svg"
            done = bench("--json", "--batch", "4", "--price", "2", "--plot", plot)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(xml.etree.ElementTree.parse(plot).getroot().tag, "{http://www.w3.org/2000/svg}svg")
        report = json.loads(done.stdout)
        batches = report["batches"]
        self.assertEqual([b["batch"] for b in batches], [1, 2, 4])
        for b in batches:
            self.assertGreater(b["best_ms"], 0)
            self.assertGreaterEqual(b["ms"], b["best_ms"])
            self.assertGreaterEqual(b["runs"], 1)
            self.assertAlmostEqual(b["fps"] * b["ms"], 1000 * b["batch"], delta=b["batch"])
            self.assertAlmostEqual(b["growth"] * batches[0]["ms"], b["ms"], delta=0.01 * b["ms"])
        cost = report["cost"]
        self.assertEqual(cost["price_hour"], 2)
        best = max(b["fps"] for b in batches)
        self.assertAlmostEqual(cost["camera_hour"] * best, 2 * cost["camera_fps"], delta=0.1)
        self.assertGreater(report["peak_gflops"], 0)
        self.assertTrue(all(layer["ms"] >= 0 and layer["algorithm"] for layer in report["layers"]))
        for layer in report["layers"]:
            if layer["ms"] > 0:
                self.assertAlmostEqual(layer["of_peak"] * report["peak_gflops"], 1000 * layer["gflop"] / layer["ms"],
                                       delta=0.01 * report["peak_gflops"])
                self.assertLessEqual(layer["of_peak"], 1)

    def test_batches_may_be_chosen(self):
        done = bench("--json", "--no-layers", "--batches", "9", "--batches", "3,5")  # the last one counts
        self.assertEqual(done.returncode, 0, done.stderr)
        batches = json.loads(done.stdout)["batches"]
        self.assertEqual([b["batch"] for b in batches], [3, 5])
        self.assertEqual(batches[0]["growth"], 1)
        for wrong in ("", "3,", "3,3", "5,3", "0", "33", "x", "1,2,3,4,5,6,7,8"):
            self.assertEqual(bench("--batches", wrong).returncode, 2, wrong)
        done = bench("--no-layers", "--batch", "4", "--batches", "2,8")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("8 is more than the 4", done.stderr)

    def test_several_cameras_at_once(self):
        done = bench("--json", "--no-layers", "--batch", "4", "--cameras", "6")  # a batch of four and one of two
        self.assertEqual(done.returncode, 0, done.stderr)
        report = json.loads(done.stdout)
        self.assertNotIn("peak_gflops", report)
        cameras = report["cameras"]
        self.assertEqual((cameras["cameras"], cameras["source"]), (6, [1280, 720]))
        self.assertGreater(cameras["fps"], 0)
        self.assertGreater(cameras["median_ms"], 0)
        self.assertGreaterEqual(cameras["p99_ms"], cameras["median_ms"])

    def test_cameras_need_a_network_that_finds_people(self):
        with tempfile.TemporaryDirectory() as folder:
            network = pathlib.Path(folder) / "products.onnx"
            subprocess.run([POSED, "model", "random", "--network", "matmul", "-o", network], check=True,
                           capture_output=True)
            done = bench("--network", network, "--no-layers", "--batch", "1", "--cameras", "1")
        self.assertEqual(done.returncode, 1)
        self.assertIn("matmul finds none", done.stderr)

    def test_a_size_that_is_out_of_range_is_refused(self):
        done = bench("--batch", "33")
        self.assertEqual(done.returncode, 2)
        self.assertIn("--batch", done.stderr)


unittest.main(verbosity=2)
