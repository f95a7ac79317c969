#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The daemon on real GPUs: memory that others have taken, a context that dies, a stop with decoders on the device, two
devices. Skips what there is no device for. CUDA_VISIBLE_DEVICES chooses which it sees.

usage: test_gpu.py POSED GPU_TRAP.so"""
import ctypes
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
import unittest

from daemon import PATIENCE, ROOT, Case, wait_for

TRAP = sys.argv.pop(2)
del sys.argv[1]  # the program, which daemon.py has read; what is left chooses tests
CLIPS = sorted((ROOT / "tests" / "data" / "store").glob("*.mp4"))
START = 240  # seconds that a first start may time candidates; later ones find its choices
CACHE = os.environ.get("POSED_CACHE_DIR")

# Takes device memory, all but so many MiB, says so, and keeps it until its input ends.
HOG = """
import ctypes, sys
cuda = ctypes.CDLL("libcuda.so.1")
context, at, free, total = ctypes.c_void_p(), ctypes.c_uint64(), ctypes.c_size_t(), ctypes.c_size_t()
if cuda.cuInit(0) or cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), 0) or cuda.cuCtxSetCurrent(context):
    sys.exit("no context")
for step in (1 << 30, 1 << 26, 1 << 22):
    while True:
        cuda.cuMemGetInfo_v2(ctypes.byref(free), ctypes.byref(total))
        if free.value < (int(sys.argv[1]) << 20) + step:
            break
        if cuda.cuMemAlloc_v2(ctypes.byref(at), ctypes.c_size_t(step)):
            break
print(free.value >> 20, flush=True)
sys.stdin.read()
"""


def devices():
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    n = ctypes.c_int()
    return 0 if cuda.cuInit(0) or cuda.cuDeviceGetCount(ctypes.byref(n)) else n.value


DEVICES = devices()


class GpuCase(Case):
    def gpu_daemon(self, n_cameras=4, config=None, env=None, **more):
        cameras = {f"c{i}": {"url": str(CLIPS[i % len(CLIPS)]), "loop": True, "realtime": True}
                   for i in range(n_cameras)}
        config = {"engine": "cudnn", "batch": 8, **({"cache_dir": CACHE} if CACHE else {}), **(config or {})}
        return self.daemon(cameras, config=config, env=env, **more)

    def connect(self, daemon, seconds=START):
        client = self.client(daemon, seconds)
        client.socket.settimeout(seconds)
        client.subscribe()
        client.read_until("pose")
        client.socket.settimeout(PATIENCE)
        return client


@unittest.skipUnless(DEVICES, "no GPU")
class OneDevice(GpuCase):
    def test_a_stop_is_quick_with_decoders_on_the_device(self):
        daemon = self.gpu_daemon(16, config={"log_level": "debug"})
        client = self.connect(daemon)
        client.read_while(lambda: client.types["pose"] < 1000)
        code, seconds = daemon.stop()
        log = daemon.log.read_text()
        print(f"# stopped in {seconds:.2f} s", *re.findall(r"stopped the cameras.*", log))
        self.assertEqual(code, 0)
        self.assertNotIn("left behind", log)
        self.assertLess(seconds, 1.0)

    def lose(self, kind):
        trap = pathlib.Path(self.folder.name, "trap")
        daemon = self.gpu_daemon(4, env={"LD_PRELOAD": TRAP, "POSED_TRAP_FILE": str(trap)})
        client = self.connect(daemon)
        trap.write_text(kind)
        begin = time.monotonic()
        client.read_to_end()
        code = daemon.wait()
        log = daemon.log.read_text()
        log = log[log.index("gpu_trap:"):]
        print(f"# {kind}: ended with {code} after {time.monotonic() - begin:.2f} s:\n# " + log.replace("\n", "\n# "))
        self.assertEqual(code, 75)
        self.assertEqual(log.count("a batch of"), 1, log)
        self.assertIsNotNone(client.bye)

    def test_a_kernel_that_writes_elsewhere_is_the_end(self):
        self.lose("illegal")

    def test_a_kernel_that_traps_is_the_end(self):
        self.lose("halt")


@unittest.skipUnless(DEVICES, "no GPU")
class LittleMemory(GpuCase):
    CONFIG = {"batch": 16, "width": 1280, "height": 720, "log_level": "info"}

    def hog(self, leave):
        process = subprocess.Popen([sys.executable, "-c", HOG, str(leave)], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, text=True)

        def release():
            process.stdin.close()
            process.wait()
            process.stdout.close()
        self.addCleanup(release)
        return release, process.stdout.readline().strip()

    def outcome(self, leave):
        """Exit code (None: it runs), the batch it settled for, lines of its log that tell of trouble."""
        release, left = self.hog(leave)
        daemon = self.gpu_daemon(2, config=self.CONFIG)
        wait_for("a start", lambda: daemon.process.poll() is not None or "batches of up to" in daemon.log.read_text(),
                 START)
        code, log = daemon.process.poll(), daemon.log.read_text()
        if code is None:
            self.connect(daemon)
            daemon.stop()
        release()
        daemon.log.unlink()
        batch = re.search(r"batches of up to (\d+)", log)
        told = [line for line in log.splitlines() if "instead of" in line or "no room" in line]
        print(f"# {left} MiB free: " + (f"exit {code}" if code is not None else f"batches of {batch[1]}") + "".join(
            f"\n#   {line}" for line in told), flush=True)
        return code, batch and int(batch[1]), told

    def test_the_largest_batch_that_fits_is_taken_or_one_line_says_why_not(self):
        self.assertEqual(self.outcome(1 << 20)[:2], (None, 16))  # nothing is taken: choices are made and kept
        smaller = failed = False
        for leave in (2048, 1536, 1280, 1024, 896, 768, 640, 576, 512, 448, 384):
            code, batch, told = self.outcome(leave)
            if code is None and batch < 16:
                smaller = True
                self.assertTrue(any("instead of 16" in line for line in told))
            if code is not None:
                failed = True
                self.assertEqual(code, 75)
                self.assertGreaterEqual(len(told), 1)
                break
        self.assertTrue(smaller, "no step was tight enough to need a smaller batch and wide enough for one")
        self.assertTrue(failed)


@unittest.skipUnless(DEVICES > 1, "one GPU or none")
class TwoDevices(GpuCase):
    def test_both_work_and_every_cameras_order_holds(self):
        daemon = self.gpu_daemon(24, config={"devices": [0, 1], "batch": 4})
        client = self.connect(daemon)
        client.read_while(lambda: client.types["pose"] < 4000)  # each line is held against the order of its camera
        _, whole = client.status()
        print("#", json.dumps(whole.get("devices", whole)))
        shares = [d["frames"] for d in whole["devices"]]
        self.assertEqual(len(shares), 2)
        self.assertGreater(min(shares), sum(shares) // 4)
        daemon.signal(signal.SIGTERM)
        client.read_to_end()
        self.assertEqual(daemon.wait(), 0)
        decoded, published, dropped, failed = map(int, re.search(
            r"(\d+) frames decoded, (\d+) lines published .*, (\d+) dropped, (\d+) failed", daemon.log.read_text())
            .groups())
        self.assertEqual(published + dropped + failed, decoded)
        self.assertEqual(sum(client.first[c] - 1 + client.told(c) for c in client.first), decoded)
        print(f"# {decoded} decoded, {published} published, {dropped} dropped, {failed} failed, all told")


if __name__ == "__main__":
    if not DEVICES:
        print("no GPU")
        sys.exit(77)
    unittest.main(verbosity=2)
