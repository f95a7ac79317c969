#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The service manager's watchdog is fed while everything moves, and only then. One thread of a running posed after the
other is stopped, as if it hung; others that have every reason to be slow are not taken for stuck.

usage: test_watchdog.py POSED"""
import contextlib
import ctypes
import os
import pathlib
import signal
import socket
import sys
import threading
import time
import unittest

from daemon import Case, Daemon, live, wait_for

PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_DETACH, WALL = 0x4206, 0x4207, 17, 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
SILENCE = 3.0  # seconds; posed looks once a second and, with these watchdog times, feeds at each look
TELL_EVERY = 10  # seconds between two lines about a fault that goes on, at least
STUCK_WATCHDOG, SLOW_WATCHDOG = 1, 4


class Manager:
    """The side of a service manager: counts what feeds it."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.fed = 0
        self.last = time.monotonic()
        self.thread = threading.Thread(target=self.listen, daemon=True)
        self.thread.start()

    def listen(self):
        while True:
            text = self.socket.recv(4096).decode()
            if text == "end":
                return
            if "WATCHDOG=1" in text.split("\n"):
                self.fed += 1
                self.last = time.monotonic()

    def close(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.sendto(b"end", self.socket.getsockname())
        self.thread.join()
        self.socket.close()

    def is_silent(self):
        return time.monotonic() - self.last > SILENCE


def thread_named(pid, name):
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        if (task / "comm").read_text().strip() == name:
            return int(task.name)
    return None


def ptrace(request, tid):
    if LIBC.ptrace(request, tid, None, None) < 0:
        raise OSError(ctypes.get_errno(), "ptrace")


def freeze(tid):
    ptrace(PTRACE_SEIZE, tid)
    ptrace(PTRACE_INTERRUPT, tid)
    os.waitpid(tid, WALL)


def let_go(tid):
    with contextlib.suppress(OSError):
        ptrace(PTRACE_DETACH, tid)


class Watchdog(Case):
    def start(self, name, cameras, watchdog, **env):
        folder = pathlib.Path(self.folder.name, name)
        folder.mkdir()
        manager = Manager(folder / "notify")
        self.addCleanup(manager.close)
        env |= {"NOTIFY_SOCKET": str(folder / "notify"), "WATCHDOG_USEC": str(watchdog * 1000000)}
        daemon = Daemon(folder, cameras, env=env)
        self.addCleanup(self.show_log, daemon)
        self.addCleanup(daemon.kill)
        daemon.manager = manager
        return daemon

    def culprit(self, name, thread, cameras=None):
        daemon = self.start(name, cameras or {"a": live(10)}, STUCK_WATCHDOG)
        daemon.thread = thread
        return daemon

    def test_each_thread_that_hangs_stops_it_and_nothing_else_does(self):
        mute = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(mute.close)
        nowhere = {"url": f"rtsp://127.0.0.1:{mute.getsockname()[1]}/", "open_timeout_s": 3}
        stuck = [self.culprit("loop", "posed"), self.culprit("scheduler", "scheduler"),
                 self.culprit("engine", "posed-engine"), self.culprit("post", "post:0"),
                 self.culprit("decoder", "dec:mute", {"a": live(10), "mute": nowhere})]
        slow = [self.start("slow", {"a": live(10)}, SLOW_WATCHDOG, POSED_NULL_BATCH_MS="2000"),
                self.start("down", {"mute": nowhere, "none": {"url": "rtsp://127.0.0.1:1/"}}, SLOW_WATCHDOG),
                self.start("stopped", {"a": live(10)}, SLOW_WATCHDOG)]
        for daemon in stuck + slow:
            wait_for("the first feeding", lambda: daemon.manager.fed)
        begin = time.monotonic()
        slow[2].signal(signal.SIGSTOP)
        for daemon in stuck:
            if daemon.thread == "dec:mute":  # a pause between two attempts has no deadline to miss
                client = self.client(daemon)
                client.subscribe(types=["status"])
                client.read_until("status", camera="mute", state="down")
                client.read_until("status", camera="mute", state="connecting")
            daemon.tid = wait_for(daemon.thread, lambda: thread_named(daemon.process.pid, daemon.thread))
            self.addCleanup(let_go, daemon.tid)  # a process whose thread is held is never gone, not even when killed
            try:
                freeze(daemon.tid)
            except PermissionError:
                self.skipTest("ptrace is not allowed here")
        for daemon in stuck:
            wait_for(f"no feeding with a stuck {daemon.thread}", daemon.manager.is_silent)
        # Longer than what is allowed to stand still without a reason.
        wait_for("some time to pass", lambda: time.monotonic() - begin > 2 * SLOW_WATCHDOG)
        # The first line may be that no frames come out, which is seen a look earlier.
        wait_for("the engine to be named", lambda: "watchdog: no batch has come out" in stuck[2].log.read_text())
        slow[2].signal(signal.SIGCONT)
        for daemon in stuck:
            ptrace(PTRACE_DETACH, daemon.tid)
        for daemon in stuck + slow:
            before = daemon.manager.fed
            wait_for(f"feeding of {daemon.dir.name} afterwards", lambda: daemon.manager.fed > before)
        for daemon in stuck:
            told = daemon.log.read_text().count("watchdog: ")
            self.assertLessEqual(told, 1 + (time.monotonic() - begin) // TELL_EVERY, daemon.dir.name)
        for daemon in slow:
            text = daemon.log.read_text()
            self.assertNotRegex(text, "watchdog")
        self.assertIn("the decoder of camera mute has been stuck", stuck[4].log.read_text())


unittest.main(argv=sys.argv[:1], verbosity=2)
