#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The OpenPose COCO network in PyTorch with random weights: the peer of `posed bench --engine cudnn`.

    bench/peers/openpose_torch.py --batch 1 8 32 --mode eager graph compile --precision fp16 --peak
    bench/peers/openpose_torch.py --precision fp16 tf32 fp32 --mode eager --json peers.json --seconds 100

Prints one line for each combination as soon as it is known: milliseconds a batch (median of repeats, device events),
frames/s. --peak measures what the device's matrix units give a product of 8192 x 8192 x 8192 of random numbers in the
same precision. Nothing new is begun once --seconds have gone: combinations come in order of precision, then mode, then
batch. torch.compile searches for minutes, so each batch of it is a process of its own that --compile-seconds ends."""
import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
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


def measure_row(a, precision, mode, n, net, dtype):
    began = time.monotonic()
    x = torch.randn(n, 3, a.height, a.width, device="cuda", dtype=dtype).to(memory_format=torch.channels_last)
    ms = measure(net, mode, x, a.repeats if precision == "fp16" else 5)  # half a second a batch
    return {"precision": precision, "mode": mode, "batch": n, "ms": ms, "fps": n * 1e3 / ms,
            "seconds_to_measure": round(time.monotonic() - began)}


def measure_apart(a, precision, mode, n):
    """The row from a process of its own, or why there is none."""
    command = [sys.executable, os.path.abspath(__file__), "--child", "--precision", precision, "--mode", mode, "--batch",
               str(n), "--width", str(a.width), "--height", str(a.height), "--repeats", str(a.repeats)]
    env = {"TORCHINDUCTOR_COMPILE_THREADS": str(os.cpu_count()), **os.environ}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env,
                               start_new_session=True)
    try:
        out, log = process.communicate(timeout=a.compile_seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # with the compilers that it started
        process.communicate()
        return None, f"not done after {a.compile_seconds:.0f} s"
    if process.returncode:
        return None, (log.strip().splitlines() or [f"exit status {process.returncode}"])[-1]
    return json.loads(out.splitlines()[-1]), ""


def network(precision):
    dtype = set_precision(precision)
    return OpenPose().cuda().to(dtype).to(memory_format=torch.channels_last).eval(), dtype


def tell(precision, mode, n, row, why):
    head = f"{precision} batch {n:2} {mode:8}"
    print(f"{head} left out: {why}" if not row else f"{head} {row['ms']:9.3f} ms {row['fps']:9.1f} frames/s "
          f"({row['seconds_to_measure']} s to measure)", flush=True)


def measure_all(a, result):
    begin = time.monotonic()
    for precision in a.precision:
        net, dtype = network(precision)
        if a.peak:
            result["peak_tflops"][precision] = peak_tflops(dtype)
            print(f"{precision} matrix product 8192^3: {result['peak_tflops'][precision]:.1f} TFLOP/s", flush=True)
        for mode in a.mode:
            for n in a.batch:
                row, why = None, "no time"
                if time.monotonic() - begin <= a.seconds:
                    row, why = (measure_apart(a, precision, mode, n) if mode == "compile"
                                else (measure_row(a, precision, mode, n, net, dtype), ""))
                tell(precision, mode, n, row, why)
                result["rows"] += [row] if row else []
                if a.json:
                    with open(a.json, "w") as f:
                        json.dump(result, f, indent=1)


def options():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--batch", type=int, nargs="+", default=[1, 8, 32])
    p.add_argument("--mode", nargs="+", default=["eager", "graph", "compile"], choices=["eager", "graph", "compile"])
    p.add_argument("--precision", nargs="+", default=["fp16"], choices=["fp16", "tf32", "fp32"])
    p.add_argument("--width", type=int, default=656)
    p.add_argument("--height", type=int, default=368)
    p.add_argument("--repeats", type=int, default=20)
    p.add_argument("--peak", action="store_true", help="the matrix product as well")
    p.add_argument("--seconds", type=float, default=1e9)
    p.add_argument("--compile-seconds", type=float, default=300)
    p.add_argument("--json", metavar="FILE")
    p.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    return p.parse_args()


def main():
    a = options()
    with torch.inference_mode():
        if a.child:
            net, dtype = network(a.precision[0])
            print(json.dumps(measure_row(a, a.precision[0], a.mode[0], a.batch[0], net, dtype)))
            return
        result = {"device": torch.cuda.get_device_name(), "torch": torch.__version__,
                  "cudnn": torch.backends.cudnn.version(), "width": a.width, "height": a.height, "peak_tflops": {},
                  "rows": []}
        print(f"{result['device']}, PyTorch {torch.__version__}, cuDNN {result['cudnn']}", flush=True)
        measure_all(a, result)


if __name__ == "__main__":
    main()
