#!/usr/bin/python3
"""Our least-cost paths beside Boost.Graph's CSR Dijkstra on the same graph, in one run (P10).

Usage: tests/bench/compare_paths.py [BUILDDIR]; needs `make bench` there, g++ and libboost-graph-dev.
Ours keeps every first hop of equal cost with its best path, Boost's keeps one parent a node.
"""
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))


def main():
    build = sys.argv[1] if len(sys.argv) > 1 else "."
    with tempfile.TemporaryDirectory() as folder:
        boost = os.path.join(folder, "boost")
        subprocess.run(["g++", "-O2", "-o", boost, os.path.join(HERE, "boost_dijkstra.cc")],
                       check=True)
        for name in ("mesh", "star"):
            graph = os.path.join(folder, name)
            ours = subprocess.run([os.path.join(build, "tests/bench/bench_compute"), name, graph],
                                  check=True, text=True, stdout=subprocess.PIPE).stdout
            with open(graph, encoding="ascii") as f:
                theirs = subprocess.run([boost], stdin=f, check=True, text=True,
                                        stdout=subprocess.PIPE).stdout.split()
            p50, least, total = re.search(r"p50=(\d+)us min=(\d+)us sum=(\d+)", ours).groups()
            if total != theirs[2]:
                sys.exit(f"{name}: the distances differ: {total} and {theirs[2]}")
            print(f"paths.{name}: ours p50 {p50} us, least {least} us; Boost.Graph p50 {theirs[0]} us, "
                  f"least {theirs[1]} us; ratio p50 {int(p50) / int(theirs[0]):.2f}, "
                  f"least {int(least) / int(theirs[1]):.2f}")


main()
