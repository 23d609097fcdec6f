"""A real systemd-journald of a test's own, in a view of the file system that no other process shares.

Rules of this file:

- It takes the rights of root to hide /run; without them, or without the program, tests are skipped.
"""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

__all__ = ["Journal", "journald"]

_PROGRAM = Path("/usr/lib/systemd/systemd-journald")
_BEGIN = (
    "mount -t tmpfs journal /run && mkdir -p /run/systemd/journal /run/log/journal"
    f" && mount -t tmpfs journal /var/log && exec {_PROGRAM}"
)


class Journal:
    """A running journal.

    Args:
        pid: Of the process.

    Attributes:
        socket: Where it takes entries, seen from here.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self.socket = Path(f"/proc/{pid}/root/run/systemd/journal/socket")

    def entries(self, name: str, count: int, patience: float = 30.0) -> list[dict[str, Any]]:
        """Those of a program, once that are so many."""
        look = ["nsenter", "-m", "-t", str(self._pid), "journalctl", "-t", name, "-o", "json", "--all"]
        until = time.monotonic() + patience
        while True:
            answer = subprocess.run([*look, "--no-pager"], capture_output=True, text=True, check=False)
            found = [json.loads(line) for line in answer.stdout.splitlines() if line.startswith("{")]
            if len(found) >= count:
                return found
            assert time.monotonic() < until, f"{len(found)} entries instead of {count}: {answer.stderr}"
            time.sleep(0.05)


@contextmanager
def journald() -> Iterator[Journal]:
    """One that ends with the block."""
    tools = [shutil.which(name) for name in ("unshare", "nsenter", "journalctl")]
    if not all(tools) or not _PROGRAM.exists():
        pytest.skip("systemd-journald is not installed (Debian package systemd)")
    if (
        os.geteuid() != 0
        or subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode
    ):
        pytest.skip("a journal of a test's own needs the rights of root")
    process = subprocess.Popen(
        ["unshare", "-m", "sh", "-c", _BEGIN], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        made = Journal(process.pid)
        until = time.monotonic() + 30.0
        while not made.socket.exists():
            assert process.poll() is None, process.stderr and process.stderr.read()
            assert time.monotonic() < until, "systemd-journald does not begin"
            time.sleep(0.02)
        yield made
    finally:
        process.terminate()
        process.communicate(timeout=30)
