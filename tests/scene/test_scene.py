#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The renderer of the demo's store: the same picture from the same arguments, and a truth that agrees with it (TAP)."""
import json
import math
import os
import subprocess
import sys
import tempfile

SCENE = sys.argv[1]
WIDTH, HEIGHT = 320, 180
JOINTS = 18
count = 0


def scene(*args):
    with tempfile.NamedTemporaryFile(mode="r", suffix=".jsonl") as truth:
        command = [SCENE, "--width", str(WIDTH), "--height", str(HEIGHT), "--truth", truth.name, *args]
        picture = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
        return picture, [json.loads(line) for line in truth]


def check(name, passed, why=""):
    global count
    count += 1
    print(f"{'ok' if passed else 'not ok'} {count} - {name}" + (f" # {why}" if why and not passed else ""), flush=True)


def same_bytes_whatever_the_threads():
    frames = ["--camera", "3", "--frames", "57:59"]
    one = scene(*frames, "--threads", "1")
    check("a frame has width x height x 3 bytes", len(one[0]) == 2 * WIDTH * HEIGHT * 3, f"{len(one[0])}")
    check("the same arguments give the same bytes and truth", one == scene(*frames, "--threads", "1"))
    check("any number of threads gives the same bytes", one == scene(*frames, "--threads", "5"))
    later = scene("--camera", "3", "--frames", "58:59", "--threads", "2")
    check("a frame does not depend on the frames before it", one[0][WIDTH * HEIGHT * 3:] == later[0])
    variety = scene("--variety", "--frames", "3:4", "--threads", "1")
    check("variety too repeats with its seed", variety == scene("--variety", "--frames", "3:4", "--threads", "3"))
    check("another seed gives another picture", variety[0] != scene("--variety", "--seed", "1", "--frames", "3:4")[0])


def near(ids, x, y, who, radius):
    for j in range(max(0, y - radius), min(HEIGHT, y + radius + 1)):
        if who in ids[j * WIDTH + max(0, x - radius):j * WIDTH + min(WIDTH, x + radius + 1)]:
            return True
    return False


def truth_lies_on_people():
    wrong, joints, boxes, seen, listed = [], 0, [], set(), set()
    for camera in "124":
        ids, lines = scene("--camera", camera, "--frames", "100:101", "--ids")
        people = lines[0]["people"]
        seen, listed = seen | set(ids) - {0}, listed | {p["id"] for p in people}
        for p in people:
            x0, y0, w, h = p["bbox"]
            own = [(i % WIDTH, i // WIDTH) for i, who in enumerate(ids) if who == p["id"]]
            if any(x < x0 - 2 or y < y0 - 2 or x > x0 + w + 2 or y > y0 + h + 2 for x, y in own):
                boxes.append((camera, p["id"]))
            if abs(len(own) - p["visible"] * p["area"]) > 0.12 * p["area"] + 20 and p["height"] == h:
                boxes.append((camera, p["id"], "visible"))
            for j, (x, y, v) in enumerate(p["keypoints"]):
                joints += v == 2
                # a joint that is seen is below the person's own pixel; one inside the picture but hidden is not asked
                if v == 2 and not near(ids, math.floor(x + .5), math.floor(y + .5), p["id"], 1):
                    wrong.append((camera, p["id"], j))
            if len(p["keypoints"]) != JOINTS:
                wrong.append((camera, p["id"], "number"))
    check("everybody who is seen is in the truth, and nobody else", seen == listed, f"{seen ^ listed}")
    check("visible joints lie on their person", joints > 50 and not wrong, f"{joints} joints, {wrong}")
    check("boxes hold the visible pixels, and their share fits", not boxes, f"{boxes}")


def world_repeats():
    now, later = scene("--frames", "7:8")[1][0], scene("--frames", "247:248")[1][0]
    check("the world repeats after 24 s", now["people"] == later["people"])


def wrong_usage():
    for args in (["--camera", "9"], ["--frames", "5:5"], ["--width", "x"], ["--nonsense"], ["picture"]):
        r = subprocess.run([SCENE, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        one_line = r.returncode == 2 and r.stderr.count("\n") == 1 and not r.stdout
        check(f"{' '.join(args)} is refused with one line", one_line, r.stderr)
    full = os.path.exists("/dev/full")
    r = subprocess.run([SCENE, "--width", "64", "--height", "64", "--out", "/dev/full" if full else "/nowhere/x"],
                       stderr=subprocess.PIPE, text=True)
    check("a full disk is told", r.returncode == 1 and r.stderr.startswith("scene: "), r.stderr)


same_bytes_whatever_the_threads()
truth_lies_on_people()
world_repeats()
wrong_usage()
print(f"1..{count}")
