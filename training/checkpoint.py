# SPDX-License-Identifier: Apache-2.0
"""Checkpoints to go on from: DIR/weights.pt (network and its average), DIR/optimiser.pt and DIR/loss.csv.

Apart, because the weights are all that fine-tuning and export need. Each is written aside and renamed: a run that is
killed while it saves leaves the checkpoint before.
"""
import csv
import os
from dataclasses import asdict, dataclass
from typing import Any, List, Optional, Sequence

import torch

from .average import Average
from .graph import Graph, Network, Op


@dataclass
class Progress:
    step: int = 0          # of all runs
    seconds: float = 0.0   # of all runs
    schedule: float = 0.0  # how much of the schedule of the learning rate is done, 0..1


def write(value: Any, path: str) -> None:
    torch.save(value, path + ".part")
    os.replace(path + ".part", path)


def save(folder: str, network: Network, average: Average, optimiser: torch.optim.Optimizer, at: Progress) -> None:
    os.makedirs(folder, exist_ok=True)
    write(optimiser.state_dict(), os.path.join(folder, "optimiser.pt"))
    ops = [[o.kind, o.output, o.inputs, o.attributes] for o in network.ops]  # plain values: loading runs no code
    write({"network": network.state_dict(), "average": average.network.state_dict(), "progress": asdict(at), "ops": ops,
           "meta": network.meta}, os.path.join(folder, "weights.pt"))


def read(folder: str, device: torch.device) -> Any:
    return torch.load(os.path.join(folder, "weights.pt"), map_location=device, weights_only=True)


def read_graph(folder: str) -> Graph:
    """The shape of a checkpoint's network, without its weights."""
    state = read(folder, torch.device("cpu"))
    return Graph([Op(*op) for op in state["ops"]], meta=state["meta"])


def load(folder: str, network: Network, average: Optional[Average], optimiser: Optional[torch.optim.Optimizer],
         device: torch.device) -> Progress:
    state = read(folder, device)
    network.load_state_dict(state["network"])
    if average:
        average.network.load_state_dict(state["average"])
    path = os.path.join(folder, "optimiser.pt")
    if optimiser and os.path.exists(path):
        optimiser.load_state_dict(torch.load(path, map_location=device, weights_only=True))
    return Progress(**state["progress"])


def save_losses(folder: str, rows: Sequence[Sequence[float]]) -> None:
    path = os.path.join(folder, "loss.csv")
    with open(path + ".part", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["seconds", "loss"], *rows])
    os.replace(path + ".part", path)


def load_losses(folder: str, at: Progress) -> List[List[float]]:
    """Those of the runs that led to this checkpoint."""
    path = os.path.join(folder, "loss.csv")
    if not os.path.exists(path):
        return []
    with open(path, newline="", encoding="utf-8") as file:
        rows = [[float(value) for value in row] for row in list(csv.reader(file))[1:]]
    return [row for row in rows if row[0] <= at.seconds]
