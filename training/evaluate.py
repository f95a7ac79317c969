#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a network is worth: people found in rendered pictures that it never saw, AP on labelled photographs.

    python3 -m training.evaluate network.onnx models/posed-lite.onnx --coco coco69/annotations.json coco69/images

Runs `posed detect`, tools/evaluate-scene and tools/evaluate, and prints a line of JSON a network and set. The rendered
sets are the demo's clips (tests/data/store) and --variety pictures of a seed kept for evaluation, rendered once into
--cache. Training must use neither: training.render begins at seed 1000.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
from typing import Dict, List, Tuple

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
STORE = os.path.join(ROOT, "tests", "data", "store")
CAMERAS = ("entrance", "aisle", "back", "till")
VARIETY_SEED = 7
Clip = Tuple[str, str]  # video, truth


def run(command: List[str], **more) -> str:
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, **more)
    if done.returncode:
        sys.exit(f"evaluate: {' '.join(command)} failed with status {done.returncode}")
    return done.stdout


def store_clips() -> List[Clip]:
    return [(os.path.join(STORE, name + ".mp4"), os.path.join(STORE, name + ".jsonl")) for name in CAMERAS]


def variety_clip(args: argparse.Namespace) -> Clip:
    """Pictures that have nothing in common, as a clip of key frames; H.264 as good as cameras send."""
    os.makedirs(args.cache, exist_ok=True)
    name = os.path.join(args.cache, f"variety-{VARIETY_SEED}-{args.frames}")
    video, truth = name + ".mp4", name + ".jsonl"
    if not os.path.exists(video):
        scene = os.path.join(args.build, "tools", "scene", "scene")
        film = subprocess.Popen([scene, "--variety", "--seed", str(VARIETY_SEED), "--frames", f"0:{args.frames}",
                                 "--truth", truth], stdout=subprocess.PIPE)
        run(["ffmpeg", "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", "640x360", "-r", "10",
             "-i", "-", "-c:v", "libx264", "-crf", "20", "-g", "1", "-pix_fmt", "yuv420p", name + ".part.mp4"],
            stdin=film.stdout)
        if film.wait():
            sys.exit(f"evaluate: {scene} failed")
        os.replace(name + ".part.mp4", video)
    return video, truth


def evaluate_clips(network: str, clips: List[Clip], height: int, args: argparse.Namespace) -> Dict:
    with tempfile.TemporaryDirectory() as folder:
        pairs: List[str] = []
        for i, (video, truth) in enumerate(clips):
            found = os.path.join(folder, f"{i}.jsonl")
            run([os.path.join(args.build, "daemon", "posed"), "detect", "-q", "--network", network,
                 "--height", str(height), "--output", found, video])
            pairs += [truth, found]
        report = json.loads(run([os.path.join(ROOT, "tools", "evaluate-scene"), "--min-joints", str(args.min_joints),
                                 *pairs]))
    return {k: report[k] for k in ("figures", "recall", "oks_of_found", "false_people_per_frame", "frames")}


def evaluate_coco(network: str, args: argparse.Namespace) -> Dict:
    annotations, images = args.coco
    posed = os.path.join(args.build, "daemon", "posed")
    return json.loads(run([sys.executable, os.path.join(ROOT, "tools", "evaluate"), "--images", images, "--annotations",
                           annotations, "--posed", posed, "--json", "--network", network]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="+", metavar="NETWORK", help="ONNX files")
    parser.add_argument("--sets", nargs="+", choices=["store", "variety"], default=["store", "variety"])
    parser.add_argument("--heights", nargs="+", type=int, default=[256, 368], help="of the network's input (256 368)")
    parser.add_argument("--frames", type=int, default=120, help="of the variety set (120)")
    parser.add_argument("--min-joints", type=int, default=8, help="count figures with so many joints in sight (8)")
    parser.add_argument("--coco", nargs=2, metavar=("FILE", "DIR"), help="COCO annotations and their pictures")
    parser.add_argument("--build", default=os.path.join(ROOT, "build"), help="build folder (build)")
    parser.add_argument("--cache", default=os.path.join(ROOT, "out", "evaluate"),
                        help="where the variety set is kept (out/evaluate)")
    args = parser.parse_args()
    for network in args.networks:
        for name in args.sets:
            clips = store_clips() if name == "store" else [variety_clip(args)]
            for height in args.heights:
                report = evaluate_clips(network, clips, height, args)
                print(json.dumps({"network": network, "set": name, "height": height, **report}), flush=True)
        if args.coco:
            print(json.dumps({"network": network, "set": "coco", **evaluate_coco(network, args)}), flush=True)


if __name__ == "__main__":
    main()
