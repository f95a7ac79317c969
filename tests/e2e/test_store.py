#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`posed detect` on the rendered store, against the truth of its renderer (TAP).

Asks for less than was measured (tests/data/store/README.md), so that another rounding does not fail it.

usage: test_store.py POSED"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

POSED = sys.argv[1]
ROOT = pathlib.Path(os.environ["POSED_SOURCE_ROOT"])
STORE = ROOT / "tests" / "data" / "store"
SHARED = pathlib.Path(os.environ.get("POSED_SHARED", ROOT.parent / "shared"))
CLIPS = ["entrance", "aisle", "back", "till"]

EVERY = 12  # frames: neighbours in time look alike, so a few from all over say more

BUNDLED = ROOT / "models" / "posed-lite.onnx"
# name, network, input height, limits of evaluate-scene
CASES = [
    ("the bundled network finds all but a few", BUNDLED, 368, ["--min-height", "80", "--min-recall", "0.97"]),
    ("the bundled network finds nearly as many in half the pixels", BUNDLED, 256,
     ["--min-height", "80", "--min-recall", "0.93"]),
    ("a network trained on photographs finds people in the rendered store",
     SHARED / "models" / "human-pose-estimation-0001.onnx", 368, ["--min-height", "80", "--min-recall", "0.9"]),
]


def thin_out(clip, out):
    """Every EVERY-th frame of a clip, without loss."""
    command = ["ffmpeg", "-v", "error", "-i", STORE / f"{clip}.mp4", "-vf", f"select=not(mod(n\\,{EVERY}))",
               "-c:v", "ffv1", out]
    subprocess.run([str(c) for c in command], check=True)


def detect(clip, network, height, out):
    command = [POSED, "detect", "--network", network, "--height", height, "--format", "jsonl", clip]
    with open(out, "w", encoding="utf-8") as file:
        subprocess.run([str(c) for c in command], check=True, stdout=file, timeout=240)


def evaluate(clips, network, height, limits):
    with tempfile.TemporaryDirectory(prefix="posed-store-") as folder:
        pairs = []
        for clip in CLIPS:
            out = pathlib.Path(folder) / f"{clip}.jsonl"
            detect(pathlib.Path(clips) / f"{clip}.mkv", network, height, out)
            pairs += [STORE / f"{clip}.jsonl", out]
        command = [ROOT / "tools" / "evaluate-scene", *pairs, "--every", EVERY, *limits]
        done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
        report = json.loads(done.stdout) if done.stdout else {}
        short = {k: report.get(k) for k in ("figures", "recall", "oks_of_found", "false_people_per_frame")}
        return done.returncode == 0, short, done.stderr.strip()


def main():
    if not shutil.which("ffmpeg"):
        print("1..0 # SKIP no ffmpeg program to thin out the clips with")
        return
    print(f"1..{len(CASES)}")
    with tempfile.TemporaryDirectory(prefix="posed-clips-") as clips:
        for clip in CLIPS:
            thin_out(clip, pathlib.Path(clips) / f"{clip}.mkv")
        for number, (name, network, *rest) in enumerate(CASES, 1):
            if not network.exists():
                print(f"ok {number} - {name} # SKIP no {network.name}: POSED_SHARED names the folder with models/")
                continue
            passed, report, why = evaluate(clips, network, *rest)
            print(f"# {report} {why}")
            print(f"{'ok' if passed else 'not ok'} {number} - {name}", flush=True)


main()
