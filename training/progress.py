# SPDX-License-Identifier: Apache-2.0
"""A progress bar on a terminal; where standard error is no terminal, a line now and then."""
import sys
import threading
import time


def clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


class Bar:
    """Counts up to `total` (any unit). Safe to step from several threads."""

    WIDTH = 24
    LINE_EVERY = 10.0  # seconds between lines in a log
    DRAW_EVERY = 0.2

    def __init__(self, total: float, what: str, quiet: bool = False) -> None:
        self.total, self.what, self.quiet = max(total, 1e-9), what, quiet
        self.done, self.text = 0.0, ""
        self.started = self.drawn = time.monotonic()
        self.terminal = sys.stderr.isatty()
        self.lock = threading.Lock()

    def step(self, amount: float = 1, text: str = "") -> None:
        with self.lock:
            self.done += amount
            self.text = text or self.text
            now = time.monotonic()
            if now - self.drawn >= (self.DRAW_EVERY if self.terminal else self.LINE_EVERY):
                self.drawn = now
                self._draw(now)

    def _draw(self, now: float) -> None:
        if self.quiet:
            return
        share = min(self.done / self.total, 1.0)
        full = int(share * self.WIDTH)
        elapsed = now - self.started
        left = clock(elapsed * (1 - share) / share) if share > 0 else "?"
        line = (f"{self.what} [{'#' * full}{'.' * (self.WIDTH - full)}] {self.done:.0f}/{self.total:.0f} "
                f"{clock(elapsed)} past, {left} left {self.text}")
        before, after = ("\r\033[K", "") if self.terminal else ("", "\n")
        print(before + line, end=after, file=sys.stderr, flush=True)

    def close(self) -> None:
        with self.lock:
            self._draw(time.monotonic())
            if self.terminal and not self.quiet:
                print(file=sys.stderr)
