# SPDX-License-Identifier: Apache-2.0
"""Squared error, heavier where there is something: most of a map is empty, and empty maps would be a cheap answer."""
from typing import List, Tuple

import torch

from .targets import Targets

FIRST_STAGES = 0.5  # weight of all stages but the last


def stage_loss(answer: Tuple[torch.Tensor, torch.Tensor], targets: Targets) -> torch.Tensor:
    fields, maps, weight = targets
    heavy = torch.cat([1 + 8 * maps[:, :-1].abs(), 1 + 2 * (1 - maps[:, -1:]).abs()], 1)
    paf = ((answer[0].float() - fields) ** 2 * (1 + 6 * fields.abs()) * weight).mean() * fields.shape[1]
    return paf + 1.5 * ((answer[1].float() - maps) ** 2 * heavy * weight).mean() * maps.shape[1]


def network_loss(answers: List[Tuple[torch.Tensor, torch.Tensor]],
                 targets: Targets) -> Tuple[torch.Tensor, torch.Tensor]:
    """What to minimise, and the last stage's part of it."""
    last = stage_loss(answers[-1], targets)
    total = last
    for answer in answers[:-1]:
        total = total + FIRST_STAGES * stage_loss(answer, targets)
    return total, last.detach()
