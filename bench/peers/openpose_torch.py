#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The OpenPose COCO network in PyTorch with random weights: the peer of `posed bench --engine cudnn`.

    bench/peers/openpose_torch.py --batch 1 8 32 --mode eager graph compile --precision fp16 --peak
    bench/peers/openpose_torch.py --precision fp16 tf32 fp32 --mode eager --json peers.json --seconds 100

Prints one line for each combination: milliseconds a batch (median of repeats, device events), frames/s. --peak measures
what the device's matrix units give a product of 8192 x 8192 x 8192 of random numbers in the same precision. Nothing new
is begun once --seconds have gone: combinations come in order of precision, then mode, then batch."""
import argparse
import json
import statistics
import time

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


def peak_tflops(dtype):
    n = 8192
    a, b = (torch.randn(n, n, device="cuda", dtype=dtype) for _ in range(2))
    return 2 * n**3 / median_ms(lambda: a @ b, 10) / 1e9


def measure(net, mode, x, repeats):
    if mode == "compile":
        torch._dynamo.reset()
        compiled = torch.compile(net, mode="max-autotune", dynamic=False)
        return median_ms(lambda: compiled(x), repeats)
    return median_ms(graph_of(net, x) if mode == "graph" else lambda: net(x), repeats)


def set_precision(precision):
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    return torch.half if precision == "fp16" else torch.float


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--batch", type=int, nargs="+", default=[1, 8, 32])
    p.add_argument("--mode", nargs="+", default=["eager", "graph", "compile"], choices=["eager", "graph", "compile"])
    p.add_argument("--precision", nargs="+", default=["fp16"], choices=["fp16", "tf32", "fp32"])
    p.add_argument("--width", type=int, default=656)
    p.add_argument("--height", type=int, default=368)
    p.add_argument("--repeats", type=int, default=20)
    p.add_argument("--peak", action="store_true", help="the matrix product as well")
    p.add_argument("--seconds", type=float, default=1e9)
    p.add_argument("--json", metavar="FILE")
    a = p.parse_args()
    begin, rows = time.monotonic(), []
    result = {"device": torch.cuda.get_device_name(), "torch": torch.__version__,
              "cudnn": torch.backends.cudnn.version(), "width": a.width, "height": a.height, "peak_tflops": {},
              "rows": rows}
    print(f"{result['device']}, PyTorch {torch.__version__}, cuDNN {result['cudnn']}", flush=True)
    with torch.inference_mode():
        for precision in a.precision:
            dtype = set_precision(precision)
            if a.peak:
                result["peak_tflops"][precision] = peak_tflops(dtype)
                print(f"{precision} matrix product 8192^3: {result['peak_tflops'][precision]:.1f} TFLOP/s", flush=True)
            net = OpenPose().cuda().to(dtype).to(memory_format=torch.channels_last).eval()
            for mode in a.mode:
                for n in a.batch:
                    if time.monotonic() - begin > a.seconds:
                        print(f"{precision} batch {n:2} {mode:8} left out: no time", flush=True)
                        continue
                    x = torch.randn(n, 3, a.height, a.width, device="cuda", dtype=dtype)
                    took = time.monotonic()
                    x = x.to(memory_format=torch.channels_last)
                    ms = measure(net, mode, x, a.repeats if precision == "fp16" else 5) # half a second a batch
                    rows.append({"precision": precision, "mode": mode, "batch": n, "ms": ms, "fps": n * 1e3 / ms})
                    print(f"{precision} batch {n:2} {mode:8} {ms:9.3f} ms {n * 1e3 / ms:9.1f} frames/s "
                          f"({time.monotonic() - took:.0f} s to measure)", flush=True)
                    if a.json:
                        with open(a.json, "w") as f:
                            json.dump(result, f, indent=1)


if __name__ == "__main__":
    main()
