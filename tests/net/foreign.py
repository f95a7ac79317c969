# SPDX-License-Identifier: Apache-2.0
"""ONNX graphs as the exporters of training frameworks leave them, with random weights."""
import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper

HEIGHT, WIDTH = 64, 96


class Graph:
    """One graph: a method an operator, in the form that the given opset has for it. Each returns its output's name."""

    def __init__(self, opset, seed=1, nhwc=False):
        self.opset = opset
        self.random = numpy.random.RandomState(seed)
        self.nodes, self.weights, self.outputs, self.channels = [], [], [], {"image": 3}
        self.shape = [1, HEIGHT, WIDTH, 3] if nhwc else [1, 3, HEIGHT, WIDTH]

    def node(self, op, inputs, outputs=1, **attributes):
        first = f"{op}_{len(self.nodes)}"
        names = [f"{first}_out{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(op, inputs, names, first, **attributes))
        if inputs and inputs[0] in self.channels:
            self.channels.update(dict.fromkeys(names, self.channels[inputs[0]]))
        return names[0] if outputs == 1 else names

    def weight(self, values, dtype=numpy.float32):
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(numpy.asarray(values, dtype), name))
        return name

    def ints(self, *values):
        return self.weight(values, numpy.int64)

    def constant(self, values, dtype=numpy.int64):
        """As a node, the way PyTorch's exporter writes constants."""
        return self.node("Constant", [], value=numpy_helper.from_array(numpy.asarray(values, dtype)))

    def normal(self, *shape, scale=1.0):
        return (self.random.standard_normal(shape) * scale).astype(numpy.float32)

    # ---- layers ----

    def conv(self, x, out, size=3, stride=1, group=1, pad=None, dilation=1, bias=True):
        each = self.channels[x] // group
        pad = dilation * (size // 2) if pad is None else pad
        inputs = [x, self.weight(self.normal(out, each, size, size, scale=(2 / (each * size * size)) ** 0.5))]
        if bias:
            inputs.append(self.weight(self.normal(out, scale=0.1)))
        y = self.node("Conv", inputs, kernel_shape=[size, size], strides=[stride, stride], pads=[pad] * 4, group=group,
                      dilations=[dilation, dilation])
        self.channels[y] = out
        return y

    def up(self, x, out):
        """4 x 4 transposed convolution that doubles."""
        weights = [self.weight(self.normal(self.channels[x], out, 4, 4, scale=(0.5 / self.channels[x]) ** 0.5)),
                   self.weight(self.normal(out, scale=0.1))]
        y = self.node("ConvTranspose", [x, *weights], kernel_shape=[4, 4], strides=[2, 2], pads=[1, 1, 1, 1])
        self.channels[y] = out
        return y

    def norm(self, x):
        n = self.channels[x]
        values = [1 + self.normal(n, scale=0.1), self.normal(n, scale=0.1), self.normal(n, scale=0.1),
                  0.5 + self.random.uniform(size=n)]
        return self.node("BatchNormalization", [x, *map(self.weight, values)], epsilon=1e-5, momentum=0.9)

    def act(self, x, op="Relu", **attributes):
        return self.node(op, [x], **attributes)

    def clip(self, x, low, high):
        if self.opset < 11:
            return self.node("Clip", [x], min=float(low), max=float(high))
        return self.node("Clip", [x, self.constant(low, numpy.float32), self.constant(high, numpy.float32)])

    def prelu(self, x):
        return self.node("PRelu", [x, self.weight(self.random.uniform(0, 0.5, (self.channels[x], 1, 1)))])

    def nearest(self, x, factor=2):
        scales = self.weight([1, 1, factor, factor])
        if self.opset < 10:
            return self.node("Upsample", [x, scales], mode="nearest")
        if self.opset < 11:
            return self.node("Resize", [x, scales], mode="nearest")
        region = self.weight([]) if self.opset < 13 else ""  # may be left out only from opset 13
        return self.node("Resize", [x, region, scales], mode="nearest", nearest_mode="floor",
                         coordinate_transformation_mode="asymmetric")

    def bilinear(self, x, factor=2, rule="half_pixel"):
        region = self.weight([]) if self.opset < 13 else ""
        return self.node("Resize", [x, region, self.weight([1, 1, factor, factor])], mode="linear",
                         coordinate_transformation_mode=rule)

    def pad(self, x, *sides):
        """PyTorch's F.pad by @sides (left, right, top, bottom): the tracer writes the order of ONNX as a computation."""
        if self.opset < 11:
            left, right, top, bottom = sides
            return self.node("Pad", [x], pads=[0, 0, top, left, 0, 0, bottom, right], mode="constant", value=0.0)
        told = self.constant(sides)
        length = self.node("Gather", [self.node("Shape", [told]), self.constant([0])], axis=0)
        more = self.node("Sub", [self.node("Mul", [self.constant(4), self.constant(2)]), length])
        zero = numpy_helper.from_array(numpy.zeros(1, numpy.int64))
        pads = self.node("Concat", [told, self.node("ConstantOfShape", [more], value=zero)], axis=0)
        pads = self.node("Reshape", [pads, self.constant([-1, 2])])
        pads = self.node("Slice", [pads, *map(self.constant, ([-1], [-(2**63) + 1], [0], [-1]))])
        pads = self.node("Reshape", [self.node("Transpose", [pads], perm=[1, 0]), self.constant([-1])])
        fill = self.constant(0.0, numpy.float32)
        return self.node("Pad", [x, self.node("Cast", [pads], to=TensorProto.INT64), fill], mode="constant")

    def concat(self, *xs):
        y = self.node("Concat", list(xs), axis=1)
        self.channels[y] = sum(self.channels[x] for x in xs)
        return y

    def split(self, x, *sizes):
        if self.opset < 13:
            ys = self.node("Split", [x], len(sizes), axis=1, split=sizes)
        else:
            ys = self.node("Split", [x, self.ints(*sizes)], len(sizes), axis=1)
        self.channels.update(zip(ys, sizes))
        return ys

    def unsqueeze(self, x):
        if self.opset < 13:
            return self.node("Unsqueeze", [x], axes=[0])
        return self.node("Unsqueeze", [x, self.ints(0)])

    def size(self, x, axis):
        """One side of @x as a vector of one, in the many nodes that a tracer makes of x.size(axis)."""
        return self.unsqueeze(self.node("Gather", [self.node("Shape", [x]), self.constant(axis)], axis=0))

    # ---- files ----

    def output(self, x, name):
        for node in self.nodes:
            for i, made in enumerate(node.output):
                if made == x:
                    node.output[i] = name
            for i, read in enumerate(node.input):
                if read == x:
                    node.input[i] = name
        self.outputs.append(name)

    def heads(self, x, heat=19, paf=38, names=("heatmap", "paf")):
        for channels, name in zip((heat, paf), names):
            self.output(self.conv(x, channels, 1), name)
        return self

    def write(self, path):
        graph = helper.make_graph(
            self.nodes, "exported", [helper.make_tensor_value_info("image", TensorProto.FLOAT, self.shape)],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", "c", "y", "x"]) for name in self.outputs],
            self.weights)
        model = helper.make_model(graph, producer_name="test", opset_imports=[helper.make_opsetid("", self.opset)])
        model.ir_version = 4 if self.opset < 12 else 7
        path.write_bytes(model.SerializeToString())
        return path


# ---- networks ----


def residual_block(g, x, out, stride):
    y = g.act(g.norm(g.conv(x, out, 3, stride, bias=False)))
    y = g.norm(g.conv(y, out, 3, bias=False))
    if stride > 1:
        x = g.norm(g.conv(x, out, 1, stride, bias=False))
    return g.act(g.node("Add", [y, x]))


def trt_pose(g):
    """ResNet, transposed convolutions, two heads with an attention of their own, as trt_pose's models are."""
    x = g.act(g.norm(g.conv("image", 8, 7, 2, bias=False)))
    x = g.node("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    for out, stride in [(8, 1), (16, 2), (24, 2)]:
        x = residual_block(g, x, out, stride)
    for channels, name in [(18, "cmap"), (42, "paf")]:
        y = x
        for _ in range(2):
            y = g.act(g.norm(g.up(y, 16)))
        gate = g.act(g.conv(y, 16), "Tanh" if name == "paf" else "Sigmoid")
        g.output(g.conv(g.node("Mul", [y, gate]), channels, 1), name)
    return g


def mobilenet(g):
    """Depthwise and grouped convolutions, ReLU6, every activation, a skip over a change of resolution."""
    x = g.clip(g.norm(g.conv("image", 8, stride=2, bias=False)), 0, 6)
    for out, stride in [(16, 2), (24, 2)]:
        x = g.clip(g.norm(g.conv(x, g.channels[x], stride=stride, group=g.channels[x], bias=False)), 0, 6)
        x = g.clip(g.norm(g.conv(x, out, 1, bias=False)), 0, 6)
    x = g.prelu(g.conv(x, 24, group=3))
    low = g.act(g.conv(x, 16, dilation=2), "Elu", alpha=1.0)
    deep = g.act(g.conv(g.act(g.conv(low, 16, stride=2), "LeakyRelu", alpha=0.1), 8), "Sigmoid")
    return g.heads(g.concat(low, g.nearest(deep)))


def leftovers(g):
    """What tracing leaves around layers: dropout, identities, casts, constants, sizes computed by many nodes."""
    x = g.act(g.conv(g.node("Cast", ["image"], to=TensorProto.FLOAT), 8, stride=2))
    if g.opset < 12:
        x = g.node("Dropout", [x], ratio=0.5)
    else:
        x = g.node("Dropout", [x, g.constant(0.5, numpy.float32)])
    x = g.node("Identity", [g.conv(x, 16, stride=2)])
    x = g.node("Mul", [x, g.constant(0.5, numpy.float32)])
    # Channel attention, whose pooled vector is brought back to an image by a reshape to sizes that were traced.
    pooled = g.node("GlobalAveragePool", [x])
    flat = g.node("Reshape", [pooled, g.node("Concat", [g.size(pooled, 0), g.constant([-1])], axis=0)])
    dense = g.node("Gemm", [flat, g.weight(g.normal(16, 16, scale=0.3)), g.weight(g.normal(16, scale=0.1))], transB=1)
    sides = [g.size(x, 0), g.size(x, 1), g.constant([1]), g.constant([1])]
    gate = g.act(g.node("Reshape", [dense, g.node("Concat", sides, axis=0)]), "Sigmoid")
    x = g.act(g.conv(g.node("Mul", [x, gate]), 16, stride=2))
    return g.heads(x)
