#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Renders pictures with exact labels for training, in bulk: another store, camera, light and crowd in every picture.

    python3 -m training.render --frames 2000 --seed 1000 --out rendered

Writes rendered/SEED-FIRST-END.bin (records of [uint32 little-endian length][JPEG]) and rendered/SEED-FIRST-END.jsonl
(tools/scene's truth, a line a picture) of frames FIRST to END-1. Frames that are there are not made again: a run that
was cut off goes on, and one of more frames adds what is missing.
"""
import argparse
import os
import re
import struct
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from typing import List, Tuple

import cv2
import numpy as np

from .progress import Bar

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CHUNK = 16  # pictures a file: seconds of work, so that little is lost when it is interrupted


def find_scene(given: str) -> str:
    path = given or os.path.join(os.environ.get("BUILD", os.path.join(ROOT, "build")), "tools", "scene", "scene")
    if not os.access(path, os.X_OK):
        sys.exit(f"render: {path} is not built: run 'meson setup build && ninja -C build', or give --scene FILE")
    return path


def chunks_there(out: str, seed: int) -> List[Tuple[int, int]]:
    """First and end of each finished chunk."""
    found = [re.fullmatch(rf"{seed}-(\d+)-(\d+)\.jsonl", name) for name in os.listdir(out)]
    return sorted((int(m[1]), int(m[2])) for m in found if m)


def chunks_to_make(there: List[Tuple[int, int]], first: int, last: int) -> List[Tuple[int, int]]:
    """Frames first..last-1 without those that are there, at most CHUNK in one."""
    make = []
    for begin, end in [*there, (last, last)]:
        stop = min(begin, last)
        make += [(at, min(at + CHUNK, stop)) for at in range(first, stop, CHUNK)]
        first = max(first, end)
    return make


def render_chunk(scene: str, seed: int, first: int, end: int, args: argparse.Namespace) -> None:
    """Renders frames first..end-1 of a seed into one pair of files."""
    width, height = args.size
    name = os.path.join(args.out, f"{seed}-{first:06d}-{end:06d}")
    with tempfile.TemporaryDirectory(dir=args.out) as folder:
        truth, records = os.path.join(folder, "truth"), os.path.join(folder, "records")
        what = ["--camera", str(args.camera), "--fps", "1"] if args.camera else ["--variety"]
        command = [scene, *what, "--seed", str(seed), "--frames", f"{first}:{end}", "--width", str(width), "--height",
                   str(height), "--threads", "1", "--truth", truth]
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert process.stdout
        with open(records, "wb") as file:
            for _ in range(first, end):
                rgb = process.stdout.read(width * height * 3)
                if len(rgb) != width * height * 3:
                    break
                bgr = np.frombuffer(rgb, np.uint8).reshape(height, width, 3)[:, :, ::-1]
                jpeg = cv2.imencode(".jpg", np.ascontiguousarray(bgr), [cv2.IMWRITE_JPEG_QUALITY, args.quality])[1]
                file.write(struct.pack("<I", len(jpeg)) + jpeg.tobytes())
        process.stdout.close()
        if process.wait() != 0:
            raise RuntimeError(f"{scene} failed on seed {seed}, frames {first}:{end}")
        os.replace(records, name + ".bin")
        os.replace(truth, name + ".jsonl")  # last: it says that the chunk is whole


def parse_size(text: str) -> Tuple[int, int]:
    width, height = text.split("x")
    return int(width), int(height)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True, help="folder for the chunks")
    parser.add_argument("--frames", type=int, default=1000, help="pictures (1000)")
    parser.add_argument("--seed", type=int, default=1000, help="which pictures (1000); below 100: for evaluation")
    parser.add_argument("--first", type=int, default=0, help="the first frame (0)")
    parser.add_argument("--camera", type=int, default=0, help="a camera of the demo instead, a picture a second")
    parser.add_argument("--size", type=parse_size, default=(640, 360), help="of the pictures (640x360)")
    parser.add_argument("--quality", type=int, default=88, help="of the JPEGs (88)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="pictures at a time (processors)")
    parser.add_argument("--seconds", type=float, default=0, help="start no chunk after so long (0: no limit)")
    parser.add_argument("--scene", default="", help="the renderer (build/tools/scene/scene)")
    args = parser.parse_args()
    scene = find_scene(args.scene)
    os.makedirs(args.out, exist_ok=True)
    started, last = time.monotonic(), args.first + args.frames
    bar = Bar(args.frames, "rendered")
    chunks = chunks_to_make(chunks_there(args.out, args.seed), args.first, last)
    bar.step(args.frames - sum(end - first for first, end in chunks))

    def work(chunk: Tuple[int, int]) -> None:
        if not args.seconds or time.monotonic() - started < args.seconds:
            render_chunk(scene, args.seed, *chunk, args)
            bar.step(chunk[1] - chunk[0])

    with ThreadPoolExecutor(args.jobs) as pool:
        for done in [pool.submit(work, chunk) for chunk in chunks]:
            done.result()
    bar.close()


if __name__ == "__main__":
    main()
