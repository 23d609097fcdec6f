"""Listeners: functions around the life of the server, and what is started and ended with it.

Rules of this file:

- Start stages run in order of registration, higher priority first; stop stages in the reverse of that.
- A listener takes ``(app)``, or ``(app, loop)`` if it cannot do without a second argument; which, is found
  out when it is registered.
- A failing start listener ends the start with a `StartupError` that names stage and function; a failing
  stop listener is logged and the others still run.
"""

import asyncio
import inspect
import logging
from collections.abc import AsyncIterator, Callable, Collection
from itertools import count
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from vivace.errors import ConfigError, DeclarationError, StartupError
from vivace.framework.handler import check_positional, function_name, required_count, source_of

if TYPE_CHECKING:
    from vivace.framework.app import Vivace

__all__ = ["ORDER", "STAGES", "Lifespan", "ListenerSpec", "make_listener", "run_stage"]

logger = logging.getLogger("vivace.error")

STAGES: Final = (
    "main_process_start",
    "main_process_ready",
    "before_server_start",
    "after_server_start",
    "before_server_stop",
    "after_server_stop",
    "main_process_stop",
    "reload_process_start",
    "reload_process_stop",
    "before_reload_trigger",
    "after_reload_trigger",
)
"""The names that a listener may be registered for."""
ORDER: Final = count(1)
"""Numbers what is declared, be it on an app or, by being made part of one, on a blueprint."""


class ListenerSpec(NamedTuple):
    """A registered listener.

    Attributes:
        function: Called with the app, or with the app and the loop.
        stage: One of `STAGES`.
        priority: Higher starts first and stops last.
        with_loop: It takes a second argument: the loop, or what changed.
        order: Lower was declared earlier.
    """

    function: Callable[..., Any]
    stage: str
    priority: int
    with_loop: bool
    order: int = 0


def make_listener(function: Callable[..., Any], stage: str, priority: int) -> ListenerSpec:
    """Check a listener.

    Raises:
        ConfigError: There is no such stage, or the function cannot be called so.
    """
    stage = str(getattr(stage, "value", stage)).lower()
    if stage not in STAGES:
        raise DeclarationError(
            f"no listener stage {stage!r}; expected one of {', '.join(STAGES)}", allowed=STAGES
        )
    with_loop = required_count(function) >= 2
    check_positional(function, 2 if with_loop else 1, f"listener for {stage}", "(app) or (app, loop)")
    return ListenerSpec(function, stage, priority, with_loop, next(ORDER))


async def run_stage(
    app: "Vivace[Any, Any]", specs: list[ListenerSpec], stage: str, changed: Collection[str] = ()
) -> None:
    """Run the listeners of `stage`.

    Args:
        app: Their first argument.
        specs: Of all stages.
        stage: Whose.
        changed: Files, for ``after_reload_trigger``: the second argument of listeners that take one.

    Raises:
        StartupError: One of a start stage failed.
    """
    found = [spec for spec in specs if spec.stage == stage]
    second: Any = set(changed) if stage == "after_reload_trigger" else asyncio.get_running_loop()
    stopping = stage.endswith("_stop")
    found.sort(key=lambda spec: -spec.priority)
    if stopping:
        found.reverse()
    for spec in found:
        try:
            result = spec.function(app, second) if spec.with_loop else spec.function(app)
            if inspect.isawaitable(result):
                await result
        except Exception as error:
            where = f"{function_name(spec.function)} ({source_of(spec.function)})"
            if not stage.endswith(("_stop", "_trigger")):
                shown = error if isinstance(error, ConfigError) else repr(error)
                raise StartupError(f"listener {where} failed in {stage}: {shown}", stage=stage) from error
            logger.exception("listener %s failed in %s", where, stage)


class Lifespan:
    """An async generator function around the life of the server: its ``yield`` stands for the serving.

    Args:
        function: Called with the app.

    Raises:
        ConfigError: It is no async generator function.
    """

    __slots__ = ("_function", "_running")

    def __init__(self, function: Callable[[Any], AsyncIterator[None]]) -> None:
        if not inspect.isasyncgenfunction(function):
            raise DeclarationError(
                f"lifespan {function_name(function)} ({source_of(function)}) must be async and yield once"
            )
        self._function = function
        self._running: AsyncIterator[None] | None = None

    async def start(self, app: Any) -> None:
        """Run up to the ``yield``."""
        running = self._function(app)
        await anext(running)
        self._running = running

    async def stop(self, _app: Any) -> None:
        """Run the rest."""
        running, self._running = self._running, None
        if running is None:
            return
        try:
            await anext(running)
        except StopAsyncIteration:
            return
        raise RuntimeError(f"lifespan {function_name(self._function)} yields more than once")
