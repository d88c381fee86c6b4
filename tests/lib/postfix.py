"""Postfix's own tools, with a configuration of the test's: the machine may have none."""
import atexit
import os
import shutil
import subprocess
import tempfile


def config_folder():
    """A folder for their option -c, as long as the test runs."""
    folder = tempfile.mkdtemp(prefix="waypost-postfix-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.chmod(folder, 0o755)
    with open(os.path.join(folder, "main.cf"), "w", encoding="ascii") as f:
        f.write(f"queue_directory = {folder}\ncompatibility_level = 3.6\n")
    return folder


def knows_maps(kind):
    """Are maps of this kind installed?"""
    out = subprocess.run(["postconf", "-c", config_folder(), "-m"], stdout=subprocess.PIPE, check=True,
                         text=True).stdout
    return kind in out.split()
