"""What `vivace ctl status` shows of a process beside the workers."""

from typing import Any

from vivace.supervisor.beside.place import Phase, Place
from vivace.supervisor.system.procfs import processor_time, resident_memory

__all__ = ["row_of"]


def row_of(
    place: Place, name: str, kind: str, now: float, index: int = 0, generation: int = 0
) -> dict[str, Any]:
    """A place as plain values for JSON; ages and times in seconds, sizes in octets.

    Args:
        place: Where the process is, or will be.
        name: Of it.
        kind: Such as ``daemon``.
        now: The time.
        index: Among several of the name.
        generation: Of the code that it runs; 0: none.
    """
    past = {"how": place.last_exit, "age": now - place.last_exit_at} if place.last_exit else None
    return {
        "name": name,
        "kind": kind,
        "index": index,
        "pid": place.pid,
        "generation": generation,
        "state": place.phase.value,
        "uptime": now - place.started if place.pid else 0.0,
        "due": max(place.due - now, 0.0) if place.phase is Phase.EMPTY else None,
        "rss": resident_memory(place.pid) if place.pid else None,
        "cpu_seconds": processor_time(place.pid) if place.pid else None,
        "restarts": place.exits,
        "last_exit": past,
    }
