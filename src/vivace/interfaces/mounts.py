"""Apps below a path of another: their interfaces, their life, and who answers.

Rules of this file:

- Mounted apps start in order, after the app that they are mounted in, and stop in reverse before it. When
  one cannot start, those that did are stopped again.
- Kinds differ in what becomes of a request whose client leaves: the server cancels the tasks of all or of
  none. Where it cancels, an app that is to be told instead runs in a task of its own.
"""

import asyncio
import logging
from collections.abc import Coroutine, Iterable
from functools import partial
from typing import Any

from vivace.config import Config
from vivace.errors import StartupError
from vivace.framework.mount import Answer, Mount, MountTable
from vivace.interfaces.choose import make_interface
from vivace.interfaces.hosted import unlimit
from vivace.interfaces.kind import classify
from vivace.protocols.stream import Stream
from vivace.server.interface import Interface

__all__ = ["MountedInterface", "Mounts", "as_cancelled", "describe_mounts"]

logger = logging.getLogger("vivace.server")


class Mounts:
    """The mounts of one app.

    Args:
        mounts: In order of declaration.
        config: The settings to serve with; limits that are an app's own business hold if they were set.
        root_path: The path under which the app itself is mounted.

    Raises:
        StartupError: What is mounted is no app.
    """

    __slots__ = ("_interfaces", "_started")

    def __init__(self, mounts: Iterable[Mount], config: Config, root_path: str = "") -> None:
        self._interfaces: list[tuple[str, Interface]] = []
        self._started: list[tuple[str, Interface]] = []
        for mount in mounts:
            kind = _classify(mount)[0]
            path = root_path + mount.prefix
            settings = config if kind == "native" else _hosted_config(config)
            self._interfaces.append((path, make_interface(mount.app, kind, settings, path)))

    @property
    def cancels(self) -> bool:
        """Whether one of them wants its tasks cancelled when a client leaves."""
        return any(interface.cancels for _path, interface in self._interfaces)

    def table(self, *, cancels: bool) -> MountTable:
        """Who answers for which path.

        Args:
            cancels: Whether the server cancels tasks whose client leaves.
        """
        return MountTable((path, as_cancelled(interface, cancels)) for path, interface in self._interfaces)

    async def before_start(self) -> None:
        """Make the apps ready, in order.

        Raises:
            StartupError: One of them cannot start; it is named, and the others are stopped.
        """
        for path, interface in self._interfaces:
            try:
                await interface.before_start()
            except StartupError as error:
                await self.after_stop()
                message = f"the app mounted at {path or '/'}: {error}"
                raise StartupError(message, stage=error.stage, exit_code=error.exit_code) from error.__cause__
            except BaseException:
                await self.after_stop()
                raise
            self._started.append((path, interface))

    async def after_start(self) -> None:
        """Tell the apps that connections are accepted."""
        for _path, interface in self._started:
            await interface.after_start()

    async def before_stop(self) -> None:
        """Tell the apps that the server stops, in reverse."""
        for path, interface in reversed(self._started):
            await _finish(path, interface.before_stop())

    async def after_stop(self) -> None:
        """Let the apps release what they hold, in reverse."""
        while self._started:
            path, interface = self._started.pop()
            await _finish(path, interface.after_stop())


class MountedInterface:
    """The interface of an ASGI or WSGI app in which others are mounted.

    Args:
        main: Answers what no mount answers.
        mounts: The others.
    """

    __slots__ = ("_answer", "_main", "_mounts", "_table", "cancels")

    def __init__(self, main: Interface, mounts: Mounts) -> None:
        self.cancels = main.cancels or mounts.cancels
        self._main = main
        self._mounts = mounts
        self._answer = as_cancelled(main, self.cancels)
        self._table = mounts.table(cancels=self.cancels)

    def __call__(self, stream: Stream) -> Coroutine[Any, Any, None] | None:
        """Answer one request: the mount with the longest prefix, else the main app."""
        mounted = self._table.find(stream.head.path)
        return self._answer(stream) if mounted is None else mounted.answer(stream)

    async def before_start(self) -> None:
        """Make the main app ready, then what is mounted."""
        await self._main.before_start()
        try:
            await self._mounts.before_start()
        except BaseException:
            await _finish("/", self._main.after_stop())
            raise

    async def after_start(self) -> None:
        """Tell all that connections are accepted."""
        await self._main.after_start()
        await self._mounts.after_start()

    async def before_stop(self) -> None:
        """Tell all that the server stops."""
        await self._mounts.before_stop()
        await self._main.before_stop()

    async def after_stop(self) -> None:
        """Let all release what they hold."""
        await self._mounts.after_stop()
        await self._main.after_stop()


def describe_mounts(mounts: Iterable[Mount]) -> list[str]:
    """Prefix, kind and what told it, for each mount.

    Raises:
        StartupError: What is mounted is no app.
    """
    return [f"{mount.prefix or '/'} ({': '.join(_classify(mount))})" for mount in mounts]


def as_cancelled(interface: Interface, cancels: bool) -> Answer:
    """What answers for an interface where the server cancels the tasks of clients that left, or does not."""
    return partial(_outlive, interface) if cancels and not interface.cancels else interface.__call__


def _outlive(interface: Interface, stream: Stream) -> Coroutine[Any, Any, None] | None:
    answer = interface(stream)
    return None if answer is None else _run_to_its_end(answer, stream)


async def _run_to_its_end(answer: Coroutine[Any, Any, None], stream: Stream) -> None:
    """Await `answer`; the cancellation that a client causes by leaving does not reach it, others do."""
    # The name by which the server finds what is left at a forced stop.
    task = asyncio.create_task(answer, name="vivace-request")
    told = False
    while not task.done():
        try:
            await asyncio.wait((task,))
        except asyncio.CancelledError:
            if stream.disconnected and not (told or stream.timed_out):
                told = True
            else:
                task.cancel()
    await task


async def _finish(path: str, step: Coroutine[Any, Any, None]) -> None:
    """Run a step of a stop; one that fails does not keep the others from theirs."""
    try:
        await step
    except Exception:
        logger.exception("the app mounted at %s failed to stop", path or "/")


def _classify(mount: Mount) -> tuple[str, str]:
    return classify(mount.app, f"the app mounted at {mount.prefix or '/'}", mount.kind or "auto")


def _hosted_config(config: Config) -> Config:
    own = Config()
    own.complete(config)
    unlimit(own)
    return own
