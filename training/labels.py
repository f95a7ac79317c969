# SPDX-License-Identifier: Apache-2.0
"""Pictures and who is where in them: from records of unlabelled pictures, tools/scene's truth, COCO annotations."""
import glob
import json
import os
import struct
from dataclasses import dataclass, field
from typing import Iterator, List, Sequence

import numpy as np

from .skeleton import FROM_COCO, L_SHOULDER, N_KEYPOINTS, NECK, R_SHOULDER

# Less of somebody than this in sight and his labels would be guesses: the region is left out of the loss.
MIN_VISIBLE = 0.25
RECORD_MAX = 64 << 20  # bytes; a longer record is a broken file


@dataclass
class People:
    """Everybody in one picture. n people: points n x 18 x 3 (x, y, v: 0 absent, 1 hidden, 2 seen), boxes n x 4
    (x, y, w, h), ignore n: leave this region out of the loss. Pixels; the centre of the first pixel is (0, 0)."""
    points: np.ndarray = field(default_factory=lambda: np.zeros((0, N_KEYPOINTS, 3), np.float32))
    boxes: np.ndarray = field(default_factory=lambda: np.zeros((0, 4), np.float32))
    ignore: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))


@dataclass
class Dataset:
    """Encoded pictures; people is empty when nothing is labelled."""
    pictures: List[bytes] = field(default_factory=list)
    people: List[People] = field(default_factory=list)


def read_records(path: str) -> Iterator[bytes]:
    """Pictures of a file of [uint32 little-endian length][JPEG, PNG or WebP]."""
    with open(path, "rb") as file:
        while head := file.read(4):
            length, = struct.unpack("<I", head.ljust(4, b"\0"))
            data = file.read(length) if length <= RECORD_MAX else b""
            if len(head) < 4 or not length or len(data) < length:
                raise ValueError(f"{path}: a record is cut off or longer than {RECORD_MAX} bytes")
            yield data


def read_pictures(paths: Sequence[str]) -> Dataset:
    """Unlabelled pictures: files of records (*.bin), picture files, or folders of either."""
    dataset = Dataset()
    for path in paths:
        inside = sorted(os.path.join(path, n) for n in os.listdir(path)) if os.path.isdir(path) else [path]
        for name in inside:
            if name.endswith(".bin"):
                dataset.pictures.extend(read_records(name))
            elif name.lower().endswith((".jpg", ".jpeg", ".png", ".webp")):
                with open(name, "rb") as file:
                    dataset.pictures.append(file.read())
    return dataset


def stack(points: List, boxes: List, ignore: List) -> People:
    if not points:
        return People()
    return People(np.array(points, np.float32), np.array(boxes, np.float32), np.array(ignore, bool))


def scene_people(line: dict) -> People:
    """A line of tools/scene's truth."""
    people = line["people"]
    return stack([p["keypoints"] for p in people], [p["bbox"] for p in people],
                 [p["visible"] < MIN_VISIBLE for p in people])


def scene_chunks(folders: Sequence[str]) -> List[str]:
    """The finished chunks in folders that training.render fills: their truth files."""
    return sorted(t for folder in folders for t in glob.glob(os.path.join(glob.escape(folder), "*.jsonl")))


def read_scenes(chunks: Sequence[str]) -> Dataset:
    dataset = Dataset()
    for truth in chunks:
        with open(truth, encoding="utf-8") as file:
            people = [scene_people(json.loads(line)) for line in file if line.strip()]
        pictures = list(read_records(truth[:-len("jsonl")] + "bin"))
        if len(people) != len(pictures):
            raise ValueError(f"{truth}: {len(people)} lines for {len(pictures)} pictures")
        dataset.pictures += pictures
        dataset.people += people
    return dataset


def coco_points(keypoints: Sequence[float]) -> np.ndarray:
    """COCO's 17 keypoints as 18: the neck is the middle of the shoulders, where both are labelled."""
    points = np.zeros((N_KEYPOINTS, 3), np.float32)
    points[FROM_COCO] = np.asarray(keypoints, np.float32).reshape(-1, 3)
    left, right = points[L_SHOULDER], points[R_SHOULDER]
    if left[2] > 0 and right[2] > 0:
        points[NECK] = (left + right) / 2
        points[NECK, 2] = min(left[2], right[2])
    return points


def coco_people(annotations: Sequence[dict]) -> People:
    """People of one picture. Crowds and people without keypoints are regions to leave out."""
    points = [coco_points(a.get("keypoints") or [0] * 51) for a in annotations]
    ignore = [bool(a.get("iscrowd")) or not (p[:, 2] > 0).any() for a, p in zip(annotations, points)]
    return stack(points, [a["bbox"] for a in annotations], ignore)


def read_coco(annotations: str, folder: str) -> Dataset:
    """COCO person keypoint annotations and the folder of their pictures."""
    with open(annotations, encoding="utf-8") as file:
        everything = json.load(file)
    by_picture: dict = {}
    for a in everything["annotations"]:
        by_picture.setdefault(a["image_id"], []).append(a)
    dataset = Dataset()
    for image in everything["images"]:
        with open(os.path.join(folder, image["file_name"]), "rb") as picture:
            dataset.pictures.append(picture.read())
        dataset.people.append(coco_people(by_picture.get(image["id"], [])))
    return dataset
