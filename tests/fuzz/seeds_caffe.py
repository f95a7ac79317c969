#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the corpus of fuzz_caffe: Caffe networks of a few kilobytes that have every type of layer between them.

usage: seeds_caffe.py tests/fuzz/corpus/caffe"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "net"))
import caffe  # noqa: E402


def dense():
    net = caffe.Net("dense", 1)
    x = net.pool("pool", net.conv("conv", "image", 2, 3, stride=2), k=2, stride=2)
    x = net.act("prelu", x, "PReLU")
    x = net.dense("fc1", x, 2, 3)
    net.act("relu", x, "ReLU")
    net.add("Dropout", "drop", x, x)
    net.dense("fc2", x, 3, 4)
    net.add("Softmax", "prob", "fc2")
    return net


def pose(name, last="net_output"):
    net = caffe.Net(name, 2)
    x = net.conv("conv4_4_CPM", "image", 1, 1)
    net.concat("concat", [net.conv("L2", x, 16, 1), net.conv("L1", x, 28, 1)], last)
    return net


def snapshot():
    net = caffe.Net("snapshot", 3)
    net.inputs = []
    net.layers.append(("data", "CPMData", [], ["data", "label"], [], {}))
    net.add("Slice", "image", "data", ["image", "center_map"], slice_point=[3], axis=1)
    net.add("Silence", "silence", "center_map", [])
    net.channels["image"] = 3
    x = net.conv("conv_CPM", "image", 1, 1)
    net.add("Split", "split", x, ["a", "b"])
    net.channels.update(a=1, b=1)
    for source, maps in (("a", 28), ("b", 16)):
        end = net.conv(f"end_{source}", source, maps, 1)
        net.add("Eltwise", f"mask_{source}", [end, "label"], operation=0)
        net.add("EuclideanLoss", f"loss_{source}", [f"mask_{source}", "label"])
    return net


folder = pathlib.Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
for net, generations in ((caffe.medley(width=1 / 4, heat=16, paf=28), (False,)), (dense(), (False,)),
                         (pose("pose"), (False, True)), (pose("both", "both"), (False,)), (snapshot(), (False,))):
    for old in generations:
        (folder / (net.name + ("-old" if old else ""))).write_bytes(net.caffemodel(old))
