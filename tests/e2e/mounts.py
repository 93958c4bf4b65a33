"""File systems of a test's own: small ones that fill up, and read-only ones. For root."""
import pathlib
import subprocess

from orrery import wait_for


class Mounted:
    """A mount that goes with the block; for root."""

    def __init__(self, folder, *how):
        self.folder, self.how = pathlib.Path(folder), how

    def __enter__(self):
        subprocess.run(["mount", *map(str, self.how), str(self.folder)], check=True)
        return self.folder

    def __exit__(self, *_):
        wait_for(lambda: subprocess.run(["umount", str(self.folder)], capture_output=True).returncode == 0, "it is unmounted")
