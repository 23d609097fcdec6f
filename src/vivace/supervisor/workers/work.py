"""How a process becomes a worker: what a worker needs is imported here, in time, and not by the supervisor.

Rules of this file:

- The supervisor has no event loop, no TLS and no server in its memory: that is a third of it.
- A template has them before it forks: all its workers share these pages.
- When the memory of the machine runs out, a worker has to go and not the supervisor, which replaces it.
"""

import contextlib
from importlib import import_module
from pathlib import Path
from typing import Final

from vivace.supervisor.ipc.messages import Channel
from vivace.supervisor.listening.sockets import Listeners
from vivace.supervisor.loading.job import Job
from vivace.supervisor.system.groups import lead_group

__all__ = ["prepare", "work"]

_BADNESS: Final = 100
"""How much more willingly than its parent a worker is ended by a system without memory, of 1000."""


def prepare() -> None:
    """Import what each worker will need."""
    import_module("vivace.supervisor.workers.worker")


def work(listeners: Listeners, job: Job, channel: Channel, slot: int, role: str = "") -> int:
    """Be a worker of a supervisor, or a companion; the exit code.

    Args:
        listeners: Of the server.
        job: What to do.
        channel: To the supervisor.
        slot: Of a worker.
        role: Of a companion; empty: it is a worker.
    """
    _go_first()
    lead_group()
    if role:
        from vivace.supervisor.workers.companion import run_companion

        listeners.close()
        return run_companion(job._replace(main=False), channel, role)
    from vivace.supervisor.workers.worker import run_worker

    return run_worker(job._replace(main=False), listeners, channel.send, channel, slot)


def _go_first() -> None:
    """Follows proc(5), oom_score_adj: everybody may raise his own."""
    place = Path("/proc/self/oom_score_adj")
    with contextlib.suppress(OSError, ValueError):
        place.write_text(str(min(int(place.read_text()) + _BADNESS, 1000)))
