# SPDX-License-Identifier: Apache-2.0
"""What goes wrong in a soak. Each fault is a generator: it does harm, yields for how many seconds, and puts right what
it did. `needs` is what two faults must not have in hand at once."""
import json
import os
import signal
import socket
import time

FAULTS = []


def fault(needs):
    def enter(function):
        function.needs = needs
        FAULTS.append(function)
        return function
    return enter


@fault("rtsp")
def camera_killed(soak, rng):
    server = rng.choice(soak.servers)
    server.kill()
    yield rng.uniform(0.1, 8)
    server.restart()


@fault("rtsp")
def camera_frozen(soak, rng):
    server = rng.choice(soak.servers)
    server.stop()
    yield rng.uniform(0.5, 8)
    server.go_on()


@fault("rtsp")
def another_resolution(soak, rng):
    server = rng.choice(soak.servers)
    server.size = rng.choice(["160x120", "320x240", "640x360", "1280x720"])
    server.restart()
    yield rng.uniform(2, 6)
    server.size = None
    server.restart()


@fault("rtsp")
def password_changed_at_the_camera(soak, rng):
    """Refused until the file is changed as well and the daemon told."""
    server = soak.guarded
    server.password = soak.new_password()
    server.restart()
    yield rng.uniform(1, 6)
    soak.write_password(server.password)
    soak.daemon.signal(signal.SIGHUP)
    yield 0.5


@fault("config")
def reloaded_unchanged(soak, rng):
    for _ in range(rng.randrange(1, 20)):
        soak.daemon.signal(signal.SIGHUP)
        yield rng.uniform(0, 0.05)


@fault("config")
def reloaded_broken(soak, rng):
    text = rng.choice(["", "{", '{"url": 7}', '{"ur": "test:people"}', "\0\xff", '{"url":"rtsp://u:p@127.0.0.1/"}',
                       json.dumps({"url": "test:people", "roi": [0, 0, 9, 9]})])
    path = soak.daemon.cameras_dir / rng.choice(["broken.json", "lobby.json"])
    before = path.read_text() if path.exists() else None
    path.write_text(text, errors="surrogateescape")
    soak.daemon.signal(signal.SIGHUP)
    yield rng.uniform(0.1, 1)
    if before is None:
        path.unlink()
    else:
        path.write_text(before)
    soak.daemon.signal(signal.SIGHUP)
    yield 0.2


@fault("config")
def camera_reconfigured(soak, rng):
    size = rng.choice(["160x90", "320x180", "640x480", "333x77"])
    soak.write_camera("lobby", {"url": f"test:people?size={size}&rate={rng.choice([5, 12, 25])}", "realtime": True,
                                "track": rng.random() < 0.5, "smooth": rng.choice([0, 2]),
                                "max_fps": rng.choice([0, 3])})
    yield rng.uniform(0, 2)


def until(soak, condition):
    """A reload that found no descriptors left changed nothing: told again each second."""
    told = time.monotonic()
    while not condition():
        if time.monotonic() > told + 1:
            soak.daemon.signal(signal.SIGHUP)
            told = time.monotonic()
        yield 0.05


@fault("config")
def camera_added_and_removed(soak, rng):
    soak.write_camera("guest", {"url": "test:people?size=160x90&rate=20", "realtime": True})
    yield from until(soak, lambda: soak.has_seen("guest"))
    yield rng.uniform(0, 3)
    soak.remove_camera("guest")
    yield 0.3


@fault("config")
def camera_talks_nonsense(soak, rng):
    soak.write_camera("junk", {"url": f"rtsp://127.0.0.1:{soak.junk.port}/x", "open_timeout_s": 2})
    yield rng.uniform(2, 15)
    soak.remove_camera("junk")
    yield 0.3


@fault("config")
def file_damaged(soak, rng):
    data = bytearray(soak.clip.read_bytes())
    for _ in range(rng.randrange(1, 200)):
        data[rng.randrange(len(data))] = rng.randrange(256)
    path = soak.dir / "damaged.mp4"
    path.write_bytes(data)
    soak.write_camera("damaged", {"url": str(path), "realtime": True, "loop": True})
    yield from until(soak, lambda: soak.has_seen("damaged") or soak.state("damaged") == "down")
    yield rng.uniform(0, 3)
    soak.remove_camera("damaged")
    yield 0.3


def raw(soak):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(5)
    try:
        s.connect(str(soak.daemon.path))
    except OSError:
        s.close()
        return None
    return s


def send(s, data):
    try:
        s.sendall(data)
    except OSError:
        pass  # thrown out, as it should be


@fault("client")
def half_a_line(soak, rng):
    s = raw(soak)
    if s:
        send(s, b'{"subscribe":{"cam')
        yield rng.uniform(0.1, 10)
        s.close()


@fault("client")
def garbage(soak, rng):
    s = raw(soak)
    if s:
        for _ in range(rng.randrange(1, 30)):
            send(s, rng.randbytes(rng.randrange(1, 5000)) + rng.choice([b"", b"\n"]))
            yield 0.01
        s.close()


@fault("client")
def asks_and_does_not_read(soak, rng):
    s = raw(soak)
    if s:
        s.setblocking(False)
        for _ in range(50):
            send(s, b'{"request":"metrics"}\n{"request":"status"}\n' * 20)
            yield 0.02
        yield rng.uniform(0, 12)
        s.close()


@fault("client")
def connection_storm(soak, rng):
    sockets = []
    for i in range(rng.randrange(50, 400)):
        s = raw(soak)
        if s:
            if i % 3 == 0:
                send(s, b'{"subscribe":{}}\n')
            sockets.append(s)
        if i % 20 == 0:
            yield 0.02
    yield rng.uniform(0, 3)
    rng.shuffle(sockets)
    for s in sockets:
        s.close()


@fault("daemon")
def daemon_stopped(soak, rng):
    soak.daemon.signal(signal.SIGSTOP)
    yield rng.uniform(0.05, 2.5)
    soak.daemon.signal(signal.SIGCONT)
    yield 0.5


@fault("daemon")
def descriptors_run_out(soak, rng):
    """The hard limit stays, so that the soft one can come back."""
    import resource
    pid = soak.daemon.process.pid
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    now = len(os.listdir(f"/proc/{pid}/fd"))
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (now + rng.randrange(0, 6), before[1]))
    sockets = [s for s in (raw(soak) for _ in range(20)) if s]
    yield rng.uniform(0.5, 4)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
    for s in sockets:
        s.close()
    yield 0.5


class Chaos:
    """Starts faults at random times and carries each on when its pause is over."""

    def __init__(self, soak, rng, every, log):
        self.soak, self.rng, self.every, self.log = soak, rng, every, log
        self.running = {}  # what it needs: (when it goes on, the generator, its name)
        self.next = time.monotonic()
        self.counts = {}
        self.unrehearsed = self.choice()
        rng.shuffle(self.unrehearsed)

    def choice(self):
        return [f for f in FAULTS if f.needs != "rtsp" or self.soak.servers]

    def begin(self, which):
        self.counts[which.__name__] = self.counts.get(which.__name__, 0) + 1
        self.log(f"+ {which.__name__}")
        self.running[which.needs] = (time.monotonic(), which(self.soak, self.rng), which.__name__)

    def rehearse(self):
        """Each fault once; False when that is done."""
        self.step(start_more=False)
        for which in [f for f in self.unrehearsed if f.needs not in self.running][:1]:
            self.unrehearsed.remove(which)
            self.begin(which)
        return bool(self.unrehearsed or self.running)

    def step(self, start_more=True):
        now = time.monotonic()
        for needs, (when, generator, name) in list(self.running.items()):
            if now < when:
                continue
            try:
                self.running[needs] = (now + next(generator), generator, name)
            except StopIteration:
                del self.running[needs]
                self.log(f"- {name}")
        if start_more and now >= self.next:
            self.next = now + self.rng.uniform(0, 2 * self.every)
            which = self.rng.choice(self.choice())
            if which.needs not in self.running:
                self.begin(which)

    def finish(self):
        end = time.monotonic() + 300
        while self.running:
            self.soak.check()
            assert time.monotonic() < end, f"not over after 300 s: {[name for _, _, name in self.running.values()]}"
            self.step(start_more=False)
            time.sleep(0.01)
