"""Processes that others have started."""

from __future__ import annotations

import subprocess
from pathlib import Path


def workers_of(process: subprocess.Popen) -> list[int]:
    """The processes that a driver, or a nanny of Dask, has started for its runs."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            what = (entry / "cmdline").read_text()
        except OSError:  # it is gone
            continue
        if parent == process.pid and "spawn_main" in what:
            found.append(int(entry.name))
    return found
