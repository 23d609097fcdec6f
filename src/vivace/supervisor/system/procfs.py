"""What the system says of a process, whether that wants it or not.

Rules of this file:

- What the system does not tell is None; a process that is gone is no error.
- Follows proc_pid_stat(5), proc_pid_statm(5), proc_pid_status(5), proc_pid_smaps(5).
"""

import os
from pathlib import Path
from typing import Final, NamedTuple

__all__ = [
    "Memory",
    "address_space",
    "catches",
    "children",
    "is_traced",
    "memory_of",
    "processor_time",
    "proportional_memory",
    "resident_memory",
]

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


class Memory(NamedTuple):
    """The memory of a process, in octets.

    Attributes:
        rss: All that is resident, also what others have too.
        pss: Each page divided by the number of processes that have it.
        uss: What nobody else has: the end of the process would free it.
        vsz: Addresses in use, resident or not.
    """

    rss: int
    pss: int
    uss: int
    vsz: int


def address_space(pid: int) -> int | None:
    """Addresses that a process has in use, in octets, resident or not."""
    try:
        return int((_PROC / str(pid) / "statm").read_text("ascii").split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None


def memory_of(pid: int) -> Memory | None:
    """All that can be told of a process's memory; it costs milliseconds where that is large."""
    folder = _PROC / str(pid)
    try:
        lines = (folder / "smaps_rollup").read_text("ascii").splitlines()[1:]
    except (OSError, ValueError, IndexError):
        return None
    sizes = {line.partition(":")[0]: int(line.split()[1]) * 1024 for line in lines}
    own = sum(size for name, size in sizes.items() if name.startswith("Private_"))
    return Memory(sizes.get("Rss", 0), sizes.get("Pss", 0), own, address_space(pid) or 0)


def proportional_memory(pid: int) -> int:
    """The proportional set size of a process in octets; 0 if the system does not tell."""
    try:
        text = (_PROC / f"{pid}/smaps_rollup").read_text("ascii")
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("Pss:")), 0)


def children(pid: int) -> list[int]:
    """The processes that the main thread of a process has started and not waited for yet."""
    try:
        return [int(one) for one in (_PROC / f"{pid}/task/{pid}/children").read_text("ascii").split()]
    except (OSError, ValueError):
        return []


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
