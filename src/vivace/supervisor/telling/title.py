"""What `ps` and `top` show for a process.

Rules of this file:

- The package setproctitle does it if it is installed. Without it the title goes where the arguments of the
  process lie, and is cut to their length; the short name, 15 octets, goes to ``comm``.
- It never fails: a system that does not let us shows the command line instead.
- Follows proc_pid_stat(5), proc_pid_comm(5).
"""

import os
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from importlib import import_module
from typing import Final

__all__ = ["set_title"]

_SHORT: Final = 15
"""Octets of a name that the kernel keeps."""


def set_title(title: str, name: str = "") -> None:
    """Show `title` for this process.

    Args:
        title: Such as ``shop: worker 2 gen 5 [busy 3]``.
        name: The short name; the begin of the title if empty.
    """
    package = _find_package()
    if package is not None:
        package(title)
    else:
        with suppress(OSError, ValueError, IndexError):
            _overwrite_arguments(title)
    with suppress(OSError), open("/proc/self/comm", "wb", buffering=0) as comm:
        comm.write((name or title).encode("utf-8", "replace")[:_SHORT])


@lru_cache(1)
def _find_package() -> Callable[[str], None] | None:
    try:
        found: Callable[[str], None] = import_module("setproctitle").setproctitle
    except (ImportError, AttributeError, OSError):  # the last one: no descriptor is left
        return None
    return found


def _overwrite_arguments(title: str) -> None:
    """Write where the kernel reads the arguments from; Python has copies of its own."""
    with open("/proc/self/stat", "rb", buffering=0) as stat:
        fields = stat.read(4096).rpartition(b")")[2].split()
    begin, end = int(fields[45]), int(fields[46])
    room = end - begin
    if begin <= 0 or room <= 1:
        return
    # The last octet stays zero: else the kernel shows what lies behind, which is the environment.
    text = title.encode("utf-8", "replace")[: room - 1].ljust(room, b"\0")
    memory = os.open("/proc/self/mem", os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.pwrite(memory, text, begin)
    finally:
        os.close(memory)
