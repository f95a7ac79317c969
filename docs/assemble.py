#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Fill a manual page's marks from the program itself, so that the page cannot drift from it.

usage: assemble.py POSED VERSION SYSCONFDIR DATADIR IN OUT

    @VERSION@ @SYSCONFDIR@ @DATADIR@   anywhere
    @KEYS daemon@  @KEYS camera@       a line of its own: the configuration keys of that file
    @COMMANDS@                         a line of its own: the list that `posed --help` prints
    @HELPS@                            a line of its own: what `posed COMMAND --help` prints, for each of them"""
import re
import subprocess
import sys

posed, version, sysconfdir, datadir, source, target = sys.argv[1:]


def show(*args):
    return subprocess.run([posed, *args], check=True, capture_output=True, text=True).stdout


def literal(text):
    """Text as roff that is printed as it stands."""
    lines = [line.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").rstrip() for line in text.splitlines()]
    return ".RS 4\n.nf\n" + "\n".join("\\&" + line for line in lines) + "\n.fi\n.RE\n"


def commands():
    """Names and summaries, in the program's order."""
    return re.findall(r"^  (\w+) +(\S.*)", show("--help"), re.M)


def fill(line):
    keys = re.fullmatch(r"@KEYS (\w+)@\n", line)
    if keys:
        return show("check", "--print", "man", "--scope", keys[1])
    if line == "@COMMANDS@\n":
        return "".join(f".TP\n.B {name}\n{summary}\n" for name, summary in commands())
    if line == "@HELPS@\n":
        return "".join(f".SS posed {name}\n{literal(show(name, '--help'))}" for name, summary in commands())
    for name, value in (("VERSION", version), ("SYSCONFDIR", sysconfdir), ("DATADIR", datadir)):
        line = line.replace(f"@{name}@", value)
    return line


with open(source) as page:
    filled = "".join(fill(line) for line in page)
with open(target, "w") as out:
    out.write(filled)
