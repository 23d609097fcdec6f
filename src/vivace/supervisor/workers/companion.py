"""What runs in the process of a companion: the app is imported, its function is called, and then it ends.

Rules of this file:

- A coroutine function runs on an event loop of the kind that workers have, a plain function in the main
  thread. SIGTERM asks it to stop; a coroutine that does not is cancelled a moment before the kill.
- Exit codes: 0 the function has returned, 3 the app could not be imported, 1 the function failed.
"""

import asyncio
import faulthandler
import inspect
import logging
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from types import FrameType
from typing import Any, Final

from vivace.config import Config
from vivace.errors import ConfigError
from vivace.framework.beside import Companion, Context, Placed
from vivace.supervisor.ipc.messages import Channel, Order, Report, failed
from vivace.supervisor.loading.app_config import app_config
from vivace.supervisor.loading.budgets import place_background
from vivace.supervisor.loading.declared import placed_of
from vivace.supervisor.loading.failure import describe_failure
from vivace.supervisor.loading.job import Job
from vivace.supervisor.loading.target import Loaded
from vivace.supervisor.system.children import noted
from vivace.supervisor.telling.logs import attach_logging, detach_logging, reopen_files
from vivace.supervisor.telling.title import set_title
from vivace.supervisor.workers.serve import abandon_tasks
from vivace.supervisor.workers.worker import choose_loop

__all__ = ["run_companion"]

logger = logging.getLogger("vivace")

LAST_WORDS: Final = 0.5
"""Seconds before the kill when a coroutine that does not stop is cancelled."""


def _grace(companion: Companion, config: Config) -> float:
    return config.GRACEFUL_SHUTDOWN_TIMEOUT if companion.grace is None else companion.grace


def run_companion(job: Job, channel: Channel, role: str) -> int:
    """Be the process of a companion; the exit code.

    Args:
        job: Imports the app.
        channel: To the supervisor.
        role: Its name and its index.
    """
    name, _, index = role.rpartition(":")
    try:
        _take_signals()
        detach_logging()
        loaded = job.load()
        config = app_config(job, loaded)
        attach_logging(config, name)
        placed, count = _find(loaded, name, config)
        place_background(job.config, (placed.companion.budget or name, placed.companion.kind), count)
    except Exception as error:  # noqa: BLE001 - the app's code may raise anything
        text, code = describe_failure(error)
        channel.send(failed(text, code))
        return code
    companion = placed.companion
    title = f"{name} {int(index) + 1}" if count > 1 else name
    set_title(f"{placed.app.name}: {companion.kind} {title} gen {job.generation}")
    tell = partial(channel.send, Report(True, name))
    context = Context(placed.app, config, name, int(index), tell)
    return _Life(companion, context, channel, config).run()


def _find(loaded: Loaded, name: str, config: Config) -> tuple[Placed, int]:
    for placed in placed_of(loaded, config):
        if placed.companion.name == name:
            return placed, placed.companion.count(config)
    raise ConfigError(f"the app has no process {name!r} beside its workers any more")


class _Life:
    """One life of a companion."""

    def __init__(self, companion: Companion, context: Context, channel: Channel, config: Config) -> None:
        self._companion = companion
        self._context = context
        self._channel = channel
        self._config = config

    def run(self) -> int:
        threading.Thread(target=self._obey, name="vivace-orders", daemon=True).start()
        try:
            if _is_async(self._companion.main):
                self._run_loop(self._companion.main)
            else:
                self._run_plain()
        except Exception:
            logger.exception("%s %s ended with an error", self._companion.kind, self._companion.name)
            return 1
        return 0

    def _run_plain(self) -> None:
        signal.signal(signal.SIGTERM, lambda *_: self._context.stop())
        result = self._companion.main(self._context)
        if inspect.isawaitable(result):
            self._run_loop(lambda _: result)

    def _run_loop(self, main: Callable[[Context], Awaitable[Any]]) -> None:
        with asyncio.Runner(loop_factory=choose_loop(self._config.LOOP)[1]) as runner:
            runner.run(self._live(main))

    async def _live(self, main: Callable[[Context], Awaitable[Any]]) -> None:
        task = asyncio.ensure_future(main(self._context))
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._on_stop, task)
        try:
            await asyncio.wait([task])
            if not task.cancelled():
                task.result()
        finally:
            await abandon_tasks()

    def _on_stop(self, task: "asyncio.Future[Any]") -> None:
        self._context.stop()
        patience = max(_grace(self._companion, self._config) - LAST_WORDS, 0.0)
        asyncio.get_running_loop().call_later(patience, task.cancel)

    def _obey(self) -> None:
        """Hear the supervisor; in a thread, for a function may be blocking the loop."""
        while (orders := self._channel.receive()) is not None:
            for order in orders:
                if isinstance(order, Order) and order.what == "log-level":
                    for name in ("vivace", None):
                        logging.getLogger(name).setLevel(order.names[0])
        logger.error("the supervisor is gone: %s stops", self._companion.name)
        os.kill(os.getpid(), signal.SIGTERM)


def _is_async(main: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(main) or inspect.iscoroutinefunction(getattr(main, "__call__", None))  # noqa: B004


def _take_signals() -> None:
    """Those that mean nothing here, and those that show stacks; SIGTERM ends it until the app is there."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGALRM):
        signal.signal(number, noted)
    signal.signal(signal.SIGUSR1, _reopen)
    if sys.__stderr__ is not None:
        faulthandler.register(signal.SIGUSR2, sys.__stderr__, all_threads=True)
        signal.signal(signal.SIGQUIT, lambda *_: os._exit(1))
        faulthandler.register(signal.SIGQUIT, sys.__stderr__, all_threads=True, chain=True)


def _reopen(_: int, __: FrameType | None) -> None:
    # In a thread: what is interrupted may just be writing a line.
    threading.Thread(target=reopen_files, name="vivace-reopen", daemon=True).start()
