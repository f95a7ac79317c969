#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`posed model import` of ONNX files as other programs export them: the imported network against OpenCV's reading.

usage: test_foreign.py POSED FORWARD"""
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

try:
    import cv2
    import numpy
    import onnx
except ImportError as missing:
    print(f"SKIP: {missing}; install python3-opencv, python3-numpy and python3-onnx")
    sys.exit(77)

import foreign
from foreign import HEIGHT, WIDTH

POSED, FORWARD = sys.argv[1:3]
del sys.argv[1:3]
TOLERANCE = 1e-4  # of the largest value
OPSETS = range(9, 22)
READ_BY_OPENCV = 9  # OpenCV 4.6 reads Clip and Split only as the old opsets have them


class Foreign(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="posed-foreign-")
        self.addCleanup(folder.cleanup)
        self.dir = pathlib.Path(folder.name)
        self.result = self.dir / "out.onnx"
        self.image = numpy.random.RandomState(7).uniform(0, 1, (1, 3, HEIGHT, WIDTH)).astype(numpy.float32)

    def run_import(self, graph, *args):
        path = graph.write(self.dir / "net.onnx")
        return subprocess.run([POSED, "model", "import", path, "-o", self.result, *args], capture_output=True, text=True,
                              timeout=120)

    def imported(self, graph, *args):
        done = self.run_import(graph, *args)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))

    def told(self):
        told = subprocess.run([POSED, "model", "info", self.result, "--json", "--height", str(HEIGHT)],
                              capture_output=True, text=True, timeout=60, check=True)
        return json.loads(told.stdout)

    def refused(self, graph, *texts):
        done = self.run_import(graph)
        self.assertEqual((done.returncode, done.stderr.count("\n")), (1, 1), done)
        for text in texts:
            self.assertIn(text, done.stderr)
        self.assertFalse(self.result.exists())

    def ours(self, image=None):
        (self.image if image is None else image).tofile(self.dir / "in")
        done = subprocess.run([FORWARD, "reference", self.result, str(WIDTH), str(HEIGHT), self.dir / "in",
                               self.dir / "maps"], capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr)
        return numpy.fromfile(self.dir / "maps", numpy.float32)

    def theirs(self, graph, outputs=None):
        net = cv2.dnn.readNetFromONNX(str(graph.write(self.dir / "theirs.onnx")))
        net.enableFusion(False)  # 4.6 is off by 18% of the largest where it fuses residual additions
        net.setInput(self.image)
        return [net.forward(name) for name in outputs or graph.outputs]

    def compare(self, expected, image=None):
        expected = numpy.concatenate([maps.ravel() for maps in expected])
        ours = self.ours(image)
        self.assertEqual(ours.size, expected.size)
        self.assertGreater(numpy.abs(expected).max(), 1e-3)  # zeros would agree with much
        self.assertLess(numpy.abs(ours - expected).max() / numpy.abs(expected).max(), TOLERANCE)

    def every_opset(self, network, *args, opsets=OPSETS, reference=READ_BY_OPENCV):
        expected = self.theirs(network(foreign.Graph(reference)))
        for opset in opsets:
            with self.subTest(opset=opset):
                self.imported(network(foreign.Graph(opset)), *args)
                self.compare(expected)
        return self.told()

    # ---- networks ----

    def test_trt_pose(self):
        told = self.every_opset(foreign.trt_pose, "--order", "rgb", opsets=(9, 11, 13, 15, 17, 21))
        self.assertEqual((told["skeleton"], told["output"]["heatmaps"], told["output"]["stride"]), ("trt18", 18, 4))
        self.assertEqual(told["input"]["order"], "rgb")

    def test_mobilenet(self):
        told = self.every_opset(foreign.mobilenet)
        self.assertEqual((told["skeleton"], told["output"]["stride"]), ("coco18", 8))

    def test_leftovers_of_tracing(self):
        told = self.every_opset(foreign.leftovers)
        self.assertEqual(told["output"]["stride"], 8)

    def test_padding_that_tracing_spells_out(self):
        """Uneven sides, so that none can be taken for another."""
        def network(g):
            x = g.conv(g.pad("image", 1, 2, 3, 4), 8, stride=8, size=8, pad=0)
            return g.heads(g.act(g.conv(g.pad(x, 0, 1, 2, 0), 8, pad=0)))

        self.every_opset(network, opsets=(9, 11, 13, 17, 21))

    def test_same_padding_of_an_input_that_was_padded(self):
        """Within the stride it is what it says; else SAME would mean another number of zeros."""
        def network(pads):
            g = foreign.Graph(13)
            x = g.node("Pad", [g.conv("image", 8, stride=4), g.ints(0, 0, *pads[:2], 0, 0, *pads[2:])])
            y = g.node("Conv", [x, g.weight(g.normal(8, 8, 3, 3))], strides=[2, 2], auto_pad="SAME_UPPER")
            g.channels[y] = 8
            return g.heads(y)

        self.refused(network((0, 0, 1, 1)), "(Conv)", "auto_pad SAME after a Pad")
        self.refused(network((0, 1, 0, 2)), "(Conv)", "auto_pad SAME after a Pad")
        self.imported(network((0, 0, 2, 2)))
        self.imported(network((1, 0, 1, 2)))

    def test_same_padding_where_windows_have_left_an_odd_size(self):
        def network(size, pad=0):
            g = foreign.Graph(13)
            x = g.conv(g.conv("image", 8, stride=4), 8, size=size, pad=pad)
            y = g.node("Conv", [x, g.weight(g.normal(8, 8, 3, 3))], strides=[2, 2], auto_pad="SAME_UPPER")
            g.channels[y] = 8
            return g.heads(y)

        self.refused(network(2), "(Conv)", "a size which the stride does not divide; export with explicit pads")
        self.refused(network(2, 1), "(Conv)", "a size which the stride does not divide; export with explicit pads")
        self.imported(network(3))
        self.imported(network(3, 1))
        self.imported(network(5, 1))

    def test_same_padding_of_a_transposed_window_smaller_than_its_stride(self):
        def network(size, **attributes):
            g = foreign.Graph(13)
            weight = g.weight(g.normal(8, 8, size, size))
            y = g.node("ConvTranspose", [g.conv("image", 8, stride=8), weight], strides=[2, 2], auto_pad="SAME_UPPER",
                       **attributes)
            g.channels[y] = 8
            return g.heads(y)

        self.refused(network(1), "(ConvTranspose)", "a kernel smaller than its stride; export with explicit pads")
        self.imported(network(2))
        self.imported(network(1, output_padding=[1, 1]))

    def test_zeros_that_are_not_written(self):
        """ONNX has a second definition, in proto3, by which numbers that are zero are left out of the file."""
        class WithoutZeros(foreign.Graph):
            def write(self, path):
                model = onnx.load(super().write(path))
                for attribute in [a for node in model.graph.node for a in node.attribute]:
                    for field in ("f", "i"):
                        if attribute.HasField(field) and getattr(attribute, field) == 0:
                            attribute.ClearField(field)
                path.write_bytes(model.SerializeToString())
                return path

        def network(g):
            x = g.clip(g.conv("image", 8, stride=4), 0, 6)
            x = g.clip(g.conv(x, 8), -1, 0)
            x = g.act(g.conv(x, 8, stride=2), "LeakyRelu", alpha=0.0)
            return g.heads(g.act(g.conv(x, 8), "Elu", alpha=0.0))

        expected = self.theirs(network(foreign.Graph(READ_BY_OPENCV)))
        for opset in (9, 13):
            with self.subTest(opset=opset):
                self.imported(network(WithoutZeros(opset)))
                self.compare(expected)

    # ---- resizing ----

    def test_bilinear_between_half_pixels(self):
        def network(g):
            return g.heads(g.bilinear(g.act(g.conv("image", 8, stride=4)), rule="pytorch_half_pixel"))

        self.every_opset(network, opsets=(11, 12, 13, 18, 21), reference=11)

    def test_bilinear_that_shifts_is_refused(self):
        g = foreign.Graph(11)
        g.heads(g.bilinear(g.conv("image", 8, stride=4), rule="asymmetric"))
        self.refused(g, "(Resize)", "only linear with half_pixel")

    # ---- outputs ----

    def both(self, first, second):
        def network(g):
            x = g.act(g.conv(g.conv("image", 8, stride=4), 8, stride=2))
            g.output(g.concat(g.conv(x, first, 1), g.conv(x, second, 1)), "out")
            return g
        return network

    def test_one_tensor_with_both(self):
        """Maps first needs no options; fields first must be told."""
        for sizes, args in [((19, 38), []), ((38, 19), ["--both", "out", "--pafs-first", "--skeleton", "coco18"])]:
            network = self.both(*sizes)
            [out] = self.theirs(network(foreign.Graph(READ_BY_OPENCV)))
            maps = [out[:, :19], out[:, 19:]] if sizes[0] == 19 else [out[:, 38:], out[:, :38]]
            for opset in (9, 12, 13, 21):
                with self.subTest(sizes=sizes, opset=opset):
                    self.imported(network(foreign.Graph(opset)), *args)
                    told = self.told()
                    self.assertEqual((told["output"]["heatmaps"], told["skeleton"]), (19, "coco18"))
                    self.compare(maps)

    def test_cut_in_two_and_again(self):
        """What the first import gave a name to, the sizes of its Split among it, the second must name otherwise."""
        network, args = self.both(38, 19), ["--both", "out", "--pafs-first", "--skeleton", "coco18"]
        for opset in (12, 13):
            with self.subTest(opset=opset):
                self.imported(network(foreign.Graph(opset)), *args)
                maps = self.ours()
                first = self.result.rename(self.dir / "first.onnx")
                done = subprocess.run([POSED, "model", "import", first, "-o", self.result, *args], capture_output=True,
                                      text=True, timeout=120)
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                self.assertTrue(numpy.array_equal(self.ours(), maps))

    def test_other_programs_can_read_what_was_cut_or_named(self):
        """ONNX's own operators may be said to be of the domain "ai.onnx"; from version 13 on a Split has its sizes as
        an input. Outputs have a shape."""
        class SpeltOut(foreign.Graph):
            def write(self, path):
                model = onnx.load(super().write(path))
                model.opset_import[0].domain = "ai.onnx"
                path.write_bytes(model.SerializeToString())
                return path

        def apart(g):
            x = g.conv("image", 8, stride=8)
            g.output(g.conv(x, 19, 1), "first")
            g.output(g.conv(x, 38, 1), "second")
            return g

        for kind, opset in [(foreign.Graph, 12), (foreign.Graph, 13), (SpeltOut, 12), (SpeltOut, 13)]:
            for network, args in [(self.both(19, 38), ["--both", "out", "--skeleton", "coco18"]),
                                  (apart, ["--heatmaps", "first", "--pafs", "second"])]:
                with self.subTest(kind=kind.__name__, opset=opset, args=args):
                    self.imported(network(kind(opset)), *args)
                    model = onnx.load(self.result)
                    model.opset_import[0].domain = ""  # the checker knows it by that name alone
                    onnx.checker.check_model(model)

    def test_a_written_networks_sides_have_names_of_their_own(self):
        subprocess.run([POSED, "model", "random", "--network", "tiny", "-o", self.result], check=True, timeout=60)
        model = onnx.load(self.result)
        onnx.checker.check_model(model)
        sides = [{d.dim_param for d in v.type.tensor_type.shape.dim[2:]}
                 for v in [*model.graph.input, *model.graph.output]]
        self.assertTrue(all(len(s) == 2 and "" not in s for s in sides), sides)
        self.assertTrue(all(sides[0].isdisjoint(s) for s in sides[1:]), sides)

    def test_weights_that_are_called_like_outputs(self):
        g = self.both(19, 38)(foreign.Graph(13))
        for kernel, name in zip([node for node in g.nodes if node.op_type == "Conv"], ("heatmap", "paf", "split_sizes")):
            next(w for w in g.weights if w.name == kernel.input[1]).name = name
            kernel.input[1] = name
        self.imported(g, "--both", "out", "--skeleton", "coco18")
        self.assertEqual(self.told()["output"]["heatmaps"], 19)

    def test_split_inside_the_graph(self):
        def network(g):
            x = g.conv(g.act(g.conv("image", 8, stride=8)), 57)
            for part, name in zip(g.split(x, 38, 19), ("fields", "maps")):
                g.output(g.node("Identity", [part]), name)
            return g

        g = network(foreign.Graph(READ_BY_OPENCV))
        expected = self.theirs(g, ["maps", "fields"])
        for opset in OPSETS:
            with self.subTest(opset=opset):
                self.imported(network(foreign.Graph(opset)))
                self.compare(expected)

    def test_outputs_told_by_name(self):
        """An earlier stage and one beside it have the same channels: names say which are meant."""
        g = foreign.Graph(13)
        x = g.act(g.conv("image", 8, stride=8))
        g.heads(x, names=("a", "b"))
        g.heads(g.act(g.conv(x, 8)), names=("c", "d"))
        expected = self.theirs(g, ["a", "b"])
        self.imported(g, "--heatmaps", "a", "--pafs", "b")
        self.compare(expected)

    # ---- input ----

    def normalising(self, g):
        x = g.node("Sub", ["image", g.weight(numpy.reshape([123.7, 116.3, 103.5], (1, 3, 1, 1)))])
        x = g.node("Div", [x, g.weight(numpy.reshape([58.4, 57.1, 57.4], (1, 3, 1, 1)))])
        return g.heads(g.act(g.conv(x, 8, stride=8)))

    def test_normalisation_inside_the_graph(self):
        """It is taken out of the graph and done where frames become floats."""
        self.image *= 255
        told = self.every_opset(self.normalising, "--order", "rgb", "--mean", "0", "--scale", "1", opsets=(9, 13, 21))
        self.assertEqual([layer["kind"] for layer in told["layers"]], ["conv"] * 3)
        numpy.testing.assert_allclose(told["input"]["mean"], [123.7, 116.3, 103.5], rtol=1e-5)
        numpy.testing.assert_allclose(told["input"]["scale"], [1 / 58.4, 1 / 57.1, 1 / 57.4], rtol=1e-5)

    def test_colours_in_the_other_order(self):
        """The order is for whoever feeds the network; the weights stay as they are."""
        for order in ("bgr", "rgb"):
            g = foreign.mobilenet(foreign.Graph(13))
            self.imported(g, "--order", order)
            self.assertEqual(self.told()["input"]["order"], order)
            self.compare(self.theirs(foreign.mobilenet(foreign.Graph(READ_BY_OPENCV))))

    # ---- what is refused ----

    def test_unknown_operators_are_named_with_their_node(self):
        for op in ("GridSample", "Einsum", "InstanceNormalization"):
            g = foreign.Graph(16)
            x = g.node(op, [g.conv("image", 8, stride=8)])
            g.heads(x)
            self.refused(g, f"node '{g.nodes[1].name}' ({op})", "not known to posed")

    def test_outputs_turned_to_channels_last_are_the_maps_themselves(self):
        """As tf2onnx ends a network whose input it made n x c x h x w."""
        plain = foreign.mobilenet(foreign.Graph(READ_BY_OPENCV))
        expected = self.theirs(plain)
        g = foreign.mobilenet(foreign.Graph(13))
        for name in ("heatmap", "paf"):
            inner = f"{name}.inner"
            for node in g.nodes:
                node.output[:] = [inner if made == name else made for made in node.output]
            g.node("Transpose", [inner], perm=[0, 2, 3, 1])
            g.nodes[-1].output[0] = name
        self.imported(g)
        self.compare(expected)

    def test_channels_last_is_refused_with_what_to_do(self):
        """TensorFlow's layout: converters can keep it at the input, or turn it inside."""
        g = foreign.Graph(13, nhwc=True)
        g.heads(g.conv(g.node("Transpose", ["image"], perm=[0, 3, 1, 2]), 8, stride=8))
        self.refused(g, "input 'image' is not an n x 3 x h x w image")
        g = foreign.Graph(13)
        g.heads(g.conv(g.node("Transpose", [g.node("Transpose", ["image"], perm=[0, 2, 3, 1])], perm=[0, 3, 1, 2]), 8))
        self.refused(g, "(Transpose)", "export the network as n x c x h x w")

    def test_sizes_of_other_tensors_are_refused(self):
        g = foreign.Graph(13)
        x = g.conv("image", 8, stride=4)
        deep = g.conv(x, 8, stride=2)
        sizes = g.node("Concat", [g.size(x, axis) for axis in range(4)], axis=0)
        y = g.node("Resize", [deep, "", "", sizes], mode="nearest")
        g.channels[y] = 8
        g.heads(g.concat(x, y))
        self.refused(g, "(Resize)", "export with scale_factor")


if __name__ == "__main__":
    unittest.main(verbosity=2)
