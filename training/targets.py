# SPDX-License-Identifier: Apache-2.0
"""What the network should answer: OpenPose's confidence maps and part affinity fields, and where not to ask.

Formulae: Cao et al., arXiv 1611.08050, section 2: a map is the largest of its people's Gaussians; a field holds the
unit vector of the limb within its breadth, the mean where limbs of several people cross.
"""
from typing import Tuple

import torch

from .skeleton import LIMB_WIDTH, LIMBS_BY_CHANNEL, OFFSET, SIGMA, STRIDE

FAINT = 0.01  # smaller values of a Gaussian are 0, as in OpenPose
Targets = Tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def sample_grid(height: int, width: int, device: torch.device) -> Tuple[torch.Tensor, torch.Tensor]:
    """Input pixels of the samples of maps height x width: x 1 x w, y h x 1."""
    y = torch.arange(height, device=device, dtype=torch.float32) * STRIDE + OFFSET
    x = torch.arange(width, device=device, dtype=torch.float32) * STRIDE + OFFSET
    return x[None, :], y[:, None]


def confidence_maps(points: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """points b x p x 18 x 3, input pixels -> b x 19 x height x width, background last."""
    x, y = sample_grid(height, width, points.device)
    px, py, there = (points[..., i, None, None] for i in range(3))
    # A Gaussian is a product of two: only the product is as large as the maps.
    ex, ey = (torch.exp(-(a - b) ** 2 / (2 * SIGMA ** 2)) for a, b in ((x, px), (y, py)))
    maps = (ex * ey * (there > 0)).amax(dim=1)
    maps = torch.where(maps < FAINT, torch.zeros_like(maps), maps)
    return torch.cat([maps, 1 - maps.amax(dim=1, keepdim=True)], 1)


def affinity_fields(points: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """points b x p x 18 x 3 -> b x 38 x height x width, x and y of each limb."""
    x, y = sample_grid(height, width, points.device)
    start, end = (points[:, :, [limb[i] for limb in LIMBS_BY_CHANNEL]] for i in (0, 1))  # b x p x 19 x 3
    way = end[..., :2] - start[..., :2]
    length = way.norm(dim=-1)
    unit = way / length.clamp_min(1e-3)[..., None]
    there = (start[..., 2] > 0) & (end[..., 2] > 0) & (length > 1e-3)
    dx, dy = x - start[..., 0, None, None], y - start[..., 1, None, None]  # b x p x 19 x 1 x w and ... x h x 1
    ux, uy = unit[..., 0, None, None], unit[..., 1, None, None]
    along, across = dx * ux + dy * uy, dx * uy - dy * ux
    inside = ((across.abs() <= LIMB_WIDTH) & (along >= -LIMB_WIDTH) &
              (along <= length[..., None, None] + LIMB_WIDTH) & there[..., None, None]).float()
    several = inside.sum(1).clamp_min(1)
    fields = torch.stack([(inside * u).sum(1) / several for u in (ux, uy)], 2)  # b x 19 x 2 x h x w
    return fields.flatten(1, 2)


def loss_weight(boxes: torch.Tensor, ignore: torch.Tensor, maps: torch.Tensor) -> torch.Tensor:
    """1 where the loss counts, 0 inside ignored boxes unless somebody labelled is there: b x 1 x h x w."""
    x, y = sample_grid(*maps.shape[2:], maps.device)
    x0, y0, w, h = (boxes[..., i, None, None] for i in range(4))
    inside = (x >= x0) & (x <= x0 + w) & (y >= y0) & (y <= y0 + h) & ignore[..., None, None]
    labelled = 1 - maps[:, -1:]
    return torch.where(inside.any(dim=1, keepdim=True), labelled, torch.ones_like(labelled))


def make_targets(points: torch.Tensor, boxes: torch.Tensor, ignore: torch.Tensor, height: int, width: int) -> Targets:
    """Fields, maps and weight for maps of height x width. Points of ignored people are left out."""
    kept = points.clone()
    kept[..., 2] = torch.where(ignore[..., None], torch.zeros_like(kept[..., 2]), kept[..., 2])
    maps = confidence_maps(kept, height, width)
    return affinity_fields(kept, height, width), maps, loss_weight(boxes, ignore, maps)
