"""Whether the disk under the spool goes away with its machine, as far as one can tell.

Rules of this file: it is a warning, once per start, that names the choices; nobody is kept from anything.
"""

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from vivace.tasks.spool import is_file

__all__ = ["warn_of_ephemeral", "why_ephemeral"]

logger = logging.getLogger("vivace.tasks")

_MOUNTS: Final = Path("/proc/self/mountinfo")
_FLEETING: Final = {"overlay", "tmpfs", "ramfs", "aufs"}


def why_ephemeral(url: str, environ: Mapping[str, str], mounts: str = "") -> str:
    """Why what is written there may be lost with the machine; empty if nothing says so.

    Args:
        url: Of the spool.
        environ: Of the process.
        mounts: The content of ``/proc/self/mountinfo``.
    """
    if not is_file(url):
        return ""
    if environ.get("DYNO"):
        return "the disk of a dyno is new at each restart"
    from vivace.tasks.sqlite import path_of

    kind = _file_system(str(path_of(url).resolve()), mounts)
    if environ.get("KUBERNETES_SERVICE_HOST") and kind in _FLEETING:
        return "the disk of a pod goes with the pod, unless a volume is mounted there"
    if kind in {"tmpfs", "ramfs"}:
        return "it is in memory"
    if kind in {"overlay", "aufs"}:
        return "the disk of a container goes with the container, unless a volume is mounted there"
    return ""


def warn_of_ephemeral(url: str) -> None:
    """Say so in the log, with what can be done."""
    try:
        mounts = _MOUNTS.read_text()
    except OSError:
        mounts = ""
    why = why_ephemeral(url, os.environ, mounts)
    if why:
        logger.warning(
            "tasks that wait in %s may be lost: %s. Set TASKS_URL to postgres://... or redis://..., or to"
            " sqlite:///path on a volume that stays",
            *(url, why),
        )


def _file_system(path: str, mounts: str) -> str:
    """The kind of the file system of a path; follows proc(5), mountinfo."""
    best, kind = "", ""
    for line in mounts.splitlines():
        first, _, rest = line.partition(" - ")
        fields = first.split()
        if len(fields) < 5 or not rest:
            continue
        point = fields[4].rstrip("/") + "/"
        if (path + "/").startswith(point) and len(point) >= len(best):
            best, kind = point, rest.split()[0]
    return kind
