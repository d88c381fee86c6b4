#!/usr/bin/python3
# tests/run: timeout=120
"""The case files of this folder, played against dird. Arguments: only cases whose name has that in it."""
import glob
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "interop"), os.path.join(HERE, "..", "lib")]
import cases  # noqa: E402
from servers import Dird  # noqa: E402


def main(wanted):
    every = [c for path in sorted(glob.glob(HERE + "/*.case")) for c in cases.read(path)]
    chosen = [c for c in every if not wanted or any(w in c.name for w in wanted)]
    bad = number = 0
    server = Dird()
    try:
        for case, difference, _ in cases.play_all(chosen, server, "dird"):
            number += 1
            if difference:
                bad += 1
                print("\n".join("# " + line for line in difference.splitlines()))
            print(f"{'not ok' if difference else 'ok'} {number} - {case.name}", flush=True)
    finally:
        server.close()
    print(f"1..{number}")
    return 1 if bad or not number else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
