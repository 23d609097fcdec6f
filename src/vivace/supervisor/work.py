"""How a process becomes a worker: what a worker needs is imported here, in time, and not by the supervisor.

Rules of this file:

- The supervisor has no event loop, no TLS and no server in its memory: that is a third of it.
- A template has them before it forks: all its workers share these pages.
"""

from importlib import import_module

from vivace.supervisor.groups import lead_group
from vivace.supervisor.job import Job
from vivace.supervisor.messages import Channel
from vivace.supervisor.sockets import Listeners

__all__ = ["prepare", "work"]


def prepare() -> None:
    """Import what each worker will need."""
    import_module("vivace.supervisor.worker")


def work(listeners: Listeners, job: Job, channel: Channel, slot: int) -> int:
    """Be a worker of a supervisor; the exit code."""
    from vivace.supervisor.worker import run_worker

    lead_group()
    return run_worker(job._replace(main=False), listeners, channel.send, channel, slot)
