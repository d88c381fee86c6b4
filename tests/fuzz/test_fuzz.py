#!/usr/bin/python3
# tests/run: build=fuzz timeout=1500 soak=36000
"""libFuzzer with the address and undefined behaviour sanitizers on every fuzz target, corpus first.

Each target runs for FUZZ_SECONDS (60), as many at once as there are processors; with --soak 30 minutes
each. An input that breaks something is printed: put it into the corpus.
"""
import concurrent.futures
import glob
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.path.join(os.environ["WAYPOST_BUILDDIR"], "tests", "fuzz")
JOBS = os.cpu_count() or 1
BROKEN = ("crash-", "leak-", "timeout-", "oom-")


def seconds():
    if "WAYPOST_SOAK" in os.environ:
        return 1800
    return int(os.environ.get("FUZZ_SECONDS", "60"))


def fuzz(target, time_each):
    """(passed, text)"""
    name = os.path.basename(target).removeprefix("fuzz_")
    with tempfile.TemporaryDirectory(prefix="waypost-fuzz-") as folder:
        new = os.path.join(folder, "new")
        os.mkdir(new)
        p = subprocess.run(
            [target, f"-max_total_time={time_each}", "-timeout=20", "-rss_limit_mb=2500",
             "-print_final_stats=1", f"-artifact_prefix={folder}/", new,
             os.path.join(HERE, "corpus", name)], check=False, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        text = p.stdout.decode(errors="replace")
        done = re.search(r"number_of_executed_units: (\d+)", text)
        broken = [f for f in os.listdir(folder) if f.startswith(BROKEN)]
        if p.returncode == 0 and done and not broken:
            return True, f"{name}: {done[1]} inputs"
        lines = text.splitlines()[-80:]
        for file in broken:
            with open(os.path.join(folder, file), "rb") as f:
                lines.append(f"{file}: {f.read(4000).hex()}")
        return False, "\n".join(lines)


def main():
    targets = sorted(t for t in glob.glob(BUILD + "/fuzz_*") if os.access(t, os.X_OK))
    if not targets:
        print("no fuzz target was built in " + BUILD)
        return 1
    time_each = seconds()
    print(f"# {len(targets)} targets, {time_each} s each, {JOBS} at once", flush=True)
    bad = 0
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        answers = pool.map(lambda t: fuzz(t, time_each), targets)
        for n, (target, (passed, text)) in enumerate(zip(targets, answers), 1):
            bad += not passed
            print("\n".join("# " + line for line in text.splitlines()))
            print(f"{'ok' if passed else 'not ok'} {n} - {os.path.basename(target)}", flush=True)
    print(f"1..{len(targets)}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
