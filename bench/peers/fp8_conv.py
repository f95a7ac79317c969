#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Convolutions of OpenPose COCO at 656x368 in fp8 (e4m3) and fp16, each by the fastest plan that cuDNN has for it.

    bench/peers/fp8_conv.py                   a minute, a few plans of each
    bench/peers/fp8_conv.py --seconds 12      all of them
    bench/peers/fp8_conv.py --batch 32 --seconds 20 --fused --verbose

Needs PyTorch and NVIDIA's cuDNN frontend (pip install nvidia-cudnn-frontend, module cudnn; its wheel unpacked into a
folder of PYTHONPATH does). Channels last, random numbers. Every plan of cuDNN's heuristics A and FALLBACK is built and
timed until a shape's --seconds are over, the best one again for --ms milliseconds of CUDA graphs between two events.

Kinds: fp16, fp32 accumulation, fp16 output; fp8, fp32 accumulation, output scaled and rounded to fp8; "fp8 fast", the
same with the tensor cores' own shorter accumulation; where neither is supported, fp8 inputs with fp16 output. --fused
adds a bias and ReLU to all of them, as the network has. "error" is the rms difference from PyTorch's fp16 convolution
of the same numbers as a share of their rms: 0.03 is what rounding the output to e4m3 costs. For bounds, PyTorch's
products of 8192 x 8192 x 8192 in fp16 and fp8 come first."""
import argparse
import json
import math
import time

import torch

SHAPES = [  # name, channels in and out, kernel, height, width
    ("7x7 128-128", 128, 128, 7, 46, 82),
    ("7x7 192-128", 192, 128, 7, 46, 82),  # 185 channels in whole 16s, as fp8 wants them
    ("3x3 128-128", 128, 128, 3, 46, 82),
    ("3x3 256-256", 256, 256, 3, 92, 164),
    ("3x3 512-512", 512, 512, 3, 46, 82),
    ("1x1 128-512", 128, 512, 1, 46, 82),
]
MOST_WORKSPACE = 4 << 30


def one_line(e):
    return " ".join(f"{type(e).__name__}: {e}".split())[:200]


def nhwc(data):
    """Strides of a tensor in channels last, also where PyTorch has others for sides of 1."""
    _, c, h, w = data.shape
    return [c * h * w, 1, c * w, c]


def timed(run, times):
    """Milliseconds of one run() on the current stream."""
    a, b = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    a.record()
    for _ in range(times):
        run()
    b.record()
    b.synchronize()
    return a.elapsed_time(b) / times


def lasting(run, ms):
    """Milliseconds of one run(), of as many as last @ms, after half as long a time to warm up."""
    run()
    n = max(2, math.ceil(ms / timed(run, 2)))
    timed(run, n // 2 + 1)
    return timed(run, n)


def products(ms):
    """What the matrix units give a large product."""
    n = 8192
    a, b = torch.randn(n, n, device="cuda"), torch.randn(n, n, device="cuda")
    h, w = a.half(), b.half()
    q, r, one = a.to(torch.float8_e4m3fn), b.to(torch.float8_e4m3fn).t(), torch.ones((), device="cuda")
    runs = [("fp16", lambda: torch.mm(h, w))]
    for fast in (False, True):
        runs.append(("fp8 fast" if fast else "fp8", lambda fast=fast: torch._scaled_mm(
            q, r, scale_a=one, scale_b=one, out_dtype=torch.half, use_fast_accum=fast)))
    for name, run in runs:
        try:
            yield name, 2 * n**3 / lasting(run, ms) / 1e9
        except Exception as e:
            print(f"product, {name}: {one_line(e)}", flush=True)


class Convolution:
    """The numbers of one shape in one precision and the graphs cuDNN runs over them."""

    def __init__(self, cudnn, handle, shape, batch, fused):
        self.cudnn, self.handle, self.fused = cudnn, handle, fused
        _, ci, co, self.k, h, w = shape
        self.x = self.random(batch, ci, h, w)
        self.w = self.random(co, ci, self.k, self.k)
        self.bias = self.random(1, co, 1, 1)
        self.scale = torch.full((1, 1, 1, 1), 1 / math.sqrt(ci * self.k**2), device="cuda")  # results of about 1
        self.flop = 2 * batch * co * ci * self.k**2 * h * w

    @staticmethod
    def random(*shape):
        """Numbers that e4m3 and fp16 both have, as fp16."""
        x = torch.randn(*shape, device="cuda").to(memory_format=torch.channels_last)
        return x.to(torch.float8_e4m3fn).half()

    def graph(self, in_type, out_type, fast):
        """The graph and what each of its tensors lies in."""
        t = self.cudnn.data_type
        g = self.cudnn.pygraph(io_data_type=t.HALF, intermediate_data_type=t.FLOAT, compute_data_type=t.FLOAT,
                               handle=self.handle)
        at = {}

        def tensor(data, name):
            node = g.tensor(name=name, dim=list(data.shape), stride=nhwc(data), data_type=data.dtype)
            at[node] = data
            return node

        y = g.conv_fprop(image=tensor(self.x.to(in_type), "x"), weight=tensor(self.w.to(in_type), "w"),
                         padding=[self.k // 2] * 2, stride=[1, 1], dilation=[1, 1],
                         compute_data_type=t.FAST_FLOAT_FOR_FP8 if fast else t.FLOAT, name="conv")
        # fp16 holds the unscaled results of these shapes, so only what becomes fp8 pays for the multiplication
        if out_type != torch.half:
            y = g.mul(y, tensor(self.scale, "scale"), name="scaled")
        if self.fused:
            y = g.relu(g.bias(y, tensor(self.bias, "b"), name="bias"), name="relu")
        y.set_output(True).set_data_type(t.HALF if out_type == torch.half else t.FP8_E4M3)
        out = torch.empty(self.x.shape[0], self.w.shape[0], *self.x.shape[2:], device="cuda", dtype=torch.half)
        out = out.to(memory_format=torch.channels_last).to(out_type)
        at[y] = out
        y.set_dim(list(out.shape)).set_stride(nhwc(out))
        return g, at, out

    def plans(self, g):
        c = self.cudnn
        g.validate()
        g.build_operation_graph()
        g.create_execution_plans([c.heur_mode.A, c.heur_mode.FALLBACK])
        try:
            g.check_support()
        except Exception as e:  # that of one plan may not be that of all
            print(f"    check_support: {one_line(e)}", flush=True)
        return g.get_execution_plan_count()

    def replay(self, g, at, index, runs):
        """@runs executions of plan @index as a CUDA graph."""
        g.build_plan_at_index(index)
        size = g.get_workspace_size_plan_at_index(index)
        if size > MOST_WORKSPACE:
            raise MemoryError(f"workspace of {size >> 20} MiB")
        space = torch.empty(max(size, 1), device="cuda", dtype=torch.uint8)
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())

        def run():
            g.execute_plan_at_index(at, space, index, handle=self.handle)

        with torch.cuda.stream(stream):
            self.cudnn.set_stream(handle=self.handle, stream=stream.cuda_stream)
            run()
            torch.cuda.synchronize()
            graph = torch.cuda.CUDAGraph()
            graph.capture_begin()
            try:
                for _ in range(runs):
                    run()
            finally:
                graph.capture_end()
        return graph, space  # the graph reads and writes the workspace

    def error(self, out, out_type):
        y = torch.nn.functional.conv2d(self.x, self.w, padding=self.k // 2).float()
        y = y * self.scale if out_type != torch.half else y
        y = torch.relu(y + self.bias) if self.fused else y
        return ((out.float() - y).square().mean() / y.square().mean()).sqrt().item()

    def best(self, kind, until, ms, verbose):
        """The fastest plan as a row, or None. Plans come as cuDNN ranks them; those left when time is up stay."""
        runs, found, tried, failed = 10, None, 0, []
        g, at, out = self.graph(*kind)
        count = self.plans(g)
        for index in range(count):
            if found and time.monotonic() > until:
                break
            tried += 1
            try:
                graph, space = self.replay(g, at, index, runs)
                graph.replay()
                row = {"ms": timed(graph.replay, 2) / runs, "plan": index, "engine": g.get_plan_name_at_index(index)}
            except Exception as e:
                failed.append(f"plan {index}: {one_line(e)}")
                continue
            if verbose:
                print(f"    {row['ms']:8.4f} ms {row['engine']}", flush=True)
            if not found or row["ms"] < found["ms"]:
                found, kept = row, (graph, space)
        for line in failed if verbose else failed[:1]:
            print(f"    {len(failed)} of {count} plans failed: {line}", flush=True)
        if not found:
            return None
        found["ms"] = lasting(kept[0].replay, ms) / runs
        found.update(tflops=self.flop / found["ms"] / 1e9, tried=tried, count=count, error=self.error(out, kind[1]))
        return found


HALF, FP8 = torch.half, torch.float8_e4m3fn
KINDS = {"fp16": (HALF, HALF, False), "fp8": (FP8, FP8, False), "fp8 fast": (FP8, FP8, True)}
FALLBACK = {"fp8, fp16 out": (FP8, HALF, False), "fp8 fast, fp16 out": (FP8, HALF, True)}


def measure_kind(a, conv, name, kind, until, head, base):
    try:
        row = conv.best(kind, until, a.ms, a.verbose)
    except Exception as e:
        print(f"{head} {name:18} {one_line(e)}", flush=True)
        return None
    if not row:
        print(f"{head} {name:18} no plan runs", flush=True)
        return None
    ratio = f"{base['ms'] / row['ms']:5.2f} x fp16," if base else " " * 12
    print(f"{head} {name:18} {row['ms']:8.4f} ms {row['tflops']:7.1f} TFLOP/s {ratio} error {row['error']:.4f}, "
          f"{row['tried']} of {row['count']} plans, {row['engine']}", flush=True)
    return row


def measure_shape(a, cudnn, handle, shape, batch):
    head, rows = f"{shape[0]} batch {batch:2}", {}
    conv, begin = Convolution(cudnn, handle, shape, batch, a.fused), time.monotonic()
    for i, (name, kind) in enumerate(KINDS.items()):
        until = begin + a.seconds * (i + 1) / len(KINDS)  # what fp16 leaves is fp8's, whose plans take longer to build
        rows[name] = measure_kind(a, conv, name, kind, until, head, rows.get("fp16"))
    if not rows["fp8"] and not rows["fp8 fast"]:
        for name, kind in FALLBACK.items():
            until = time.monotonic() + a.seconds / len(FALLBACK)
            rows[name] = measure_kind(a, conv, name, kind, until, head, rows["fp16"])
    return [{"shape": shape[0], "batch": batch, "kind": k, **r} for k, r in rows.items() if r]


def options():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--batch", type=int, nargs="+", default=[32, 8])
    p.add_argument("--seconds", type=float, default=3.5, help="for the plans of a shape and batch (%(default)s)")
    p.add_argument("--ms", type=float, default=120, help="length of the measurement that counts (%(default)s)")
    p.add_argument("--fused", action="store_true", help="with bias and ReLU")
    p.add_argument("--verbose", action="store_true", help="every plan")
    p.add_argument("--json", metavar="FILE")
    return p.parse_args()


def main():
    a = options()
    print(f"{torch.cuda.get_device_name()}, PyTorch {torch.__version__}, cuDNN {torch.backends.cudnn.version()}",
          flush=True)
    import cudnn  # now that PyTorch has loaded the library it is for
    print(f"cuDNN frontend {cudnn.__version__} over cuDNN {cudnn.backend_version()}", flush=True)
    torch.manual_seed(1)
    torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = False
    result = {"device": torch.cuda.get_device_name(), "products": {}, "rows": []}
    for name, tflops in products(a.ms):
        result["products"][name] = tflops
        print(f"product of 8192^3, {name:8} {tflops:7.1f} TFLOP/s", flush=True)
    handle = cudnn.create_handle()
    for batch in a.batch:
        for shape in SHAPES:
            try:
                result["rows"] += measure_shape(a, cudnn, handle, shape, batch)
            except Exception as e:
                print(f"{shape[0]} batch {batch:2} {one_line(e)}", flush=True)
            torch.cuda.empty_cache()
    if a.json:
        with open(a.json, "w") as f:
            json.dump(result, f, indent=1)


if __name__ == "__main__":
    main()
