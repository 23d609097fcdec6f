"""Which process listens on a port: for the message of a start that failed on it.

Rules of this file:

- Reads /proc, where there is one, and only what this user may read. It never fails: what cannot be found out
  is left out.
- Follows proc(5), proc_pid_net(5).
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

__all__ = ["find_occupant"]

_LISTEN: Final = "0A"
_PROC: Final = Path("/proc")


def find_occupant(port: int, proc: Path = _PROC) -> str:
    """Who listens on a TCP port of this machine, such as ``nginx (pid 123)``; empty if it cannot be told."""
    wanted = {f"socket:[{inode}]" for inode in _inodes(port, proc)}
    if not wanted:
        return ""
    found = [int(pid) for pid in _processes(proc) if _holds(proc / pid / "fd", wanted)]
    if not found:
        return ""
    # Workers inherit the socket from the one that is to be stopped: it is the oldest.
    return f"{_name(proc / str(min(found)))} (pid {min(found)})"


def _inodes(port: int, proc: Path) -> Iterator[str]:
    for table in ("tcp", "tcp6"):
        try:
            lines = (proc / "net" / table).read_text("ascii").splitlines()[1:]
        except (OSError, ValueError):
            continue
        for line in lines:
            fields = line.split()
            if len(fields) > 9 and fields[3] == _LISTEN and fields[1].endswith(f":{port:04X}"):
                yield fields[9]


def _processes(proc: Path) -> list[str]:
    try:
        return [name for name in os.listdir(proc) if name.isdecimal()]
    except OSError:
        return []


def _holds(folder: Path, wanted: set[str]) -> bool:
    try:
        numbers = os.listdir(folder)
    except OSError:  # not ours to look into, or gone
        return False
    for number in numbers:
        try:
            if os.readlink(folder / number) in wanted:
                return True
        except OSError:
            continue
    return False


def _name(folder: Path) -> str:
    try:
        return (folder / "comm").read_text("utf-8", "replace").strip() or "a process"
    except OSError:
        return "a process"
