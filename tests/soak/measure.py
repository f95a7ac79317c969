# SPDX-License-Identifier: Apache-2.0
"""What a process uses, how it changes over time, and whether a secret is in a text."""
import base64
import math
import os
import pathlib


def usage(pid):
    """Private memory in MB, file descriptors, threads."""
    status = dict(line.split(":", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(status["RssAnon"].split()[0]) / 1024, len(os.listdir(f"/proc/{pid}/fd")), int(status["Threads"])


def slope(points):
    """Least squares over (hours, MB): slope and its standard error in MB/h; infinite error below four points."""
    n = len(points)
    if n < 4:
        return 0.0, math.inf
    mean_x = sum(x for x, _ in points) / n
    mean_y = sum(y for _, y in points) / n
    xx = sum((x - mean_x) ** 2 for x, _ in points)
    b = sum((x - mean_x) * (y - mean_y) for x, y in points) / xx
    residue = sum((y - mean_y - b * (x - mean_x)) ** 2 for x, y in points)
    return b, math.sqrt(residue / (n - 2) / xx)


class Secrets:
    """Finds passwords as they are, percent-encoded (their hexadecimal core is what is looked for) and in base64."""

    def __init__(self):
        self.needles = set()

    def add(self, password, core):
        self.needles.add(core.encode())
        for shift in range(3):  # base64 of a text that begins at any place within three bytes
            code = base64.b64encode(b" " * shift + password.encode())
            self.needles.add(code[4:len(code) - 4])

    def found_in(self, data):
        return any(needle in data for needle in self.needles.copy())  # others add to them meanwhile
