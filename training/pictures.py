# SPDX-License-Identifier: Apache-2.0
"""All pictures of a dataset in the memory of the device, as bytes: no loader to wait for."""
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Optional, Sequence, Tuple

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
    """pixels n x 3 x h x w bytes (BGR), sizes n x 2 (h, w); with labels points, boxes and ignore as well.

    room: keep space for so many pictures. append() fills it, and then replaces the oldest ones.
    canvas: h and w instead of those of the largest picture; ValueError when one does not fit."""

    def __init__(self, dataset: Dataset, longest: int, device: torch.device, room: int = 0,
                 canvas: Sequence[int] = ()) -> None:
        cv2.setNumThreads(1)  # one thread a picture is enough
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            decoded = list(pool.map(lambda data: decode(data, longest), dataset.pictures))
            sizes = np.array([p.shape[:2] for p, _ in decoded], np.int64)
            largest = sizes.max(axis=0).tolist()
            if canvas and (largest[0] > canvas[0] or largest[1] > canvas[1]):
                raise ValueError(f"pictures of {largest} do not fit in {list(canvas)}")
            pixels = torch.zeros(len(decoded), 3, *(canvas or largest), dtype=torch.uint8)

            def lay(i: int) -> None:
                pixels[i, :, :sizes[i, 0], :sizes[i, 1]] = torch.from_numpy(decoded[i][0]).permute(2, 0, 1)
            list(pool.map(lay, range(len(decoded))))
        room = max(room, len(decoded))
        self.count, self.next = len(decoded), len(decoded) % room  # next: the row to fill, in the end the oldest
        self.pixels = with_room(pixels, room, device)  # all at once: every copy waits for the steps under way
        self.sizes = with_room(torch.from_numpy(sizes).to(torch.float32), room, device)
        scales = [s for _, s in decoded]
        self.points: Optional[torch.Tensor] = None
        if dataset.people:
            parts = [np.stack(p) for p in zip(*(pad_people(p, s) for p, s in zip(dataset.people, scales)))]
            self.points, self.boxes, self.ignore = (with_room(torch.from_numpy(p), room, device) for p in parts)

    def append(self, other: "Pictures") -> None:
        """Of the same kind and canvas, at most as many as there is room for."""
        if other.pixels.shape[1:] != self.pixels.shape[1:] or self.points is None or other.points is None:
            raise ValueError(f"pictures of {list(other.pixels.shape[2:])} cannot join {list(self.pixels.shape[2:])}")
        room, n = len(self.pixels), min(len(other), len(self.pixels))
        rows = (torch.arange(n, device=self.pixels.device) + self.next) % room
        for name in ("pixels", "sizes", "points", "boxes", "ignore"):
            getattr(self, name)[rows] = getattr(other, name)[:n]
        self.count, self.next = min(room, self.count + n), (self.next + n) % room

    def __len__(self) -> int:
        return self.count


def with_room(values: torch.Tensor, room: int, device: torch.device) -> torch.Tensor:
    """On the device, with rows for room pictures; those behind the given ones are not yet filled."""
    if room == len(values):
        return values.to(device)
    rows = torch.empty(room, *values.shape[1:], dtype=values.dtype, device=device)
    rows[:len(values)] = values.to(device)
    return rows
