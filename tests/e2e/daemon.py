# SPDX-License-Identifier: Apache-2.0
"""A posed under test and clients of its socket. Each line that a client reads is held against the schema, and each
sequence of pose and gap lines against the promise of posed-protocol(7), LOSSES."""
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

try:
    import jsonschema
except ImportError:
    print("1..0 # SKIP python3-jsonschema is not installed")
    sys.exit(77)

POSED = pathlib.Path(sys.argv[1])
ROOT = pathlib.Path(os.environ["POSED_SOURCE_ROOT"])
NETWORK = ROOT / "models" / "posed-lite.onnx"
SCHEMA = jsonschema.Draft202012Validator(json.loads((ROOT / "docs" / "protocol.schema.json").read_text()))
# Under a sanitizer everything takes several times as long.
PATIENCE = float(os.environ.get("POSED_PATIENCE", "30"))


def wait_for(what, condition, seconds=PATIENCE):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError(f"{what}: not within {seconds} s")


class Client:
    """Reads lines, checks each, and keeps the books of what was told of each camera."""

    def __init__(self, path, patience=PATIENCE):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(patience)  # for the hello of a daemon that may still open its engine
        try:
            self.socket.connect(str(path))
        except OSError:
            self.socket.close()
            raise
        self.rest = b""
        self.ended = self.cut = False
        self.state = {}
        self.next, self.first, self.delivered, self.lost, self.skipped, self.types = {}, {}, {}, {}, {}, {}
        self.max_fps = None
        self.bye = None
        self.hello = self.read()
        assert self.hello["type"] == "hello", self.hello
        self.socket.settimeout(PATIENCE)

    def send(self, data):
        if not isinstance(data, bytes):
            data = json.dumps(data).encode() + b"\n"
        self.socket.sendall(data)

    def subscribe(self, cameras="*", **more):
        self.max_fps = more.get("max_fps")
        self.send({"subscribe": {"cameras": cameras, **more}})
        return self.read_until("subscribed")

    def receive(self):
        """False at the end, which is a reset when the daemon has not read all that was sent."""
        try:
            data = self.socket.recv(1 << 20) if not self.ended else b""
        except ConnectionResetError:
            data = b""
        self.rest += data
        self.ended = not data
        return not self.ended

    def raw_line(self):
        while b"\n" not in self.rest:
            if not self.receive():
                self.cut = self.rest != b""  # the daemon had to go before the reader was ready
                return None
        line, self.rest = self.rest.split(b"\n", 1)
        assert len(line) < 65536
        return line

    def read(self):
        text = self.raw_line()
        if text is None:
            return None
        line = json.loads(text)
        count = self.types[line["type"]] = self.types.get(line["type"], 0) + 1
        if count <= 20 or count % 20 == 0:  # a schema check takes longer than the daemon needs for the line
            errors = [f"{'/'.join(map(str, e.absolute_path))}: {e.message}" for e in SCHEMA.iter_errors(line)]
            assert not errors, f"{text[:300]}: {errors}"
        if line["type"] == "status":
            self.state[line["camera"]] = line["state"]
        if line["type"] in ("pose", "gap"):
            self.book(line)
        if line["type"] == "bye":
            self.bye = line
        return line

    def book(self, line):
        camera = line["camera"]
        begin = line["seq"] if line["type"] == "pose" else line["from"]
        end = line["seq"] if line["type"] == "pose" else line["to"]
        self.first.setdefault(camera, begin)
        due = self.next.get(camera, begin)
        assert begin >= due, f"{line}: {due} was due"
        if self.max_fps is None:
            assert begin == due, f"{line}: {due} was due, and nobody told of a gap"
        self.skipped[camera] = self.skipped.get(camera, 0) + begin - due
        self.next[camera] = end + 1
        if line["type"] == "pose":
            self.delivered[camera] = self.delivered.get(camera, 0) + 1
        else:
            assert 1 <= line["lost"] <= end - begin + 1, line
            if self.max_fps is None:
                assert line["lost"] == end - begin + 1, line
            self.lost[camera] = self.lost.get(camera, 0) + line["lost"]
            self.skipped[camera] += end - begin + 1 - line["lost"]

    def told(self, camera):
        return self.delivered.get(camera, 0) + self.lost.get(camera, 0)

    def read_until(self, kind, **fields):
        while True:
            line = self.read()
            assert line is not None, f"the daemon hung up before a {kind} line"
            if line["type"] == kind and all(line.get(k) == v for k, v in fields.items()):
                return line

    def read_to_end(self):
        while self.read() is not None:
            pass

    def catch_up(self):
        """Reads all that was sent until now."""
        self.send({"request": "ping"})
        self.read_until("pong")

    def read_while(self, condition):
        while condition():
            assert self.read() is not None, "the daemon hung up"

    def status(self):
        """Status lines with numbers by camera, and the daemon's line."""
        self.send({"request": "status"})
        cameras = {}
        while True:
            line = self.read()
            if line["type"] == "status" and "numbers" in line:
                cameras[line["camera"]] = line
            if line["type"] == "daemon":
                return cameras, line

    def close(self):
        self.socket.close()


def stop_and_read_to_end(daemon, *clients):
    """All at once and parsed afterwards: at its end the daemon waits only 200 ms for slow readers, and so it is told to
    stop when each has read what is there. What comes later the kernel's buffers hold."""
    up_to_date = threading.Semaphore(0)

    def slurp(client):
        client.send({"request": "ping"})
        while b'"pong"' not in client.rest and client.receive():
            pass
        up_to_date.release()
        while client.receive():
            pass
    threads = [threading.Thread(target=slurp, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for _ in threads:
        up_to_date.acquire(timeout=PATIENCE)
    daemon.signal(signal.SIGTERM)
    for thread in threads:
        thread.join()
    for client in clients:
        client.read_to_end()


class Daemon:
    def __init__(self, folder, cameras, config=None, args=(), env=None, start=True):
        self.dir = pathlib.Path(folder)
        self.cameras_dir = self.dir / "cameras.d"
        self.cameras_dir.mkdir(exist_ok=True)
        self.path = self.dir / "s"
        self.config = {"socket": str(self.path), "engine": "null", "network": str(NETWORK),
                       "cache_dir": str(self.dir), **(config or {})}
        self.write_config()
        for name, camera in cameras.items():
            self.write_camera(name, camera)
        self.args, self.env = args, env
        self.log = self.dir / "log"
        self.process = None
        if start:
            self.start()

    def write_config(self):
        (self.dir / "posed.json").write_text(json.dumps(self.config))

    def write_camera(self, name, camera):
        (self.cameras_dir / f"{name}.json").write_text(json.dumps(camera))

    def remove_camera(self, name):
        (self.cameras_dir / f"{name}.json").unlink()

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [POSED, "run", "--config", self.dir / "posed.json", *self.args], stderr=log,
                env={**os.environ, **(self.env or {})})

    def client(self, patience=PATIENCE):
        def attempt():
            if self.process.poll() is not None:
                raise AssertionError(f"posed ended with {self.process.returncode}:\n{self.log.read_text()}")
            try:
                return Client(self.path, patience)
            except (FileNotFoundError, ConnectionRefusedError):
                return None
        return wait_for("a daemon that answers", attempt, patience)

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self):
        return self.process.wait(PATIENCE)

    def stop(self, number=None):
        """SIGTERM, or another; returns (exit code, seconds)."""
        begin = time.monotonic()
        self.signal(number or signal.SIGTERM)
        return self.wait(), time.monotonic() - begin

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="posed-run-")
        self.addCleanup(self.folder.cleanup)

    def daemon(self, cameras, **more):
        daemon = Daemon(self.folder.name, cameras, **more)
        self.addCleanup(self.show_log, daemon)
        self.addCleanup(daemon.kill)
        return daemon

    def show_log(self, daemon):
        text = daemon.log.read_text() if daemon.log.exists() else ""
        if "Sanitizer" in text or "runtime error" in text:
            raise AssertionError(text)

    def client(self, daemon, patience=PATIENCE):
        client = daemon.client(patience)
        self.addCleanup(client.close)
        return client

    def assert_quick(self, bound, measure, sanitized=None):
        """The best of three counts: a busy machine may take a second from anybody, though not each time."""
        if os.environ.get("POSED_SANITIZED"):
            bound = sanitized or PATIENCE
        times = []
        while not times or (times[-1] >= bound and len(times) < 3):
            times.append(measure())
        self.assertLess(times[-1], bound, times)


def pattern(rate=25, frames=None, size="320x180"):
    return f"test:people?size={size}&rate={rate}" + (f"&frames={frames}" if frames else "")


def live(rate=25, **more):
    return {"url": pattern(rate), "realtime": True, **more}


def finite(frames, **more):
    return {"url": pattern(25, frames), **more}
