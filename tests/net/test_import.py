#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`posed model import` of Caffe files: the imported network against OpenCV's own reader and forward pass.

usage: test_import.py POSED FORWARD"""
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time
import unittest

try:
    import cv2
    import numpy
except ImportError as missing:
    print(f"SKIP: {missing}; install python3-opencv and python3-numpy")
    sys.exit(77)

import caffe

POSED, FORWARD = sys.argv[1:3]
del sys.argv[1:3]
SHARED = pathlib.Path(os.environ.get("POSED_SHARED", pathlib.Path(os.environ["POSED_SOURCE_ROOT"]).parent / "shared"))
TOLERANCE = 1e-4  # of the largest value
MEMORY_MAX = 700 << 20
SECONDS_MAX = 60  # a few on an idle machine
NON_COMMERCIAL = "OpenPose (CMU), academic or non-profit organization noncommercial research use only"


class Import(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="posed-import-")
        self.addCleanup(folder.cleanup)
        self.dir = pathlib.Path(folder.name)
        self.result = self.dir / "out.onnx"

    def model(self, *args):
        return subprocess.run([POSED, "model", *map(str, args)], capture_output=True, text=True, timeout=300)

    def write(self, net, old=False, name="net.caffemodel"):
        path = self.dir / name
        path.write_bytes(net.caffemodel(old))
        return path

    def imported(self, path, *args, height=64):
        done = self.model("import", path, "-o", self.result, *args)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))
        self.assertEqual(sorted(p.name for p in self.dir.glob("out*")), ["out.onnx"])
        return json.loads(self.model("info", self.result, "--json", "--height", height).stdout)

    def refused(self, text, *args, status=1):
        done = self.model("import", *args)
        self.assertEqual((done.returncode, done.stdout), (status, ""), done)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertIn(text, done.stderr)
        self.assertEqual(list(self.dir.glob("*.part*")), [])

    def compare(self, net, height, width, norm=None, theirs_out=None):
        image = numpy.random.RandomState(7).uniform(0, 255, (1, 3, height, width)).astype(numpy.float32)
        image.tofile(self.dir / "in")
        done = subprocess.run([FORWARD, "reference", self.result, str(width), str(height), self.dir / "in",
                               self.dir / "maps"], capture_output=True, text=True, timeout=300)
        self.assertEqual(done.returncode, 0, done.stderr)
        ours = numpy.fromfile(self.dir / "maps", numpy.float32)
        (self.dir / "net.prototxt").write_text(net.prototxt(height, width))
        theirs = cv2.dnn.readNetFromCaffe(str(self.dir / "net.prototxt"), str(self.dir / "net.caffemodel"))
        mean, scale = norm or (0, 1)
        theirs.setInput((image - mean) * scale)
        expected = theirs.forward(theirs_out or net.layers[-1][0]).ravel()
        self.assertEqual(ours.size, expected.size)
        worst = float(numpy.abs(ours - expected).max() / numpy.abs(expected).max())
        print(f"{net.name}: off by {worst:.1e} of the largest")
        self.assertLess(worst, TOLERANCE)

    # ---- published topologies ----

    def openpose(self, net, name, skeleton, old):
        told = self.imported(self.write(net, old))
        self.assertEqual((told["name"], told["skeleton"], told["output"]["stride"]), (name, skeleton, 8))
        self.assertEqual((told["licence"], told["non_commercial"]), (NON_COMMERCIAL, True))
        self.assertEqual(told["input"]["order"], "bgr")
        self.compare(net, 72, 104, (128, 1 / 256))

    def test_coco(self):
        self.openpose(caffe.coco(1 / 8), "openpose-coco", "coco18", False)

    def test_coco_in_old_messages(self):
        self.openpose(caffe.coco(1 / 8), "openpose-coco", "coco18", True)

    def test_body25(self):
        self.openpose(caffe.body25(1 / 8), "openpose-body25", "body25", False)

    def test_mpi_of_four_stages(self):
        self.openpose(caffe.mpi(1 / 8), "openpose-mpi", "mpi15", False)

    def test_mpi_of_six_stages(self):
        self.openpose(caffe.mpi(1 / 8, stages=6), "openpose-mpi", "mpi15", False)

    def test_vgg19(self):
        for old in (False, True):
            net = caffe.vgg19(1 / 8, side=64, dense=96)
            told = self.imported(self.write(net, old))
            self.assertEqual((told["skeleton"], told["non_commercial"]), (None, False))
            self.compare(net, 64, 64, theirs_out="fc8")

    def test_one_of_everything(self):
        net = caffe.medley()
        told = self.imported(self.write(net))
        self.assertEqual((told["skeleton"], told["licence"], told["non_commercial"]), ("coco18", "", False))
        for size in ((64, 96), (72, 104)):
            self.compare(net, *size)

    def test_layers_of_one_name(self):
        """Caffe takes them, and keeps the layers apart; of two names the blanks make the difference."""
        net = caffe.Net("namesakes", 10)
        x = "image"
        for i, name in enumerate(["relu", "relu", "re lu", "re_lu", "relu"]):
            x = net.add("ReLU", name, net.conv(f"conv{i}", x, 8, 3, pad=1), [f"top{i}"])
            net.channels[x] = 8
        net.concat("net_output", [net.conv("maps", x, 19, 1), net.conv("fields", x, 38, 1)])
        for old in (False, True):
            self.imported(self.write(net, old))
            self.compare(net, 64, 96)

    @unittest.skipIf(any(name in pathlib.Path(POSED).read_bytes() for name in (b"__asan_init", b"__tsan_init")),
                     "a sanitizer takes memory of its own, without bounds")
    def test_full_size_in_time_and_memory(self):
        path = self.write(caffe.coco())
        self.assertGreater(path.stat().st_size, 200e6)
        start = time.monotonic()
        done = subprocess.run([POSED, "model", "import", path, "-o", self.result], timeout=SECONDS_MAX,
                              preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_MAX, MEMORY_MAX)))
        self.assertEqual(done.returncode, 0)
        print(f"{path.stat().st_size / 1e6:.0f} MB in {time.monotonic() - start:.1f} s")

    # ---- snapshots ----

    def test_snapshot_of_training_without_its_labels(self):
        """What training saves: data and label layers, masks, losses, splits, and no concat at the end."""
        net = caffe.Net("snapshot", 6, 1 / 8)
        net.inputs = []
        net.layers.append(("data", "CPMData", [], ["data", "label"], [], {}))
        net.add("Slice", "weights", "label", ["vec_weight", "heat_weight"], slice_point=[38], axis=1)
        net.add("Slice", "image", "data", ["image", "center_map"], slice_point=[3], axis=1)
        net.add("Silence", "silence", "center_map", [])
        net.channels["image"] = 3
        shared = caffe.features(net, "ReLU")
        net.add("Split", "conv4_4_split", shared, ["split_0", "split_1"])
        net.channels.update(split_0=net.channels[shared], split_1=net.channels[shared])
        for branch, (maps, source) in enumerate([(38, "split_0"), (19, "split_1")], 1):
            end = net.conv(f"conv5_5_CPM_L{branch}", source, maps, 1)
            net.add("Eltwise", f"weight_L{branch}", [end, ["vec_weight", "heat_weight"][branch - 1]], operation=0)
            net.add("EuclideanLoss", f"loss_L{branch}", [f"weight_L{branch}", "label"])
        told = self.imported(self.write(net))
        self.assertEqual((told["name"], told["skeleton"]), ("openpose-coco", "coco18"))
        self.assertEqual(told["output"]["heatmaps"], 19)
        self.assertEqual(told["layers"][0]["name"], "conv1_1")

    # ---- told by options ----

    def test_options_are_kept(self):
        told = self.imported(self.write(caffe.medley()), "--mean", "1,2,3", "--scale", "0.5", "--order", "rgb",
                             "--licence", "ask me", "--non-commercial", "--name", "mine")
        self.assertEqual((told["name"], told["licence"], told["non_commercial"]), ("mine", "ask me", True))
        self.assertEqual(told["input"]["order"], "rgb")

    def test_outputs_can_be_named(self):
        path = self.write(caffe.coco(1 / 16))
        told = self.imported(path, "--heatmaps", "Mconv7_stage3_L2", "--pafs", "Mconv7_stage3_L1")
        whole = self.imported(path)
        self.assertLess(len(told["layers"]), len(whole["layers"]))
        self.refused("no layer makes 'nothing'", path, "-o", self.result, "--heatmaps", "nothing", "--pafs", "x")

    def test_one_tensor_with_both(self):
        net = caffe.medley()
        path = self.write(net)
        told = self.imported(path, "--both", "net_output")
        self.assertEqual(told["output"]["heatmaps"], 19)
        self.compare(net, 64, 96)

    def test_onnx_with_outputs_told(self):
        first = self.dir / "first.onnx"
        self.assertEqual(self.model("random", "--network", "tiny", "-o", first).returncode, 0)
        told = self.imported(first, "--heatmaps", "heat1", "--pafs", "paf1", "--name", "early")
        self.assertEqual((told["name"], told["skeleton"], told["input"]["order"]), ("early", "coco18", "rgb"))
        self.assertEqual(len(told["source_sha256"]), 64)
        self.refused("no node makes 'x'; the graph's outputs are: heatmap, paf", first, "-o", self.result, "--heatmaps",
                     "x", "--pafs", "paf")
        self.refused("to cut 'concat' in two, say --skeleton", first, "-o", self.result, "--both", "concat")

    def test_licences_are_not_guessed_from_names_alone(self):
        """Others call their layers ..._CPM, too; only VGG before them makes a network OpenPose's."""
        net = caffe.Net("lookalike", 9)
        x = net.conv("conv4_4_CPM", "image", 4, 3, pad=1)
        net.concat("net_output", [net.conv("maps", x, 19, 1), net.conv("fields", x, 38, 1)])
        told = self.imported(self.write(net))
        self.assertEqual((told["name"], told["licence"], told["non_commercial"]), ("net", "", False))

    def test_licence_of_others_is_left_alone(self):
        path = SHARED / "models/human-pose-estimation-0001.onnx"
        if not path.exists():
            self.skipTest(f"{path.name} is not there; POSED_SHARED says where it is looked for")
        told = self.imported(path)
        self.assertEqual((told["licence"], told["non_commercial"]), ("", False))

    def test_converted_weights_keep_their_licence(self):
        """An ONNX file with OpenPose's layers and no metadata, as other converters write it."""
        first, stripped = self.dir / "first.onnx", self.dir / "stripped.onnx"
        self.imported(self.write(caffe.coco(1 / 16)))
        raw = self.result.read_bytes()
        self.result.rename(first)
        end = raw.index(b"posed.name")
        stripped.write_bytes(raw[:raw.rindex(b"\x72", 0, end)])  # metadata_props, field 14, come last
        self.assertNotIn(b"posed.", stripped.read_bytes())
        told = self.imported(stripped)
        self.assertEqual((told["licence"], told["non_commercial"]), (NON_COMMERCIAL, True))
        told = self.imported(stripped, "--licence", "trained by us")
        self.assertEqual((told["licence"], told["non_commercial"]), ("trained by us", False))

    # ---- what is refused ----

    def test_wrong_usage(self):
        self.refused("import takes one FILE, got 0", status=2)
        self.refused("go together", "a", "--pafs", "b", status=2)
        self.refused("bgr or rgb is expected", "a", "--order", "gbr", status=2)
        self.refused("goes with --both", "a", "--pafs-first", status=2)
        self.refused("no option '--colour'", "a", "--colour", status=2)

    def test_never_over_its_input(self):
        path = self.write(caffe.medley())
        before = path.read_bytes()
        self.refused("is what is read", path, "-o", path)
        link = self.dir / "link"
        link.symlink_to(path)
        self.refused("is what is read", path, "-o", link)
        self.assertEqual(path.read_bytes(), before)

    def test_never_over_files_beside_its_output(self):
        """Neither what is read, nor another, whatever they are called; a failure leaves them, too."""
        path = self.write(caffe.medley(), name="out.onnx.part")
        before = path.read_bytes()
        for args, status in (([], 0), (["--skeleton", "body25"], 1)):
            done = self.model("import", path, "-o", self.result, *args)
            self.assertEqual(done.returncode, status, done.stderr)
            self.assertEqual(path.read_bytes(), before)
            self.assertEqual(sorted(p.name for p in self.dir.iterdir()), ["out.onnx", "out.onnx.part"])

    def test_default_output_is_beside_and_never_over_another(self):
        path = self.write(caffe.medley())
        self.assertEqual(self.model("import", path).returncode, 0)
        self.assertTrue((self.dir / "net.onnx").exists())
        self.refused("is there already; say where to write with -o FILE", path)

    def test_unknown_layers_are_named(self):
        net = caffe.Net("unknown", 8)
        x = net.conv("first", "image", 4, 3, pad=1)
        net.add("LRN", "norm1", x)
        net.channels["norm1"] = 4
        net.concat("net_output", [net.conv("maps", "norm1", 19, 1), net.conv("fields", "norm1", 38, 1)])
        for old in (False, True):
            self.refused("layer 'norm1' (LRN): layers of this type are not supported", self.write(net, old), "-o",
                         self.result)

    def test_other_files_are_told_apart(self):
        text = self.dir / "pose.prototxt"
        text.write_text(caffe.medley().prototxt(64, 64))
        self.refused("a .prototxt, which holds no weights", text, "-o", self.result)
        torch = self.dir / "net.pth"
        torch.write_bytes(b"PK\x03\x04" + bytes(100))
        self.refused("PyTorch", torch, "-o", self.result)
        self.refused("No such file", self.dir / "missing", "-o", self.result)


if __name__ == "__main__":
    unittest.main(verbosity=2)
