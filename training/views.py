# SPDX-License-Identifier: Apache-2.0
"""Random views of pictures, made on the device: where the camera looks, and what it does to colours and sharpness.

A view is an affine map from its pixels to the picture's. What is labelled moves along: a mirrored person's left
shoulder is his right one.
"""
import math
from dataclasses import dataclass
from typing import Tuple

import torch
import torch.nn.functional as F

from .pictures import Pictures
from .skeleton import MIRRORED


@dataclass
class Look:
    """How views of a kind of picture are taken."""
    zoom: Tuple[float, float]  # 1: the picture just fills the view
    rotation: float            # standard deviation, radians
    reach: float               # 0: looks at the middle; 1: anywhere in the picture


PHOTOGRAPH = Look((0.7, 1.9), math.radians(11), 1.0)
CAMERA = Look((0.5, 1.7), math.radians(4), 1.0)  # wider, so that people are as small as cameras see them
ROTATION_MAX = math.radians(36)
SMALL = 26.0  # view pixels; somebody less tall is left out of the loss: the maps have three samples for him


def uniform(n: int, low: float, high: float, device: torch.device) -> torch.Tensor:
    return torch.rand(n, device=device) * (high - low) + low


@dataclass
class Placement:
    """Of n views. View pixel (u, v), from the view's middle, lies at centre + inverse @ (u, v) of the picture."""
    centre: torch.Tensor   # n x 2
    inverse: torch.Tensor  # n x 2 x 2
    forward: torch.Tensor  # n x 2 x 2
    zoom: torch.Tensor     # n
    mirrored: torch.Tensor  # n, bool


def place(sizes: torch.Tensor, look: Look, view: Tuple[int, int]) -> Placement:
    n, device = len(sizes), sizes.device
    height, width = sizes.unbind(1)
    zoom = torch.exp(uniform(n, math.log(look.zoom[0]), math.log(look.zoom[1]), device))
    zoom = zoom * torch.maximum(view[0] / height, view[1] / width)
    angle = (torch.randn(n, device=device) * look.rotation).clamp(-ROTATION_MAX, ROTATION_MAX)
    mirrored = torch.rand(n, device=device) < 0.5
    # How far from the picture's middle the view's may lie so that it still shows mostly the picture.
    free_x = (width - view[1] / zoom).abs() / 2 + .04 * width
    free_y = (height - view[0] / zoom).abs() / 2 + .04 * height
    centre = torch.stack([width / 2 - .5 + free_x * look.reach * uniform(n, -1, 1, device),
                          height / 2 - .5 + free_y * look.reach * uniform(n, -1, 1, device)], 1)
    c, s, flip = torch.cos(angle), torch.sin(angle), 1 - 2 * mirrored.float()
    forward = torch.stack([torch.stack([c * flip, -s], 1), torch.stack([s * flip, c], 1)], 1)
    scale = zoom[:, None, None]  # but for it the matrix is orthogonal
    return Placement(centre, forward.transpose(1, 2) / scale, forward * scale, zoom, mirrored)


def warp(pixels: torch.Tensor, sizes: torch.Tensor, p: Placement, view: Tuple[int, int],
         shift: torch.Tensor) -> Tuple[torch.Tensor, torch.Tensor]:
    """The views (floats 0..255) and where the picture is in them. shift n x 2: from the view's middle to the centre."""
    h, w = view
    v, u = torch.meshgrid(torch.arange(h, device=pixels.device) - (h - 1) / 2,
                          torch.arange(w, device=pixels.device) - (w - 1) / 2, indexing="ij")
    uv = torch.stack([u, v], -1).view(1, -1, 2) - shift[:, None]
    xy = (uv @ p.inverse.transpose(1, 2) + p.centre[:, None]).view(-1, h, w, 2)
    limit = torch.stack([sizes[:, 1], sizes[:, 0]], 1)[:, None, None] - 1
    inside = ((xy >= -.5) & (xy <= limit + .5)).all(-1)
    xy = torch.minimum(xy.clamp_min(0), limit)  # the edge goes on outside
    canvas = torch.tensor([pixels.shape[3], pixels.shape[2]], device=pixels.device)
    picture = F.grid_sample(pixels.float(), (xy + .5) * 2 / canvas - 1, mode="bilinear", padding_mode="border",
                            align_corners=False)
    return picture, inside[:, None]


def move_people(points: torch.Tensor, boxes: torch.Tensor, ignore: torch.Tensor, p: Placement,
                view: Tuple[int, int]) -> Tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """points b x p x 18 x 3, boxes b x p x 4, ignore b x p of pictures, to those of views."""
    middle = torch.tensor([(view[1] - 1) / 2, (view[0] - 1) / 2], device=points.device)

    def move(xy: torch.Tensor) -> torch.Tensor:  # b x ... x 2
        flat = xy.flatten(1, -2) - p.centre[:, None]
        return (flat @ p.forward.transpose(1, 2) + middle).view(xy.shape)

    xy, there = move(points[..., :2]), points[..., 2:]
    edge = torch.tensor([view[1], view[0]], device=points.device) - .5
    there = there * ((xy > -.5) & (xy < edge)).all(-1, keepdim=True)
    moved = torch.cat([xy, there], -1)
    moved = torch.where(p.mirrored[:, None, None, None], moved[:, :, MIRRORED], moved)
    x0, y0, w, h = boxes.unbind(-1)
    corners = move(torch.stack([torch.stack([x0 + i * w, y0 + j * h], -1) for i in (0, 1) for j in (0, 1)], 2))
    low, high = corners.amin(2), corners.amax(2)
    tall = boxes[..., 3] * p.zoom[:, None]
    return moved, torch.cat([low, high - low], -1), ignore | ((tall < SMALL) & (boxes[..., 3] > 0))


def background(picture: torch.Tensor, inside: torch.Tensor, share: float) -> torch.Tensor:
    """Around the picture: for a share of the views its edge goes on, for the others one colour, half of them grey."""
    n, device = len(picture), picture.device
    colour = torch.rand(n, 3, 1, 1, device=device) * 255
    colour = torch.where(torch.rand(n, 1, 1, 1, device=device) < .5, torch.full_like(colour, 128.), colour)
    goes_on = torch.rand(n, 1, 1, 1, device=device) < share
    return torch.where(inside | goes_on, picture, colour)


AIMED = 0.7     # share of the views of labelled pictures that look near somebody
AIM_OFF = 0.35  # how far from the middle he may be, of the view's sides


def aim_at_people(p: Placement, pictures: Pictures, index: torch.Tensor, view: Tuple[int, int]) -> None:
    """Moves most of the views to one of the labelled people: walls teach little."""
    n, device = len(index), index.device
    there = (~pictures.ignore[index] & (pictures.boxes[index, :, 3] > 0)).float()
    who = torch.multinomial(there + 1e-9, 1).squeeze(1)
    box = pictures.boxes[index, who]
    off = torch.stack([uniform(n, -AIM_OFF, AIM_OFF, device) * side for side in (view[1], view[0])], 1)
    aim = box[:, :2] + box[:, 2:] / 2 - off / p.zoom[:, None]
    chosen = (torch.rand(n, device=device) < AIMED) & (there.sum(1) > 0)
    p.centre = torch.where(chosen[:, None], aim, p.centre)


def take(pictures: Pictures, n: int, look: Look, view: Tuple[int, int]) -> Tuple[torch.Tensor, torch.Tensor, Placement]:
    """n views of random pictures: the views, the pictures' indices and where they were taken."""
    index = torch.randint(len(pictures), (n,), device=pictures.pixels.device)
    p = place(pictures.sizes[index], look, view)
    if pictures.points is not None:
        aim_at_people(p, pictures, index, view)
    nowhere = torch.zeros(n, 2, device=index.device)
    picture, inside = warp(pictures.pixels[index], pictures.sizes[index], p, view, nowhere)
    return background(picture, inside, .6), index, p


PASTES = [(.55, .5, 1.2), (.35, .28, .75), (.2, .22, .6)]  # share of the views, size against the view's: from, to


def paste(views: torch.Tensor, pictures: Pictures) -> torch.Tensor:
    """Other pictures laid upon some of the views, smaller and turned: more people, cut off and behind each other."""
    size, device = (views.shape[2], views.shape[3]), views.device
    for share, low, high in PASTES:
        k = max(1, int(len(views) * share))
        where = torch.randperm(len(views), device=device)[:k]
        index = torch.randint(len(pictures), (k,), device=device)
        look = Look((low, high), math.radians(13), 0.0)
        p = place(pictures.sizes[index], look, size)
        shift = torch.stack([uniform(k, -.46, .46, device) * size[1], uniform(k, -.4, .4, device) * size[0]], 1)
        picture, inside = warp(pictures.pixels[index], pictures.sizes[index], p, size, shift)
        views[where] = torch.where(inside, picture, views[where])
    return views


def colours(views: torch.Tensor) -> torch.Tensor:
    """Another exposure, contrast, tint and saturation for every view; some are grey."""
    n, device = len(views), views.device

    def each(low: float, high: float) -> torch.Tensor:
        return uniform(n, low, high, device).view(n, 1, 1, 1)

    x = (views / 255).clamp(0, 1) ** torch.exp(each(-.35, .35))
    mean = x.mean((1, 2, 3), keepdim=True)
    x = (x - mean) * each(.65, 1.3) + mean * each(.75, 1.25)
    x = x * (1 + .12 * torch.randn(n, 3, 1, 1, device=device) * (each(0, 1) < .5))
    grey = x.mean(1, keepdim=True)
    x = grey + (x - grey) * torch.where(each(0, 1) < .08, torch.zeros_like(mean), each(.5, 1.4))
    return (x * 255).clamp(0, 255)


def blurred(x: torch.Tensor, sigma: float) -> torch.Tensor:
    r = math.ceil(2.5 * sigma)
    kernel = torch.exp(-torch.arange(-r, r + 1, device=x.device).float() ** 2 / (2 * sigma ** 2))
    kernel = (kernel / kernel.sum()).view(1, 1, -1, 1).expand(3, 1, -1, 1)
    x = F.conv2d(F.pad(x, (r, r, r, r), mode="replicate"), kernel, groups=3)
    return F.conv2d(x, kernel.transpose(2, 3), groups=3)


def degrade(views: torch.Tensor) -> torch.Tensor:
    """What bad cameras do: an eighth of the views each is blurred, of low resolution, dark; a quarter is noisy."""
    x, device = views.clone(), views.device
    eighth, order = len(views) // 8, torch.randperm(len(views), device=device)
    if not eighth:
        return x
    a, b, c, d = (order[i * eighth:j * eighth] for i, j in ((0, 1), (1, 2), (2, 3), (3, 5)))
    x[a] = blurred(x[a], float(torch.empty(1).uniform_(.5, 1.8)))
    small = F.interpolate(x[b], scale_factor=1 / float(torch.empty(1).uniform_(1.4, 2.4)), mode="area")
    x[b] = F.interpolate(small, size=x.shape[2:], mode="bilinear", align_corners=False)
    x[c] = x[c] * uniform(len(c), .18, .6, device).view(-1, 1, 1, 1)
    noisy = torch.cat([c, d])
    x[noisy] += torch.randn_like(x[noisy]) * uniform(len(noisy), 0, 15, device).view(-1, 1, 1, 1)
    return x.clamp(0, 255).round()
