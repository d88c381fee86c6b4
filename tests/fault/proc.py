"""What the kernel says of a process."""
import os
import re
import time

TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def resident(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read())[1]) * 1024


def load_while(pid, seconds, ask):
    """ask() again and again for that long: (how often, the part of one processor that `pid` used)."""
    begin, cpu, asked = time.monotonic(), cpu_seconds(pid), 0
    while time.monotonic() - begin < seconds:
        ask()
        asked += 1
        time.sleep(0.05)  # the load of the asking itself shall be small
    return asked, (cpu_seconds(pid) - cpu) / (time.monotonic() - begin)
