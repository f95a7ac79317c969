#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Time of one training iteration (forward, backward, update) of OpenPose's full VGG-19 network.

    python3 -m training.benchmark --batch 16 --size 368

Random weights and pictures, the loss of all six stages, SGD with momentum; fp32, tf32 and bf16, contiguous and channels
last. Median of the iterations after the warm-up, by this machine's clock: each ends when the device is done with it.
"""
import argparse
import json
import statistics
import sys
import time
from typing import List

import torch

from .architecture import ARCHITECTURES
from .graph import Network
from .loss import network_loss
from .skeleton import N_HEAT, N_PAF, STRIDE

WARM_UP = 3


def set_precision(name: str) -> None:
    tf32 = name != "fp32"
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = tf32


def iterations(network: Network, args: argparse.Namespace, precision: str, layout: torch.memory_format) -> List[float]:
    """Milliseconds of every iteration after the warm-up."""
    device, side = torch.device(args.device), args.size // STRIDE
    optimiser = torch.optim.SGD(network.parameters(), lr=1e-6, momentum=.9)
    pictures = (torch.rand(args.batch, 3, args.size, args.size, device=device) * 255).contiguous(memory_format=layout)
    targets = (torch.zeros(args.batch, N_PAF, side, side, device=device),
               torch.zeros(args.batch, N_HEAT, side, side, device=device),
               torch.ones(args.batch, 1, side, side, device=device))
    times, began = [], time.monotonic()
    for i in range(WARM_UP + args.iterations):
        started = time.monotonic()
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            loss, _ = network_loss(network(pictures), targets)
        loss.backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        if device.type == "cuda":
            torch.cuda.synchronize()
        if i >= WARM_UP:
            times.append(1000 * (time.monotonic() - started))
        if len(times) > 2 and time.monotonic() - began > args.seconds:
            break
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architecture", choices=ARCHITECTURES, default="openpose-vgg19")
    parser.add_argument("--batch", type=int, default=16, help="pictures (16)")
    parser.add_argument("--size", type=int, default=368, help="sides of the pictures (368)")
    parser.add_argument("--iterations", type=int, default=10, help="timed at most (10)")
    parser.add_argument("--seconds", type=float, default=4, help="stop earlier after so long, for each row (4)")
    parser.add_argument("--precisions", nargs="+", default=["fp32", "tf32", "bf16"], choices=["fp32", "tf32", "bf16"])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()
    if args.size % STRIDE:
        sys.exit(f"benchmark: --size {args.size} is no multiple of {STRIDE}")
    where = torch.cuda.get_device_name() if args.device.startswith("cuda") else args.device
    for layout, format_name in ((torch.contiguous_format, "nchw"), (torch.channels_last, "nhwc")):
        network = Network(ARCHITECTURES[args.architecture]()).to(args.device, memory_format=layout)
        for precision in args.precisions:
            set_precision(precision)
            times = iterations(network, args, precision, layout)
            print(json.dumps({"network": args.architecture, "batch": args.batch, "size": args.size,
                              "precision": precision, "layout": format_name, "ms": round(statistics.median(times), 2),
                              "iterations": len(times), "device": where, "torch": torch.__version__}), flush=True)


if __name__ == "__main__":
    main()
