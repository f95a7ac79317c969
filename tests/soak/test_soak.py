#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A short soak passes posed as it is, and neither of two that are sabotaged: what it looks for, it finds.

usage: test_soak.py POSED SABOTAGE_LIBRARY"""
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

POSED, SABOTAGE = sys.argv[1:3]
del sys.argv[1:]
SOAK = pathlib.Path(__file__).resolve().with_name("soak.py")
MINUTES = 2
HARMS = ("", "leak", "drop")


class Soak(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        """All at once: most of the time each of them waits."""
        cls.folder = tempfile.TemporaryDirectory(prefix="posed-soak-")
        cls.addClassCleanup(cls.folder.cleanup)
        cls.running = {}
        for harm in HARMS:
            command = [sys.executable, SOAK, POSED, "--hours", str(MINUTES / 60), "--seed", "7", "--every", "1",
                       "--log", pathlib.Path(cls.folder.name, harm or "good"), *(["--preload", SABOTAGE] if harm else [])]
            output = open(pathlib.Path(cls.folder.name, "output" + harm), "w+")
            cls.addClassCleanup(output.close)
            cls.running[harm] = (output, subprocess.Popen(command, env={**os.environ, "POSED_SABOTAGE": harm},
                                                          stdout=output, stderr=subprocess.STDOUT))

    def soak(self, harm=""):
        """Returns (exit code, what it printed)."""
        output, process = self.running[harm]
        status = process.wait()
        output.seek(0)
        text = output.read()
        print(text)
        return status, text

    def test_posed_as_it_is_passes(self):
        status, output = self.soak()
        self.assertEqual(status, 0, output)
        self.assertIn("\nPASSED", output)

    def test_a_leak_of_a_page_a_frame_fails(self):
        status, output = self.soak("leak")
        self.assertEqual(status, 1, output)
        self.assertRegex(output, "FAILED: memory")

    def test_a_line_that_is_dropped_untold_fails(self):
        status, output = self.soak("drop")
        self.assertEqual(status, 1, output)
        self.assertIn("nobody told of a gap", output)


unittest.main(verbosity=2)
