# SPDX-License-Identifier: Apache-2.0
"""The running mean of a network's weights: what is exported. Follows fast at first, slowly later."""
import copy

import torch
from torch import nn

HALF_STEPS, LONGEST = 12, 1000  # the mean of the last steps/12, at most 1000 of them


class Average:
    def __init__(self, network: nn.Module) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.mine = [t for t in self.network.state_dict().values() if t.is_floating_point()]
        self.theirs = [t for t in network.state_dict().values() if t.is_floating_point()]

    @torch.no_grad()
    def update(self, step: int) -> None:
        torch._foreach_lerp_(self.mine, self.theirs, 1 / (min(step / HALF_STEPS, LONGEST) + 2))
