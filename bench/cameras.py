#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How many cameras one machine serves: the daemon on N looped clips at their own rate, its lines read by a subscriber.

    bench/cameras.py BUILD/daemon/posed --network NET.onnx --engine cudnn --clips DIR --cameras 32 --search

First --cameras are watched for --seconds: frames decoded, published and dropped, latency of every line (from the moment
the frame has left the decoder, which is when such a camera "takes" it, to the finished line), GPU load and memory by
nvidia-smi, CPU cores of the daemon. --search then adds --step cameras at a time, by reloading the configuration, until
a frame is dropped while the cameras are watched; the engine is opened once.

make the clips with --make-clips DIR [VIDEO...]: 1280x720, 30 frames/s, H.264, two minutes each (needs the program
ffmpeg). They should outlast a run: when an H.264 file begins again libavcodec makes a new decoder, which on a GPU holds
up everybody for some 90 ms, and no camera does that every minute."""
import argparse
import glob
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

LATENCY = re.compile(rb'"latency_ms":([0-9.]+)')
TICK = os.sysconf("SC_CLK_TCK")
KEEPS_UP = 0.97  # of the frames that the clips have


def make_clips(folder, videos):
    os.makedirs(folder, exist_ok=True)
    for video in videos:
        name = os.path.splitext(os.path.basename(video))[0] + ".mp4"
        subprocess.run(["ffmpeg", "-v", "error", "-y", "-stream_loop", "-1", "-i", video, "-t", "120", "-an", "-vf",
                        "scale=1280:720,fps=30", "-c:v", "libx264", "-preset", "veryfast", "-profile:v", "main", "-bf",
                        "0", "-g", "60", "-b:v", "600k", "-pix_fmt", "yuv420p", os.path.join(folder, name)], check=True)


class Subscriber(threading.Thread):
    """Reads every pose line; keeps the latencies of a window."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(path)
        self.sock.sendall(b'{"subscribe":{"cameras":"*","types":["pose"]}}\n')
        self.lock = threading.Lock()
        self.latencies, self.gaps, self.ended = [], 0, None

    def run(self):
        rest = b""
        while chunk := self.sock.recv(1 << 20):
            lines = (rest + chunk).split(b"\n")
            rest = lines.pop()
            with self.lock:
                for line in lines:
                    m = LATENCY.search(line, max(0, len(line) - 80)) or LATENCY.search(line, 0, 600)
                    if m:
                        self.latencies.append(float(m[1]))
                    elif b'"gap"' in line[:60]:
                        self.gaps += 1
        self.ended = time.monotonic()

    def take(self):
        with self.lock:
            taken = sorted(self.latencies), self.gaps
            self.latencies, self.gaps = [], 0
        return taken


class Gpu(threading.Thread):
    """nvidia-smi twice a second, where there is one."""

    FIELDS = "utilization.gpu,utilization.decoder,memory.used,power.draw"

    def __init__(self):
        super().__init__(daemon=True)
        self.rows, self.process = [], None
        try:
            command = ["nvidia-smi", f"--query-gpu={self.FIELDS}", "--format=csv,noheader,nounits", "-lms", "500"]
            if visible := os.environ.get("CUDA_VISIBLE_DEVICES"):
                command += ["-i", visible.split(",")[0]]
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        except FileNotFoundError:
            pass

    def run(self):
        for line in self.process.stdout if self.process else ():
            values = [float(v) if re.fullmatch(r"[0-9.]+", v.strip()) else 0.0 for v in line.decode().split(",")]
            if len(values) == 4:
                self.rows.append(values)

    def take(self):
        rows, self.rows = self.rows, []
        if not rows:
            return {}
        mean = [sum(c) / len(rows) for c in zip(*rows)]
        return {"gpu_percent": round(mean[0], 1), "gpu_idle_percent": round(100 - mean[0], 1),
                "nvdec_percent": round(mean[1], 1), "gpu_memory_mib": round(max(r[2] for r in rows)),
                "gpu_watt": round(mean[3])}

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()


class Daemon:
    def __init__(self, args, folder):
        self.args, self.folder, self.n = args, folder, 0
        self.clips = sorted(glob.glob(os.path.join(args.clips, "*.mp4")))
        if not self.clips:
            sys.exit(f"cameras.py: no *.mp4 in {args.clips}: make some with --make-clips")
        self.path = os.path.join(folder, "s")
        self.posectl = os.path.join(os.path.dirname(args.posed), "posectl")
        os.mkdir(os.path.join(folder, "cameras.d"))
        width, height = args.size.split("x")
        config = {"socket": self.path, "network": os.path.abspath(args.network), "engine": args.engine,
                  "precision": args.precision, "width": int(width), "height": int(height), "batch": args.batch,
                  "batch_wait_ms": args.batch_wait_ms, "post_threads": args.post_threads,
                  **({"devices": [int(d) for d in args.devices.split(",")]} if args.devices else {}),
                  "cache_dir": os.path.abspath(args.cache_dir) if args.cache_dir else folder}
        with open(os.path.join(folder, "posed.json"), "w") as f:
            json.dump(config, f)
        self.log = open(args.log or os.path.join(folder, "log"), "w+")

    def start(self, n):
        self.write(n)
        begin = time.monotonic()
        self.process = subprocess.Popen([self.args.posed, "run", "--config", os.path.join(self.folder, "posed.json")],
                                        stderr=self.log)
        while not self.try_connect():
            if self.process.poll() is not None or time.monotonic() - begin > self.args.start_timeout:
                self.log.seek(0)
                sys.exit(f"cameras.py: the daemon did not start:\n{self.log.read()[-3000:]}")
            time.sleep(0.1)
        return time.monotonic() - begin

    def try_connect(self):
        try:
            self.subscriber = Subscriber(self.path)
            self.subscriber.start()
            return True
        except OSError:
            return False

    def write(self, n):
        for i in range(max(n, self.n)):
            path = os.path.join(self.folder, "cameras.d", f"c{i:04}.json")
            if i >= n:
                os.unlink(path)
            elif i >= self.n:
                camera = {"url": os.path.abspath(self.clips[i % len(self.clips)]), "loop": True, "realtime": True,
                          "hwaccel": self.args.hwaccel}
                if self.args.peak_threshold is not None:
                    camera["peak_threshold"] = self.args.peak_threshold
                with open(path, "w") as f:
                    json.dump(camera, f)
        self.n = n

    def set_cameras(self, n):
        if n != self.n:
            self.write(n)
            self.process.send_signal(signal.SIGHUP)

    def metrics(self):
        text = subprocess.run([self.posectl, "--socket", self.path, "metrics"], capture_output=True, text=True,
                              check=True).stdout
        sums = {"up": 0.0, "decoded": 0.0, "published": 0.0, "dropped": 0.0, "failed": 0.0, "corrupt": 0.0}
        for line in text.splitlines():
            m = re.match(r"posed_camera_([a-z]+?)(?:_total)?\{.*\} ([0-9.e+-]+)", line)
            if m and m[1] in sums:
                sums[m[1]] += float(m[2])
        return sums

    def cpu_seconds(self):
        with open(f"/proc/{self.process.pid}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def stop(self):
        """Seconds until the lines ended, seconds until it was gone, and its exit code."""
        begin = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        gone = time.monotonic()
        self.subscriber.join(1)
        return round((self.subscriber.ended or gone) - begin, 2), round(gone - begin, 2), code


def percentile(values, p):
    return round(values[min(int(len(values) * p), len(values) - 1)], 1) if values else None


def wait_up(daemon, n, seconds):
    end = time.monotonic() + seconds
    while (up := daemon.metrics()["up"]) < n:
        if daemon.process.poll() is not None:
            sys.exit(f"cameras.py: the daemon ended with {daemon.process.returncode}")
        if time.monotonic() > end:
            sys.exit(f"cameras.py: {up:.0f} of {n} cameras are up after {seconds:.0f} s")
        time.sleep(0.25)


def wait_steady(daemon, n, args):
    """Until decoders that have just begun no longer hold the others up; not for ever, as too many cameras never do."""
    end = time.monotonic() + args.settle_timeout
    before, begin = daemon.metrics(), time.monotonic()
    while time.monotonic() < end:
        time.sleep(args.settle)
        after, now = daemon.metrics(), time.monotonic()
        if after["dropped"] == before["dropped"] and after["decoded"] - before["decoded"] > KEEPS_UP * n * args.fps * (
                now - begin):
            return
        before, begin = after, now


def step(daemon, gpu, n, args, seconds):
    daemon.set_cameras(n)
    wait_up(daemon, n, args.start_timeout)  # a first start measures its kernels for minutes before any camera is up
    wait_steady(daemon, n, args)
    daemon.subscriber.take()
    gpu.take()
    before, cpu, begin = daemon.metrics(), daemon.cpu_seconds(), time.monotonic()
    time.sleep(seconds)
    after, cpu, wall = daemon.metrics(), daemon.cpu_seconds() - cpu, time.monotonic() - begin
    latencies, gaps = daemon.subscriber.take()
    d = {k: after[k] - before[k] for k in after}
    row = {"cameras": n, "up": int(after["up"]), "seconds": round(wall, 2), "decoded": int(d["decoded"]),
           "decoded_fps": round(d["decoded"] / wall, 1), "published": int(d["published"]),
           "dropped": int(d["dropped"]), "failed": int(d["failed"]), "corrupt": int(d["corrupt"]), "gaps": gaps,
           "lines": len(latencies), "p50_ms": percentile(latencies, 0.5), "p95_ms": percentile(latencies, 0.95),
           "p99_ms": percentile(latencies, 0.99), "cpu_cores": round(cpu / wall, 2), **gpu.take()}
    # decoders that fall behind lose nothing in the queue: they come too slowly
    row["kept_up"] = row["dropped"] == 0 and row["failed"] == 0 and row["decoded_fps"] > KEEPS_UP * n * args.fps
    print(json.dumps(row) if args.json else
          f"{n:4} cameras: {row['decoded_fps']:7.1f} frames/s decoded, {row['published']} published, {row['dropped']} "
          f"dropped; p50 {row['p50_ms']} p95 {row['p95_ms']} p99 {row['p99_ms']} ms; {row['cpu_cores']} cores; "
          + ", ".join(f"{k} {row[k]}" for k in row if k.startswith(("gpu", "nvdec"))), flush=True)
    return row


def search(daemon, gpu, good, args, deadline):
    """Adds cameras until one loses a frame: the most without a drop, and the number with one if time was enough."""
    rows = []
    while time.monotonic() < deadline and good + args.step <= args.max:
        rows.append(step(daemon, gpu, good + args.step, args, args.step_seconds))
        if not rows[-1]["kept_up"]:
            return rows, good, good + args.step
        good += args.step
    return rows, good, None


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("posed", nargs="?", help="the program; posectl is beside it")
    p.add_argument("--make-clips", nargs="+", metavar=("DIR", "VIDEO"))
    p.add_argument("--network")
    p.add_argument("--engine", default="auto")
    p.add_argument("--precision", default="auto")
    p.add_argument("--size", default="656x368")
    p.add_argument("--clips", help="folder of videos that play one each, in turn")
    p.add_argument("--fps", type=float, default=30, help="of the clips")
    p.add_argument("--hwaccel", default="auto")
    p.add_argument("--devices", help="numbers with commas between them; the first alone unless given")
    p.add_argument("--batch", type=int, default=0)
    p.add_argument("--batch-wait-ms", type=float, default=10)
    p.add_argument("--post-threads", type=int, default=2)
    p.add_argument("--peak-threshold", type=float, help="1 for random weights, whose maps are full of peaks")
    p.add_argument("--cache-dir", help="the engine's choices, kept between starts")
    p.add_argument("--cameras", type=int, default=32)
    p.add_argument("--seconds", type=float, default=8)
    p.add_argument("--search", action="store_true")
    p.add_argument("--max", type=int, default=512)
    p.add_argument("--step", type=int, default=4, help="cameras that --search adds at a time")
    p.add_argument("--step-seconds", type=float, default=4)
    p.add_argument("--settle", type=float, default=2, help="seconds without a drop that come before every look")
    p.add_argument("--settle-timeout", type=float, default=12)
    p.add_argument("--time", type=float, default=60, help="seconds after which no further step is begun")
    p.add_argument("--start-timeout", type=float, default=180)
    p.add_argument("--log", help="the daemon's log")
    p.add_argument("--json", action="store_true")
    args = p.parse_args()
    if args.make_clips:
        return make_clips(args.make_clips[0], args.make_clips[1:])
    if not args.posed or not args.network or not args.clips:
        p.error("POSED, --network and --clips are needed")
    gpu = Gpu()
    gpu.start()
    with tempfile.TemporaryDirectory(prefix="cameras.") as folder:
        daemon = Daemon(args, folder)
        started = daemon.start(args.cameras)
        try:
            rows = [step(daemon, gpu, args.cameras, args, args.seconds)]
            deadline = time.monotonic() + args.time
            good, bad = (args.cameras, None) if rows[0]["kept_up"] else (0, args.cameras)
            if args.search and bad is None:
                more, good, bad = search(daemon, gpu, good, args, deadline)
                rows += more
        finally:
            ended, stopped, code = daemon.stop()
            gpu.stop()
    result = {"network": os.path.basename(args.network), "engine": args.engine, "size": args.size,
              "start_s": round(started, 1), "most_without_drop": good, "first_with_drop": bad,
              "lines_ended_s": ended, "stop_s": stopped, "exit_code": code, "steps": rows}
    print(json.dumps(result) if args.json else f"{result['network']} on {args.engine} at {args.size}: {good} cameras "
          f"without a drop, {bad or 'not reached'} with; the daemon started in {started:.1f} s; at the end "
          f"its lines stopped after {ended} s and it was gone after {stopped} s with {code}")


if __name__ == "__main__":
    main()
