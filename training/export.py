#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes a checkpoint's averaged weights as an ONNX file that posed loads, the norms folded, and checks the file.

    python3 -m training.export --run run --out network.onnx --name posed-lite
"""
import argparse
import sys

import torch

from . import checkpoint
from .graph import Network
from .onnx_file import read_onnx, write_onnx
from .skeleton import STRIDE

LICENCE = "Apache-2.0"
SAME = 1e-4  # the file's answers may differ by this much from the network's: rounding


def read_run(folder: str) -> Network:
    network = Network(checkpoint.read_graph(folder), norm=True)
    network.load_state_dict(checkpoint.read(folder, torch.device("cpu"))["average"])
    return network.eval()


def export(network: Network, path: str, name: str, licence: str) -> None:
    write_onnx(network, path, {"name": name, "skeleton": "coco18", "input_order": "bgr", "stride": str(STRIDE),
                               "licence": licence})


@torch.no_grad()
def largest_difference(network: Network, path: str) -> float:
    """Of the file's answers from the network's, on noise."""
    picture = torch.rand(1, 3, 96, 128, generator=torch.Generator().manual_seed(1)) * 255
    ours, theirs = network(picture)[-1], Network(read_onnx(path)).eval()(picture)[-1]
    return max(float((a - b).abs().max()) for a, b in zip(ours, theirs))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", required=True, metavar="DIR", help="what training.train left in its --out")
    parser.add_argument("--out", required=True, metavar="FILE", help="the ONNX file")
    parser.add_argument("--name", default="posed-lite", help="of the network (posed-lite)")
    parser.add_argument("--licence", default=LICENCE, help=f"of the weights ({LICENCE})")
    args = parser.parse_args()
    network = read_run(args.run)
    export(network, args.out, args.name, args.licence)
    difference = largest_difference(network, args.out)
    print(f"{args.out}: {sum(len(w.flatten()) for w in network.folded().values())} parameters, "
          f"largest difference {difference:.1e}")
    if difference > SAME:
        sys.exit("export: the file does not answer as the network does")


if __name__ == "__main__":
    main()
