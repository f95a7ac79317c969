# SPDX-License-Identifier: Apache-2.0
"""One process a device, each with its share of the pictures, all with the same weights.

Started by torch's launcher: python3 -m torch.distributed.run --nproc-per-node 4 -m training.train ...
"""
import os
from typing import Iterable, List, Sequence, TypeVar

import torch
import torch.distributed as dist
from torch import nn

T = TypeVar("T")


class Workers:
    """All processes of a run; a run without the launcher is one of one."""

    def __init__(self) -> None:
        self.rank, self.count = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
        self.here = int(os.environ.get("LOCAL_RANK", 0))

    def device(self, name: str) -> torch.device:
        """Joins the others; this process's device of that kind."""
        if self.count == 1:
            return torch.device(name)
        device = torch.device("cuda", self.here) if name == "cuda" else torch.device(name)
        if device.type == "cuda":
            torch.cuda.set_device(device)
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
        return device

    def mine(self, everything: Sequence[T]) -> List[T]:
        return list(everything[self.rank::self.count])

    @torch.no_grad()
    def alike(self, network: nn.Module) -> None:
        """Everybody gets the first one's weights and statistics."""
        if self.count > 1:
            for value in network.state_dict().values():
                dist.broadcast(value, 0)

    @torch.no_grad()
    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        if self.count == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([g.flatten() for g in gradients])  # one message instead of hundreds
        dist.all_reduce(flat)
        flat /= self.count
        for gradient, part in zip(gradients, flat.split([g.numel() for g in gradients])):
            gradient.copy_(part.view_as(gradient))

    def mean(self, values: torch.Tensor) -> List[float]:
        """The same numbers for everybody, so that all decide alike. Waits for the device."""
        if self.count > 1:
            dist.all_reduce(values)
            values = values / self.count
        return values.tolist()

    def close(self) -> None:
        if self.count > 1:
            dist.destroy_process_group()
