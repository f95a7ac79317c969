# SPDX-License-Identifier: Apache-2.0
"""Runs of posed-faulty in which an allocation fails, each time another one, and what must hold of every one of them.

A random sample by default, for POSED_FAULT_SECONDS (15); POSED_FAULT_SEED repeats one. POSED_FAULT_ALL=1 takes every
allocation, with POSED_FAULT_FROM=N those from the Nth on, POSED_FAULT_COMMAND=NAME,... those of some commands,
POSED_FAULT_JOBS=N goes N ways at once."""
import concurrent.futures
import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

POSED = sys.argv[1]
ROOT = pathlib.Path(os.environ["POSED_SOURCE_ROOT"]).resolve()  # a configuration's paths begin at its own folder
NETWORK = str(ROOT / "models" / "posed-lite.onnx")
PATIENCE = float(os.environ.get("POSED_PATIENCE", "60"))
SECONDS = float(os.environ.get("POSED_FAULT_SECONDS", "15"))
OFFLINE = ["--engine", "null", "--network", NETWORK, "--width", "128", "--height", "64"]
LIBRARY_CRASHED = 98  # failing.h
SUMMARY = re.compile(r"(\d+) frames decoded, (\d+) lines published .*?, (\d+) dropped, (\d+) failed")


class Runs:
    """One worker's runs, in a folder of its own. @make: from a folder, the commands in it by name: arguments, and the
    exit codes that are right after a failure. @beside: called with the folder and the process while it runs."""

    def __init__(self, folder, make, env, beside=None):
        self.folder, self.env, self.beside = folder, {**os.environ, **env}, beside
        self.commands = make(folder)
        self.crashed = 0  # within FFmpeg
        self.base = {}  # by command: descriptors that are left at the end in any case

    def run(self, name, fail=None, burst=1):
        """What is wrong, or None; and how many allocations there were."""
        args, codes = self.commands[name]
        count = self.folder / "count"
        count.unlink(missing_ok=True)
        env = {**self.env, "POSED_FAIL_COUNT": str(count)}
        if fail:
            env["POSED_FAIL_ALLOC"], env["POSED_FAIL_RUN"] = str(fail), str(burst)
        process = subprocess.Popen([POSED, *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env)
        if self.beside:
            self.beside(self.folder, process)
        try:
            errors = process.communicate(timeout=PATIENCE)[1].decode(errors="replace")
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGABRT)
            return f"hangs: {process.communicate()[1].decode(errors='replace')[-2000:]}", 0
        total, left = map(int, count.read_text().split()) if count.exists() else (0, 0)
        if fail and process.returncode == LIBRARY_CRASHED and "Sanitizer" not in errors:
            self.crashed += 1
            return None, 0
        wrong = self.judge(name, codes, fail, process.returncode, errors)
        if not wrong and left > self.base.setdefault(name, left):
            wrong = f"{left - self.base[name]} descriptors are left open at the end: {errors[-2000:]}"
        return wrong, total

    @staticmethod
    def judge(name, codes, fail, code, errors):
        if "Sanitizer" in errors or "runtime error" in errors or "Assertion" in errors:
            return errors[-6000:]
        if code < 0:
            return f"died of {signal.Signals(-code).name}: {errors[-2000:]}"
        if code == 0:
            summary = SUMMARY.search(errors)
            if name.startswith("run") and not summary:
                return f"no summary: {errors[-2000:]}"
            if name.startswith("run") and int(summary[1]) != sum(int(summary[i]) for i in (2, 3, 4)):
                return f"the books do not balance: {summary[0]}"
            return None
        if not fail:
            return f"ended with {code}: {errors[-2000:]}"
        if code not in codes:
            return f"ended with {code}, expected one of {sorted(codes)}: {errors[-2000:]}"
        return None if errors.strip() or name == "check" else f"ended with {code} and said nothing"


def points(rng, totals, everything, bursts):
    """Command, allocation, failures in a row."""
    if everything:
        begin = int(os.environ.get("POSED_FAULT_FROM", "1"))
        yield from ((c, n, 1) for c in totals for n in range(begin, totals[c] + 1))
        return
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:  # most kinds are at the start, and some at the end
        command = rng.choice(list(totals))
        total = totals[command]
        first, last = rng.choice(((1, total), (1, min(total, 400)), (max(1, total - 50), total)))
        yield command, rng.randint(first, last), rng.choice(bursts)


def sweep(make, env=None, beside=None, jobs=1, bursts=(1, 1, 1, 20)):
    """The exit code of the test."""
    seed = int(os.environ.get("POSED_FAULT_SEED", random.randrange(1 << 30)))
    jobs = int(os.environ.get("POSED_FAULT_JOBS", jobs))
    everything = os.environ.get("POSED_FAULT_ALL") == "1"
    bad, runs, lock = [], 0, threading.Lock()

    def work(worker, todo):
        nonlocal runs
        while everything or not bad:
            with lock:
                point = next(todo, None)
            if not point:
                return
            command, n, burst = point
            wrong, _ = worker.run(command, n, burst)
            if wrong and "is left behind" in wrong:  # a machine too busy for the 600 ms of a stop; not twice in a row
                wrong, _ = worker.run(command, n, burst)
            with lock:
                runs += 1
                if wrong:
                    bad.append(f"{command}, allocation {n} (and {burst - 1} after it) fails: {wrong}")
                    print(f"# {bad[-1]}", flush=True)
                if runs % 500 == 0:
                    print(f"# {runs} runs, {len(bad)} went wrong", flush=True)

    with tempfile.TemporaryDirectory(prefix="posed-alloc-") as name:
        workers = []
        for job in range(jobs):
            folder = pathlib.Path(name) / str(job)
            folder.mkdir()
            workers.append(Runs(folder, make, env or {}, beside))
        chosen = os.environ.get("POSED_FAULT_COMMAND", ",".join(workers[0].commands)).split(",")
        totals = {}
        for command in chosen:
            for worker in workers:
                wrong, totals[command] = worker.run(command)
                if wrong:
                    sys.exit(f"{command}, nothing failing: {wrong}")
        print(f"# seed {seed}; allocations: {totals}", flush=True)
        todo = points(random.Random(seed), totals, everything, bursts)
        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            for future in [pool.submit(work, worker, todo) for worker in workers]:
                future.result()
    print(f"# {runs} runs, {len(bad)} went wrong; {sum(w.crashed for w in workers)} ended by a crash in FFmpeg's code")
    return 1 if bad else 0
