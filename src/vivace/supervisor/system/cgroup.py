"""What the control group of this process says of memory.

Rules of this file:

- It reads what is there and never fails: what cannot be found out is None.
- In a container the path of the group may be that of the host: then the files are at the top of the mount.
- Follows the kernel's cgroup-v2 documentation, its memory controller of version 1, and proc_meminfo(5).
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

__all__ = ["free_memory", "oom_kills"]

_GROUPS: Final = Path("/sys/fs/cgroup")
_PROC: Final = Path("/proc")
_FIRST: Final = ""
"""For files that hold one number only."""


def oom_kills(proc: Path = _PROC, groups: Path = _GROUPS) -> int:
    """How many processes of our group were killed for want of memory so far; 0 if unknown."""
    for folder, version in _folders(proc, groups):
        found = _number(folder / ("memory.events" if version == 2 else "memory.oom_control"), "oom_kill")
        if found is not None:
            return found
    return 0


def free_memory(proc: Path = _PROC, groups: Path = _GROUPS) -> int | None:
    """Octets that processes of our group may still take; None if unknown.

    Pages of files that nobody uses count as free: the system gives them back first.
    """
    known = [free for free in (_free_of_machine(proc), _free_of_group(proc, groups)) if free is not None]
    return min(known, default=None)


def _free_of_machine(proc: Path) -> int | None:
    kibibytes = _number(proc / "meminfo", "MemAvailable:")
    return None if kibibytes is None else kibibytes * 1024


def _free_of_group(proc: Path, groups: Path) -> int | None:
    for folder, version in _folders(proc, groups):
        names = ("memory.max", "memory.current", "inactive_file")
        if version == 1:
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        limit, used = _number(folder / names[0], _FIRST), _number(folder / names[1], _FIRST)
        if limit is not None and used is not None:
            return max(limit - used + (_number(folder / "memory.stat", names[2]) or 0), 0)
    return None


def _folders(proc: Path, groups: Path) -> Iterator[tuple[Path, int]]:
    """Where the files of the group may be, and of which version they are."""
    try:
        lines = (proc / "self/cgroup").read_text("utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        base, version = (groups / "memory", 1) if controllers else (groups, 2)
        yield base / path.strip("/"), version
        yield base, version


def _number(file: Path, name: str) -> int | None:
    """The number behind a name at the beginning of a line."""
    try:
        found = re.search(rf"^{re.escape(name)}\s*(\d+)\b", file.read_text("ascii"), re.MULTILINE)
    except (OSError, ValueError):
        return None
    return int(found[1]) if found else None
