"""Checks of an app that say whether it can do its work right now: the database answers, the cache is warm.

    @app.ready_check
    async def database(app):
        await app.ctx.pool.fetchval("SELECT 1")

Rules of this file:

- A check asks regularly, from the start of the server on, and never because somebody asks for the answer: a
  flood of probes is no flood of checks, and a worker that is busy is known by its last word.
- A check that was not asked yet has not passed. One that takes too long has failed, and is not asked again
  while it is at work.
- The log says what changed, with the reason; probes learn no reasons.
"""

import asyncio
import inspect
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

from vivace.errors import DeclarationError
from vivace.framework.handler import function_name, positional_count, required_count

if TYPE_CHECKING:
    from vivace.framework.app import Vivace

__all__ = ["LEAST_INTERVAL", "Checked", "ReadyChecks"]

logger = logging.getLogger("vivace")

LEAST_INTERVAL: Final = 0.05
"""Seconds between an answer and the next question, whatever READY_CHECK_INTERVAL says."""
_NOT_ASKED: Final = "it was not asked yet"
_AT_WORK: Final = "it is still at work since it was asked before"

CheckT = TypeVar("CheckT", bound=Callable[..., Any])


class _Check:
    """One check.

    Attributes:
        name: For the log.
        why: Why it fails; empty if it passed when it was asked last.
    """

    __slots__ = ("_function", "_takes_app", "_task", "name", "why")

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        self.name = name
        self.why = _NOT_ASKED
        self._function = function
        self._takes_app = positional_count(function) > 0
        self._task: asyncio.Task[Any] | None = None

    async def ask(self, app: Any, patience: float) -> None:
        """Set `why`."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(app), name=f"vivace-ready-{self.name}")
            await asyncio.wait({self._task}, timeout=patience or None)
            why = self._task.result() if self._task.done() else f"no answer within {patience:g} s"
        else:
            why = _AT_WORK
        if bool(why) != bool(self.why) or self.why is _NOT_ASKED:
            self._say(why)
        self.why = why

    async def _run(self, app: Any) -> str:
        """Why it fails; a plain function runs in a thread."""
        arguments = (app,) if self._takes_app else ()
        try:
            if inspect.iscoroutinefunction(self._function):
                answer = await self._function(*arguments)
            else:
                answer = await asyncio.to_thread(self._function, *arguments)
                answer = await answer if inspect.isawaitable(answer) else answer
        except (Exception, SystemExit) as error:  # noqa: BLE001 - it is the answer
            return f"{type(error).__name__}: {error}"
        return "it says no" if answer is False else ""

    def _say(self, why: str) -> None:
        if why:
            logger.warning("not ready: the check %s fails: %s", self.name, why)
        elif self.why is not _NOT_ASKED:
            logger.info("ready again: the check %s passes", self.name)

    def forget(self) -> None:
        """The server stops: what is at work is cancelled, and nothing is known."""
        if self._task is not None:
            self._task.cancel()
        self._task = None
        self.why = _NOT_ASKED


class ReadyChecks:
    """The checks of one app."""

    __slots__ = ("_checks",)

    def __init__(self) -> None:
        self._checks: dict[str, _Check] = {}

    def add(self, name: str, function: Callable[..., Any]) -> None:
        """Ask `function` from the next start on.

        Raises:
            ConfigError: There is one of that name, or it wants more than the app.
        """
        if name in self._checks:
            raise DeclarationError(f"there is a ready check {name} already: give name=")
        if required_count(function) > 1:
            raise DeclarationError(f"the ready check {name} is called with the app, or with nothing")
        self._checks[name] = _Check(name, function)

    def __bool__(self) -> bool:
        return bool(self._checks)

    @property
    def failing(self) -> dict[str, str]:
        """Why, by the name of each check that fails or was not asked yet."""
        return {check.name: check.why for check in self._checks.values() if check.why}

    @property
    def passed(self) -> bool:
        """All have, when they were asked last."""
        return not any(check.why for check in self._checks.values())

    async def watch(self, app: Any, interval: float, patience: float) -> None:
        """Ask all checks again and again, until cancelled.

        Args:
            app: For those that want it.
            interval: READY_CHECK_INTERVAL: seconds from one answer to the next question.
            patience: READY_CHECK_TIMEOUT: seconds that an answer may take; 0: for ever.
        """
        try:
            while True:
                await asyncio.gather(*(check.ask(app, patience) for check in self._checks.values()))
                await asyncio.sleep(max(interval, LEAST_INTERVAL))
        finally:
            for check in self._checks.values():
                check.forget()


class Checked:
    """What an app can say of its readiness."""

    __slots__ = ()

    ready_checks: ReadyChecks

    @overload
    def ready_check(self, function: CheckT, /) -> CheckT: ...

    @overload
    def ready_check(self, function: None = None, /, *, name: str = "") -> Callable[[CheckT], CheckT]: ...

    def ready_check(self, function: Any = None, /, *, name: str = "") -> Any:
        """Declare a function that says whether this process can do its work right now.

        It is asked every READY_CHECK_INTERVAL seconds in each worker. If it raises, gives False or takes
        longer than READY_CHECK_TIMEOUT, the worker counts as not ready at ``/-/ready`` (ADMIN_BIND), and
        goes on serving.

        Args:
            function: Called with the app or with nothing; a plain function runs in a thread.
            name: For the log; the name of the function if empty.

        Raises:
            ConfigError: There is one of that name, or it wants more than the app.
        """

        def declare(function: Any) -> Any:
            if not self.ready_checks:
                self.register_listener(_begin, "after_server_start")  # type: ignore[attr-defined]
            self.ready_checks.add(name or function_name(function), function)
            return function

        return declare if function is None else declare(function)


def _begin(app: "Vivace[Any, Any]") -> None:
    config = app.config
    watch = app.ready_checks.watch(app, config.READY_CHECK_INTERVAL, config.READY_CHECK_TIMEOUT)
    app.add_task(watch)
