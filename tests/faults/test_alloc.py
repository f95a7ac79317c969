#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One allocation of the project's own code fails, each time another one: the program says so in one line and ends with
a code, or goes on and its books still balance. It never dies of a signal, hangs, or leaks.

usage: test_alloc.py POSED_FAULTY

A random sample by default, for POSED_FAULT_SECONDS (15); POSED_FAULT_SEED repeats one. POSED_FAULT_ALL=1 takes every
allocation of every command."""
import json
import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import tempfile
import time

POSED = sys.argv[1]
ROOT = pathlib.Path(os.environ["POSED_SOURCE_ROOT"])
NETWORK = str(ROOT / "models" / "posed-lite.onnx")
PATIENCE = float(os.environ.get("POSED_PATIENCE", "60"))
SECONDS = float(os.environ.get("POSED_FAULT_SECONDS", "15"))
SUMMARY = re.compile(r"(\d+) frames decoded, (\d+) lines published .*?, (\d+) dropped, (\d+) failed")
FRAMES = 100


def commands(folder):
    """Name, arguments, codes that are right after a failure."""
    config = folder / "posed.json"
    cameras = folder / "cameras.d"
    cameras.mkdir()
    config.write_text(json.dumps({"socket": str(folder / "s"), "engine": "null", "network": NETWORK, "width": 128,
                                  "height": 64, "devices": [0, 1], "cache_dir": str(folder)}))
    url = f"test:people?size=64x48&rate=25&frames={FRAMES}"
    (cameras / "a.json").write_text(json.dumps({"url": url, "realtime": False, "track": True, "smooth": 2}))
    (cameras / "b.json").write_text(json.dumps({"url": url, "realtime": False, "roi": [0, 0, 0.5, 1],
                                                "mask": [[[0, 0], [1, 0], [0, 1]]]}))
    offline = ["--engine", "null", "--network", NETWORK, "--width", "128", "--height", "64"]
    return {
        "run": (["run", "--config", config, "--exit-when-done"], {1, 75, 78}),
        "detect": (["detect", *offline, "test:people?size=64x48&frames=20", "-o", folder / "out.jsonl"], {1}),
        "detect-coco": (["detect", *offline, "--format", "coco", "test:people?size=64x48&frames=20"], {1}),
        "check": (["check", "--config", config], {1, 78}),
        "info": (["model", "info", NETWORK], {1}),
        "random": (["model", "random", "--network", "tiny", "-o", folder / "random.onnx"], {1, 2}),
    }


def run(name, args, codes, fail=None, burst=1, count=None):
    """What is wrong, or None."""
    env = dict(os.environ)
    if fail:
        env["POSED_FAIL_ALLOC"], env["POSED_FAIL_RUN"] = str(fail), str(burst)
    if count:
        env["POSED_FAIL_COUNT"] = str(count)
    process = subprocess.Popen([POSED, *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env)
    try:
        errors = process.communicate(timeout=PATIENCE)[1].decode(errors="replace")
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGABRT)
        return f"hangs: {process.communicate()[1].decode(errors='replace')[-2000:]}"
    code = process.returncode
    if "Sanitizer" in errors or "runtime error" in errors or "Assertion" in errors:
        return errors[-6000:]
    if code < 0:
        return f"died of {signal.Signals(-code).name}: {errors[-2000:]}"
    if code == 0:
        summary = SUMMARY.search(errors)
        if name == "run" and not summary:
            return f"no summary: {errors[-2000:]}"
        if name == "run" and int(summary[1]) != sum(int(summary[i]) for i in (2, 3, 4)):
            return f"the books do not balance: {summary[0]}"
        return None
    if not fail:
        return f"ended with {code}: {errors[-2000:]}"
    if code not in codes:
        return f"ended with {code}, expected one of {sorted(codes)}: {errors[-2000:]}"
    return None if errors.strip() or name == "check" else f"ended with {code} and said nothing"


def main():
    seed = int(os.environ.get("POSED_FAULT_SEED", random.randrange(1 << 30)))
    everything = os.environ.get("POSED_FAULT_ALL") == "1"
    rng = random.Random(seed)
    bad, runs = [], 0
    with tempfile.TemporaryDirectory(prefix="posed-alloc-") as name:
        folder = pathlib.Path(name)
        todo = commands(folder)
        if os.environ.get("POSED_FAULT_COMMAND"):
            todo = {c: todo[c] for c in os.environ["POSED_FAULT_COMMAND"].split(",")}
        totals = {}
        for command, (args, codes) in todo.items():
            wrong = run(command, args, codes, count=folder / "count")
            if wrong:
                sys.exit(f"{command}, nothing failing: {wrong}")
            totals[command] = int((folder / "count").read_text())
        print(f"# seed {seed}; allocations: {totals}", flush=True)
        end = time.monotonic() + SECONDS
        if everything:
            points = [(c, n, 1) for c in todo for n in range(1, totals[c] + 1)]
        else:  # start-up is where most kinds are: half of the sample is among the first of them
            points = ((c, rng.randint(1, totals[c] if rng.random() < 0.5 else min(totals[c], 400)),
                       rng.choice((1, 1, 1, 20))) for c in iter(lambda: rng.choice(list(todo)), None))
        for command, n, burst in points:
            if not everything and time.monotonic() > end:
                break
            wrong = run(command, *todo[command], fail=n, burst=burst)
            runs += 1
            if wrong:
                bad.append(f"{command}, allocation {n} (and {burst - 1} after it) fails: {wrong}")
                print(f"# {bad[-1]}", flush=True)
                if not everything:
                    break
    print(f"# {runs} runs, {len(bad)} went wrong")
    return 1 if bad else 0


sys.exit(main())
