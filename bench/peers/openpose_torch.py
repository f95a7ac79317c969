#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The OpenPose COCO network in PyTorch with random weights: the peer that `posed bench --engine cudnn` is measured against.

    bench/peers/openpose_torch.py --batch 1 8 32 --mode eager graph compile --precision fp16

Prints one line for each combination: milliseconds a batch (median of repeats, device events), frames/s."""
import argparse
import statistics

import torch
from torch import nn


def conv(ci, co, k, relu=True):
    layers = [nn.Conv2d(ci, co, k, padding=k // 2)]
    return layers + [nn.ReLU(inplace=True)] if relu else layers


def features():
    layers, ci = [], 3
    for co in (64, 64, "pool", 128, 128, "pool", 256, 256, 256, 256, "pool", 512, 512, 256, 128):
        if co == "pool":
            layers.append(nn.MaxPool2d(2))
        else:
            layers += conv(ci, co, 3)
            ci = co
    return nn.Sequential(*layers)


def first(co):
    return nn.Sequential(*conv(128, 128, 3), *conv(128, 128, 3), *conv(128, 128, 3), *conv(128, 512, 1),
                         *conv(512, co, 1, False))


def refine(co):
    layers = conv(185, 128, 7)
    for _ in range(4):
        layers += conv(128, 128, 7)
    return nn.Sequential(*layers, *conv(128, 128, 1), *conv(128, co, 1, False))


class OpenPose(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = features()
        self.paf = nn.ModuleList([first(38)] + [refine(38) for _ in range(5)])
        self.heat = nn.ModuleList([first(19)] + [refine(19) for _ in range(5)])

    def forward(self, image):
        f = self.features(image)
        x = f
        for paf, heat in zip(self.paf, self.heat):
            a, b = paf(x), heat(x)
            x = torch.cat((a, b, f), 1)
        return a, b


def graph_of(net, x):
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            net(x)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        net(x)
    return graph.replay


def median_ms(run, repeats):
    for _ in range(5):
        run()
    torch.cuda.synchronize()
    times = []
    for _ in range(repeats):
        a, b = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        a.record()
        run()
        b.record()
        torch.cuda.synchronize()
        times.append(a.elapsed_time(b))
    return statistics.median(times)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--batch", type=int, nargs="+", default=[1, 8, 32])
    p.add_argument("--mode", nargs="+", default=["eager", "graph", "compile"], choices=["eager", "graph", "compile"])
    p.add_argument("--precision", default="fp16", choices=["fp16", "tf32", "fp32"])
    p.add_argument("--width", type=int, default=656)
    p.add_argument("--height", type=int, default=368)
    p.add_argument("--repeats", type=int, default=30)
    a = p.parse_args()
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = a.precision == "tf32"
    dtype = torch.half if a.precision == "fp16" else torch.float
    net = OpenPose().cuda().to(dtype).to(memory_format=torch.channels_last).eval()
    print(f"{torch.cuda.get_device_name()}, PyTorch {torch.__version__}, cuDNN {torch.backends.cudnn.version()}")
    with torch.inference_mode():
        for n in a.batch:
            x = torch.randn(n, 3, a.height, a.width, device="cuda", dtype=dtype).to(memory_format=torch.channels_last)
            for mode in a.mode:
                torch._dynamo.reset()
                if mode == "compile":
                    compiled = torch.compile(net, mode="max-autotune")
                    ms = median_ms(lambda: compiled(x), a.repeats)
                else:
                    ms = median_ms(graph_of(net, x) if mode == "graph" else lambda: net(x), a.repeats)
                print(f"{a.precision} batch {n:2} {mode:8} {ms:9.3f} ms {n * 1e3 / ms:9.1f} frames/s", flush=True)


if __name__ == "__main__":
    main()
