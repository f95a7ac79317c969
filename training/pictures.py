# SPDX-License-Identifier: Apache-2.0
"""All pictures of a dataset in the memory of the device, as bytes: no loader to wait for."""
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Optional, Tuple

import cv2
import numpy as np
import torch

from .labels import Dataset, People
from .skeleton import N_KEYPOINTS

PEOPLE_MAX = 24  # in one picture; more are regions to leave out


def decode(data: bytes, longest: int) -> Tuple[np.ndarray, float]:
    """The picture, its longest side at most so many pixels, and by how much it was scaled."""
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if picture is None:
        raise ValueError("a picture cannot be decoded")
    scale = min(1.0, longest / max(picture.shape[:2]))
    if scale < 1:
        size = max(1, int(picture.shape[1] * scale)), max(1, int(picture.shape[0] * scale))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return picture, scale


def pad_people(people: People, scale: float) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """PEOPLE_MAX rows of points, boxes and ignore, the largest first; beyond that a box to ignore round all others."""
    order = np.argsort(-people.boxes[:, 2] * people.boxes[:, 3]) if len(people.boxes) else np.zeros(0, int)
    points = np.zeros((PEOPLE_MAX, N_KEYPOINTS, 3), np.float32)
    boxes, ignore = np.zeros((PEOPLE_MAX, 4), np.float32), np.zeros(PEOPLE_MAX, bool)
    first = order[:PEOPLE_MAX if len(order) <= PEOPLE_MAX else PEOPLE_MAX - 1]
    n, rest = len(first), people.boxes[order[len(first):]]
    points[:n], boxes[:n], ignore[:n] = people.points[first], people.boxes[first], people.ignore[first]
    if len(rest):
        low, high = rest[:, :2].min(0), (rest[:, :2] + rest[:, 2:]).max(0)
        boxes[n], ignore[n] = np.concatenate([low, high - low]), True
    points[:, :, :2] = (points[:, :, :2] + .5) * scale - .5
    return points, boxes * scale, ignore


class Pictures:
    """pixels n x 3 x h x w bytes (BGR), sizes n x 2 (h, w); with labels points, boxes and ignore as well."""

    def __init__(self, dataset: Dataset, longest: int, device: torch.device) -> None:
        cv2.setNumThreads(1)  # one thread a picture is enough
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            decoded = list(pool.map(lambda data: decode(data, longest), dataset.pictures))
        sizes = np.array([p.shape[:2] for p, _ in decoded], np.int64)
        canvas = sizes.max(axis=0)
        pixels = torch.zeros(len(decoded), 3, *canvas.tolist(), dtype=torch.uint8)
        for i, (picture, _) in enumerate(decoded):
            pixels[i, :, :sizes[i, 0], :sizes[i, 1]] = torch.from_numpy(picture).permute(2, 0, 1)
        self.pixels = pixels.to(device)  # all at once: every copy waits for the steps that are under way
        self.sizes = torch.from_numpy(sizes).to(device, torch.float32)
        scales = [s for _, s in decoded]
        self.points: Optional[torch.Tensor] = None
        if dataset.people:
            parts = [np.stack(p) for p in zip(*(pad_people(p, s) for p, s in zip(dataset.people, scales)))]
            self.points, self.boxes, self.ignore = (torch.from_numpy(p).to(device) for p in parts)

    def append(self, other: "Pictures") -> None:
        """Of the same kind and canvas."""
        if other.pixels.shape[1:] != self.pixels.shape[1:] or self.points is None or other.points is None:
            raise ValueError(f"pictures of {list(other.pixels.shape[2:])} cannot join {list(self.pixels.shape[2:])}")
        for name in ("pixels", "sizes", "points", "boxes", "ignore"):
            setattr(self, name, torch.cat([getattr(self, name), getattr(other, name)]))

    def __len__(self) -> int:
        return len(self.pixels)
