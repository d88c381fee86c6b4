"""The LD_PRELOAD shim of shim.c: built once a test program, and the environment that turns it on."""
import os
import re
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
EXIT_FAULT = 99


class Shim:
    def __init__(self, folder):
        self.library = os.path.join(folder, "shim.so")
        self.report_path = os.path.join(folder, "calls")
        subprocess.run((os.environ.get("CC", "cc"), "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O1",
                        "-shared", "-fPIC", "-o", self.library, os.path.join(HERE, "shim.c"), "-ldl"),
                       check=True)

    def environment(self, fault=None, first_map=None):
        out = {"LD_PRELOAD": self.library, "FAULT_REPORT": self.report_path}
        if fault is not None:
            out["FAULT"] = fault
        if first_map is not None:
            out["FIRST_MAP"] = str(first_map)
        return out

    def report(self):
        """{"calls": N, "syncs": N, "after": N} of the last process that ran with it."""
        with open(self.report_path, encoding="ascii") as f:
            return {k: int(v) for k, v in re.findall(r"(\w+)=(\d+)", f.read())}
