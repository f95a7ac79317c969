# SPDX-License-Identifier: Apache-2.0
"""Test anything protocol, for functions whose names say what holds."""
import sys
import traceback


class Skip(Exception):
    """What one test lacks here."""


def run(tests):
    failed = 0
    print(f"1..{len(tests)}")
    for i, test in enumerate(tests, 1):
        try:
            test()
            print(f"ok {i} - {test.__name__}", flush=True)
        except Skip as why:
            print(f"ok {i} - {test.__name__} # SKIP {why}", flush=True)
        except Exception:  # also what the tested code did not expect
            failed += 1
            print(f"not ok {i} - {test.__name__}", flush=True)
            print("# " + traceback.format_exc().replace("\n", "\n# "), flush=True)
    sys.exit(1 if failed else 0)


def skip(why):
    print(f"1..0 # SKIP {why}")
    sys.exit(0)
