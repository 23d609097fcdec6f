"""Tasks that an existing Celery carries: the same decorator, on its broker and its workers.

    app.work.hand_to(CeleryCarrier(celery))        # in the module of the app
    $ celery -A web.celery worker                  # runs the tasks

Rules of this file:

- Celery is imported by whoever made the Celery app; nothing here imports it.
- What Celery cannot promise is refused when the app is declared, not when a task runs: unique tasks.
- Schedules and watched files stay on the spool, where one run per slot is certain; runners of ours run them.
- Follows the documentation of Celery 5, "Tasks" and "Calling Tasks".
"""

import asyncio
import random
from typing import Any, Final

import msgspec

from vivace.errors import DeclarationError
from vivace.tasks.declared import TaskFunction
from vivace.tasks.errors import Retry, SpoolUnavailable, TaskFailed
from vivace.tasks.records import NewTask

__all__ = ["CeleryCarrier", "CeleryHandle"]

GRACE: Final = 5.0
"""Seconds after a time-out until Celery ends the process of a task that did not heed it."""


class CeleryCarrier:
    """Hands tasks to Celery.

    Args:
        celery: The Celery app.
    """

    def __init__(self, celery: Any) -> None:
        self._celery = celery

    def register(self, function: TaskFunction[Any, Any]) -> None:
        """Let Celery's workers know a task.

        Raises:
            DeclarationError: It is unique, which Celery does not know.
        """
        options = function.options
        if options.unique:
            raise DeclarationError(f"task {function.name}: Celery has no unique tasks: leave out unique=")
        again = options.retries > 0

        def run(task: Any, **given: Any) -> Any:
            return _run(function, task, given)

        self._celery.task(
            name=function.name,
            bind=True,
            max_retries=options.retries,
            # What is never begun twice leaves the broker before it is begun, all else when it is done.
            acks_late=again,
            reject_on_worker_lost=again,
            soft_time_limit=options.timeout,
            time_limit=None if options.timeout is None else options.timeout + GRACE,
            serializer="json",
        )(run)

    def send(self, function: TaskFunction[Any, Any], task: NewTask, now: float) -> "CeleryHandle":
        """Enqueue a task.

        Raises:
            SpoolUnavailable: The broker cannot be reached.
        """
        options = function.options
        try:
            sent = self._celery.tasks[function.name].apply_async(
                kwargs=msgspec.json.decode(task.payload),
                countdown=max(task.run_at - now, 0.0) if task.run_at else None,
                queue=None if options.queue == "default" else options.queue,
                priority=options.priority or None,
                ignore_result=not options.keep,
            )
        except Exception as error:  # each broker has errors of its own
            raise SpoolUnavailable(f"Celery's broker cannot be used: {error}") from error
        return CeleryHandle(sent)


class CeleryHandle:
    """A task that Celery has.

    Attributes:
        id: Its identifier.
        new: True.
    """

    new = True

    def __init__(self, sent: Any) -> None:
        self.id: str = sent.id
        self._sent = sent

    async def result(self, timeout: float | None = None) -> Any:
        """Wait for what the function returned, as JSON says it; Celery needs a result backend for that.

        Raises:
            TaskFailed: It failed for good.
            TimeoutError: It took longer.
        """
        try:
            return await asyncio.to_thread(self._sent.get, timeout=timeout)
        except Exception as error:
            if type(error).__name__ == "TimeoutError":
                raise TimeoutError(f"task {self.id} took longer than {timeout:g} s") from error
            raise TaskFailed(f"task {self.id} is dead: {error}", str(error)) from error


def _run(function: TaskFunction[Any, Any], task: Any, given: dict[str, Any]) -> Any:
    """Call the function in a worker of Celery."""
    options = function.options
    values = function.arguments.decode(msgspec.json.encode(given))
    try:
        result = function.function(**values)
        return msgspec.to_builtins(asyncio.run(result) if function.is_async else result)
    except Exception as error:
        attempt = task.request.retries + 1
        if attempt > options.retries:
            raise
        wait = options.backoff.wait(attempt, random.random())  # noqa: S311 - jitter is no secret
        if isinstance(error, Retry) and error.after is not None:
            wait = error.after
        raise task.retry(exc=error, countdown=wait) from error
