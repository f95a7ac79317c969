#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Network forward pass on a CPU: posed beside onnxruntime and OpenCV's dnn, on the same ONNX file in one run.

The three take turns, so that whatever else the machine does hits all of them; ratios count, not times. Each turn is a
process of its own or a call of its own with the given number of threads. With --cpu-time, processor time is compared
instead of elapsed time, which stays meaningful on a busy machine (give --threads 1: waiting threads spin).

Needs onnxruntime and OpenCV for Python (numpy below 2 where OpenCV comes from the distribution):
    python3 -m venv --system-site-packages /tmp/bench && /tmp/bench/bin/pip install onnxruntime 'numpy<2'
    /tmp/bench/bin/python bench/forward.py build/daemon/posed models/posed-lite.onnx --size 656x368 --size 456x256
"""
import argparse
import json
import statistics
import subprocess
import time

import numpy as np


class Posed:
    name = "posed"

    def __init__(self, args, width, height):
        self.command = [args.posed, "bench", "--json", "--no-layers", "--batch", "1", "--network", args.network,
                        "--engine", args.engine, "--threads", str(args.threads), "--width", str(width),
                        "--height", str(height), "--seconds", str(args.seconds)]
        if args.cpu_time:
            self.command.append("--cpu-time")

    def turn(self):
        out = json.loads(subprocess.run(self.command, check=True, stdout=subprocess.PIPE).stdout)
        return out["batches"][0]["best_ms"], out["batches"][0]["ms"]


class InProcess:
    def __init__(self, args, width, height):
        self.clock = time.process_time if args.cpu_time else time.perf_counter
        self.seconds = args.seconds
        self.input = np.random.default_rng(1).uniform(0, 255, (1, 3, height, width)).astype(np.float32)

    def turn(self):
        self.forward()
        times, begin = [], time.perf_counter()
        while len(times) < 3 or time.perf_counter() - begin < self.seconds:
            start = self.clock()
            self.forward()
            times.append((self.clock() - start) * 1e3)
        return min(times), statistics.median(times)


class OnnxRuntime(InProcess):
    name = "onnxruntime"

    def __init__(self, args, width, height):
        super().__init__(args, width, height)
        import onnxruntime
        self.version = onnxruntime.__version__
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = args.threads
        options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(args.network, options, providers=["CPUExecutionProvider"])
        self.key = self.session.get_inputs()[0].name

    def forward(self):
        self.session.run(None, {self.key: self.input})


class OpenCv(InProcess):
    name = "opencv dnn"

    def __init__(self, args, width, height):
        super().__init__(args, width, height)
        import cv2
        self.version = cv2.__version__
        cv2.setNumThreads(args.threads)
        self.net = cv2.dnn.readNetFromONNX(args.network)

    def forward(self):
        self.net.setInput(self.input)
        self.net.forward(self.net.getUnconnectedOutLayersNames())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("posed", help="the posed program")
    parser.add_argument("network", help="ONNX file with an input of free size")
    parser.add_argument("--size", action="append", help="WIDTHxHEIGHT of the input, may be repeated (default: 656x368)")
    parser.add_argument("--engine", default="onednn")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--turns", type=int, default=5, help="rounds over the three (default: 5)")
    parser.add_argument("--seconds", type=float, default=1.0, help="length of a turn (default: 1)")
    parser.add_argument("--cpu-time", action="store_true", help="compare processor time")
    args = parser.parse_args()
    for size in args.size or ["656x368"]:
        width, height = (int(v) for v in size.split("x"))
        runners = [kind(args, width, height) for kind in (Posed, OnnxRuntime, OpenCv)]
        best = {r.name: [] for r in runners}
        median = {r.name: [] for r in runners}
        for _ in range(args.turns):
            for runner in runners:
                low, middle = runner.turn()
                best[runner.name].append(low)
                median[runner.name].append(middle)
        ours = min(best["posed"])
        print(f"\n{args.network} {size}, {args.threads} threads, {args.turns} turns"
              f"{', processor time' if args.cpu_time else ''}")
        print(f"{'':22}{'best ms':>10}{'median ms':>11}{'best / posed':>14}")
        for runner in runners:
            label = f"{runner.name} {getattr(runner, 'version', '')}"
            low = min(best[runner.name])
            print(f"{label:22}{low:10.1f}{statistics.median(median[runner.name]):11.1f}{low / ours:14.2f}")


if __name__ == "__main__":
    main()
