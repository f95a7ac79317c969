#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One allocation of the project's own code or of jansson fails, each time another one: the program says so in one line and ends with
a code, or goes on and its books still balance. It never dies of a signal, hangs, or leaks.

usage: test_alloc.py POSED_FAULTY      faulty.py has what the environment may set"""
import json
import sys

from faulty import NETWORK, OFFLINE, sweep

FRAMES = 100  # of each of two cameras


def commands(folder):
    config = folder / "posed.json"
    cameras = folder / "cameras.d"
    cameras.mkdir()
    config.write_text(json.dumps({"socket": str(folder / "s"), "engine": "null", "network": NETWORK, "width": 128,
                                  "height": 64, "devices": [0, 1], "cache_dir": str(folder)}))
    url = f"test:people?size=64x48&rate=25&frames={FRAMES}"
    (cameras / "a.json").write_text(json.dumps({"url": url, "realtime": False, "track": True, "smooth": 2}))
    (cameras / "b.json").write_text(json.dumps({"url": url, "realtime": False, "roi": [0, 0, 0.5, 1],
                                                "mask": [[[0, 0], [1, 0], [0, 1]]]}))
    return {
        "run": (["run", "--config", config, "--exit-when-done"], {1, 75, 78}),
        "detect": (["detect", *OFFLINE, "test:people?size=64x48&frames=20", "-o", folder / "out.jsonl"], {1}),
        "detect-coco": (["detect", *OFFLINE, "--format", "coco", "test:people?size=64x48&frames=20"], {1}),
        "check": (["check", "--config", config], {1, 78}),
        "info": (["model", "info", NETWORK], {1}),
        "random": (["model", "random", "--network", "tiny", "-o", folder / "random.onnx"], {1, 2}),
    }


if __name__ == "__main__":
    sys.exit(sweep(commands))
