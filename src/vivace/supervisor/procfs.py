"""What the system says of a process, whether that wants it or not.

Rules of this file:

- What the system does not tell is None; a process that is gone is no error.
- Follows proc_pid_stat(5), proc_pid_statm(5), proc_pid_status(5).
"""

import os
from pathlib import Path
from typing import Final

__all__ = ["catches", "is_traced", "processor_time", "resident_memory"]

_PROC: Final = Path("/proc")


def processor_time(pid: int) -> float | None:
    """Seconds of processor time that a process has used so far."""
    try:
        fields = (_PROC / str(pid) / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return None


def resident_memory(pid: int) -> int | None:
    """Memory of a process in octets; what it shares is counted too."""
    try:
        return int((_PROC / str(pid) / "statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None


def is_traced(pid: int) -> bool:
    """Whether a debugger holds a process."""
    return _status(pid, "TracerPid") not in (None, "0")


def catches(pid: int, number: int) -> bool:
    """Whether a process has a handler for a signal; True if that cannot be told."""
    caught = _status(pid, "SigCgt")
    return caught is None or bool(int(caught, 16) >> (number - 1) & 1)


def _status(pid: int, name: str) -> str | None:
    try:
        lines = (_PROC / str(pid) / "status").read_text("utf-8", "replace").splitlines()
    except OSError:
        return None
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(f"{name}:")), None)
