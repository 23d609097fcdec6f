"""Work beside the requests: tasks on a spool that outlives processes, and schedules that put them there.

    @app.task(retries=5, timeout=30)
    async def send(to: str, subject: str) -> None: ...

    await send.enqueue("ada@example.org", "Hello")

Rules of this package:

- A task is written to the spool before `enqueue` returns. Runners take it under a lease; whoever has no lease
  any more cannot say how a task ended.
- The clock is an argument: `now` is seconds since the epoch, and nothing below the runner reads a clock.
- Arguments and results are JSON, checked against the annotations by msgspec; never pickle.
- A driver is plain code that blocks (`spool.Spool`); one thread per process speaks with it (`clerk.Clerk`).
- Nothing here knows the framework: `framework.work` gives apps their decorators.

    book, declared, part, arguments      what programs declare, and what they enqueue
    outbox, celery                       in a transaction of theirs; over an existing Celery
    runner, backoff, bells, complaint    what runs tasks
    schedule, scheduler, watch, duration
                                         what is due, and what puts it on the spool
    spool, clerk, records, errors        the contract of drivers, and this process's way to one
    sql, sqlite, postgres, redis, redis_scripts
                                         drivers
    state, ephemeral                     the folder of a machine, and whether it stays
"""

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from vivace.tasks.declared import Handle as Handle
    from vivace.tasks.declared import TaskFunction as TaskFunction
    from vivace.tasks.errors import Retry as Retry
    from vivace.tasks.errors import SpoolFull as SpoolFull
    from vivace.tasks.errors import SpoolUnavailable as SpoolUnavailable
    from vivace.tasks.errors import TaskError as TaskError
    from vivace.tasks.errors import TaskFailed as TaskFailed
    from vivace.tasks.runner import current_task as current_task

_HOMES: Final = {
    "Handle": "vivace.tasks.declared",
    "Retry": "vivace.tasks.errors",
    "SpoolFull": "vivace.tasks.errors",
    "SpoolUnavailable": "vivace.tasks.errors",
    "TaskError": "vivace.tasks.errors",
    "TaskFailed": "vivace.tasks.errors",
    "TaskFunction": "vivace.tasks.declared",
    "current_task": "vivace.tasks.runner",
}

__all__ = [
    "Handle",
    "Retry",
    "SpoolFull",
    "SpoolUnavailable",
    "TaskError",
    "TaskFailed",
    "TaskFunction",
    "current_task",
]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
