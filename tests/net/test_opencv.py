#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Whole networks, run by posed's engines and by OpenCV's dnn: the maps must be the same.

usage: test_opencv.py FORWARD"""
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

try:
    import cv2
    import numpy
except ImportError as missing:
    print(f"SKIP: {missing}; install python3-opencv and python3-numpy")
    sys.exit(77)

FORWARD = sys.argv.pop(1)
ROOT = pathlib.Path(os.environ["POSED_SOURCE_ROOT"])
SHARED = pathlib.Path(os.environ.get("POSED_SHARED", ROOT.parent / "shared"))
SIZES = [(200, 136), (72, 104)]
TOLERANCE = 1e-4  # of the largest value


class SameMaps(unittest.TestCase):
    def forward(self, engine, network, image):
        with tempfile.TemporaryDirectory(prefix="posed-net-") as folder:
            source, result = f"{folder}/in", f"{folder}/out"
            image.tofile(source)
            height, width = image.shape[2:]
            done = subprocess.run([FORWARD, engine, network, str(width), str(height), source, result],
                                  capture_output=True, text=True)
            if done.returncode == 77:
                self.skipTest(f"engine {engine} cannot run here")
            self.assertEqual(done.returncode, 0, done.stderr)
            return numpy.fromfile(result, numpy.float32)

    def compare(self, engine, network):
        if not network.exists():
            self.skipTest(f"{network.name} is not there; POSED_SHARED says where it is looked for")
        theirs = cv2.dnn.readNetFromONNX(str(network))
        for seed, (width, height) in enumerate(SIZES):
            image = numpy.random.RandomState(seed).uniform(0, 255, (1, 3, height, width)).astype(numpy.float32)
            ours = self.forward(engine, network, image)
            theirs.setInput(image)
            heat, paf = theirs.forward(["heatmap", "paf"])
            self.assertEqual(ours.size, heat.size + paf.size)
            for name, a, b in (("heatmap", ours[:heat.size], heat), ("paf", ours[heat.size:], paf)):
                worst = float(numpy.abs(a - b.ravel()).max() / numpy.abs(b).max())
                print(f"{engine} {network.name} {width}x{height} {name}: off by {worst:.1e} of the largest")
                self.assertLess(worst, TOLERANCE)


def case(engine, network):
    return lambda self: self.compare(engine, network)


for _engine in ("reference", "onednn"):
    for _network in (ROOT / "models/posed-lite.onnx", SHARED / "models/human-pose-estimation-0001.onnx"):
        _name = f"test_{_engine}_{_network.stem}".replace("-", "_")
        setattr(SameMaps, _name, case(_engine, _network))

if __name__ == "__main__":
    unittest.main(verbosity=2)
