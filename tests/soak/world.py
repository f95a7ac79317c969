# SPDX-License-Identifier: Apache-2.0
"""What is around a daemon in a soak: RTSP servers, a server of garbage, subscribers of several kinds."""
import os
import pathlib
import random
import signal
import socket
import subprocess
import threading
import time

from daemon import PATIENCE, ROOT, Client

RTSP_SERVER = ROOT / "tests" / "decode" / "rtsp_server.py"


class RtspServer:
    """Serves /cam, /gop (H.264) and /jpeg. Keeps its port when started again."""

    def __init__(self, log, user=None, password=None):
        self.log, self.user, self.password = log, user, password
        self.port = 0
        self.process = None
        self.size = None

    def start(self):
        """False when gst-rtsp-server is not installed."""
        login = ["digest", self.user, self.password] if self.user else []
        env = {**os.environ, **({"POSED_RTSP_SIZE": self.size} if self.size else {})}
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(["/usr/bin/python3", RTSP_SERVER, str(self.port), *login],
                                            stdout=subprocess.PIPE, stderr=log, env=env)
        line = self.process.stdout.readline()
        if not line:
            code = self.process.wait()
            if code == 77:
                return False
            raise OSError(f"an RTSP server on port {self.port} ended with {code}: see {self.log}")
        self.port = int(line)
        return True

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()
            self.process = None

    def restart(self):
        """The port may still be the last connections' for a moment."""
        self.kill()
        for attempt in range(50):
            try:
                return self.start()
            except OSError:
                if attempt == 49:
                    raise
                time.sleep(0.2)

    def stop(self):
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)


class JunkServer:
    """A camera that is none: each connection gets another kind of nonsense."""

    def __init__(self, rng):
        self.rng = random.Random(rng.random())
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.connections = 0
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            connection, _ = self.socket.accept()
            self.connections += 1
            threading.Thread(target=self.annoy, args=(connection, self.rng.randrange(6), self.rng.randbytes(3000)),
                             daemon=True).start()

    @staticmethod
    def annoy(connection, kind, noise):
        describe = (b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nPublic: DESCRIBE, SETUP, PLAY\r\n\r\n"
                    b"RTSP/1.0 200 OK\r\nCSeq: 2\r\nContent-Type: application/sdp\r\nContent-Length: ")
        try:
            with connection:
                connection.settimeout(20)
                connection.recv(4096)
                if kind == 0:
                    connection.sendall(noise)
                elif kind == 1:
                    connection.sendall(describe + b"2000000000\r\n\r\n" + noise)
                elif kind == 2:
                    connection.sendall(describe + b"3000\r\n\r\n" + noise)
                elif kind == 3:
                    for byte in noise[:20]:
                        connection.sendall(bytes([byte]))
                        time.sleep(0.3)
                elif kind == 4:
                    for _ in range(200):
                        connection.sendall(b"X-Line: " + noise.hex().encode() + b"\r\n")
                while connection.recv(4096):  # kind 5 says nothing at all
                    pass
        except OSError:
            pass


class Leaked(Exception):
    """A password is in what the daemon sends."""


class Subscriber(Client):
    """A client that takes a camera's removal for the end of its numbers and looks for secrets in all that it reads."""

    def __init__(self, path, secrets):
        self.secrets = secrets
        self.told_before, self.lost_before, self.unseen_before = {}, 0, 0  # of cameras that were removed
        super().__init__(path)

    def receive(self):
        kept = len(self.rest)
        more = super().receive()
        new = self.rest[max(0, kept - 64):]
        if self.secrets.found_in(new):
            raise Leaked("a password is in what the daemon sends")
        return more

    def read(self):
        line = super().read()
        if line and line["type"] == "status" and line["state"] == "removed":
            camera = line["camera"]
            self.told_before[camera] = self.told_before.get(camera, 0) + self.told(camera)
            self.lost_before += self.lost.get(camera, 0)
            self.unseen_before += self.first.get(camera, 1) - 1
            for books in (self.next, self.first, self.delivered, self.lost, self.skipped):
                books.pop(camera, None)
        return line


class Company(threading.Thread):
    """A thread with a subscriber that behaves in one way, until the soak ends. While the soak measures, all but the
    checker stay away."""

    def __init__(self, soak, name):
        super().__init__(name=name, daemon=True)
        self.soak, self.rng = soak, random.Random(soak.rng.random())
        self.client = None
        self.visits = self.lines = self.gaps = 0
        self.error = None

    def run(self):
        try:
            while not self.soak.over.is_set():
                if self.soak.quiet.is_set():
                    time.sleep(0.05)
                    continue
                self.client = self.soak.connect()
                if not self.client:
                    time.sleep(0.2)  # the daemon has as many clients as it takes
                    continue
                self.visits += 1
                try:
                    self.visit(self.client)
                finally:
                    self.lines += sum(self.client.types.values())
                    self.gaps += self.client.types.get("gap", 0)
                    client, self.client = self.client, None
                    client.close()
        except Exception as error:  # whatever it is, the soak has to fail with it
            if not self.soak.over.is_set():
                self.error = f"{self.name}: {type(error).__name__}: {error}"

    def until(self, seconds):
        end = time.monotonic() + seconds
        return lambda: time.monotonic() < end and not self.soak.quiet.is_set() and not self.soak.over.is_set()


class Checker(Company):
    """Reads all and at once, from the first second to the daemon's last line."""

    def run(self):
        self.client = self.soak.connect()
        self.visits = 1
        try:
            self.client.subscribe()
            while self.client.read() is not None:
                pass
            assert self.client.bye, "the daemon hung up on the checking subscriber without a bye"
        except Exception as error:
            self.error = f"{self.name}: {type(error).__name__}: {error}"


class Slow(Company):
    """Reads a little, then nothing for a while: has to be told of what it lost."""

    def visit(self, client):
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.subscribe()
        going = self.until(1e9)
        while going():
            for _ in range(self.rng.randrange(1, 200)):
                if client.read() is None:
                    return
            pause = self.until(self.rng.uniform(0, 6))
            while pause():
                time.sleep(0.05)


class Stalled(Company):
    """Takes nothing until it is thrown out."""

    def visit(self, client):
        client.subscribe()
        pause = self.until(self.rng.uniform(8, 20))
        while pause():
            time.sleep(0.05)
        client.socket.settimeout(PATIENCE)
        going = self.until(3)
        while going():
            if client.read() is None:
                return


class Comer(Company):
    """Comes, reads something for a while, asks questions, leaves without a word."""

    def visit(self, client):
        more = {"max_fps": self.rng.uniform(0.5, 20)} if self.rng.random() < 0.3 else {}
        cameras = self.rng.choice(["*", ["steady"], ["lobby", "nobody"], ["steady", "guest"]])
        client.subscribe(cameras, **more)
        going = self.until(self.rng.uniform(0.01, 8))
        while going():
            if self.rng.random() < 0.02:
                client.send({"request": self.rng.choice(["status", "metrics", "ping"])})
            if client.read() is None:
                return
