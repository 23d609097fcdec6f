"""The decorators for work beside the requests, which an app and a blueprint share.

    @app.task(retries=5)
    async def send(to: str) -> None: ...

    @blueprint.cron("0 3 * * *", tz="Europe/Madrid")
    async def clean() -> None: ...

Rules of this file:

- Declarations only; whoever has them says what becomes of one (`_add_work`).
- Nothing of `vivace.tasks` is imported before something is declared.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar, overload

from vivace.framework.options import refuse_unknown

if TYPE_CHECKING:
    from vivace.tasks.book import Book
    from vivace.tasks.declared import TaskFunction

__all__ = ["DAY", "HISTORY", "Declare", "DeclaringWork"]

P = ParamSpec("P")
R = TypeVar("R")
Declare = Callable[["Book", dict[str, Any]], "TaskFunction[Any, Any]"]
"""Declares something with the tasks of an app; what the mapping says goes before what was said first."""

RETRIES: Final = 3
"""How many times a task is run again if its declaration does not say."""
BACKOFF: Final = "exp:2s..10m"
"""How long it waits before that if its declaration does not say."""
HISTORY: Final = 100
"""Runs of an interval that are kept if its declaration does not say how long; for a day at most."""
DAY: Final = 86400.0
_OPTIONS: Final = ("name", "queue", "retries", "backoff", "timeout", "unique", "priority", "keep")
_TIMED: Final = ("tz", "overlap", "catch_up", *_OPTIONS)
_REGULAR: Final = ("jitter", "overlap", "catch_up", *_OPTIONS)


class DeclaringWork:
    """What can be done beside the requests, declared on an app or a blueprint."""

    __slots__ = ()

    def _add_work(self, declare: Declare, *, by_itself: bool) -> Any:
        """Take a declaration; gives what stands for the function.

        Args:
            declare: Declares it.
            by_itself: It is run by a schedule, or by files that change.
        """
        raise NotImplementedError

    @overload
    def task(self, function: Callable[P, R], /) -> "TaskFunction[P, R]": ...

    @overload
    def task(
        self,
        *,
        name: str = "",
        queue: str = "default",
        retries: int = RETRIES,
        backoff: str | float = BACKOFF,
        timeout: float | str | None = None,
        unique: bool | Callable[..., object] = False,
        priority: int = 0,
        keep: float | str = 0,
    ) -> "Callable[[Callable[P, R]], TaskFunction[P, R]]": ...

    def task(self, function: Callable[..., Any] | None = None, **options: Any) -> Any:
        """Declare a function as a task: enqueued, it runs in a process of its own, and survives a crash.

        Args:
            function: A coroutine function, or a plain one, which runs in a thread; its annotations say what
                its arguments have to be.
            **options: See below.

        The options are ``name`` (of the function if empty), ``queue``, ``retries`` (how many times it is run
        again after a failure; 0: it is never begun twice), ``backoff`` (``exp:2s..10m``, ``linear:5s..1m`` or
        ``fixed:30s``: how long it waits before that), ``timeout`` (of an attempt), ``unique`` (True: one
        of the same arguments at a time; a function: of what it gives of them), ``priority`` (the greater one
        first) and ``keep`` (how long its result is kept).

        Raises:
            DeclarationError: The name is taken, or an option or a parameter cannot be.
        """
        refuse_unknown("@app.task", options, _OPTIONS)
        if function is None:
            return lambda given: self._add_task(given, options)
        return self._add_task(function, options)

    def _add_task(self, function: Callable[..., Any], options: dict[str, Any]) -> Any:
        return self._add_work(partial(_declare, function, options), by_itself=False)

    def cron(
        self,
        rule: str,
        *,
        tz: str = "UTC",
        overlap: str = "skip",
        catch_up: str = "last",
        **options: Any,
    ) -> "Callable[[Callable[P, R]], TaskFunction[P, R]]":
        """Run a function by a rule of cron: ``@app.cron("*/5 8-18 * * mon-fri", tz="Europe/Madrid")``.

        Args:
            rule: Minute, hour, day, month and weekday; or six fields, seconds first.
            tz: The time zone in which it is read.
            overlap: What becomes of a run whose predecessor is not done: ``skip``, ``queue`` or ``allow``.
            catch_up: Which of those that were missed are made up for: ``last``, ``all`` or ``none``.
            **options: Those of `task`; ``retries`` is 0 and ``keep`` a day if they are not said.

        Raises:
            DeclarationError: The rule, the zone or an option cannot be, or the function takes more than one
                argument, the time of the slot.
        """
        from vivace.tasks.schedule import Cron

        refuse_unknown("@app.cron", options, _TIMED)
        given = {"overlap": overlap, "catch_up": catch_up, **options}
        return self._scheduled(Cron(rule, tz), given)

    def every(
        self,
        length: float | str,
        *,
        jitter: float | str = 0,
        overlap: str = "skip",
        catch_up: str = "last",
        **options: Any,
    ) -> "Callable[[Callable[P, R]], TaskFunction[P, R]]":
        """Run a function at regular intervals, counted from the epoch: ``@app.every("30s", jitter="10%")``.

        Args:
            length: Seconds, or text such as ``30s``, ``5m``; at least a second.
            jitter: Each run starts up to so much later; a length of time, or a part such as ``10%``.
            overlap: See `cron`.
            catch_up: See `cron`.
            **options: See `cron`.
        """
        from vivace.tasks.schedule import Every, parse_jitter

        refuse_unknown("@app.every", options, _REGULAR)
        rule = Every(length)
        given = {"overlap": overlap, "catch_up": catch_up, "keep": min(DAY, HISTORY * rule.length), **options}
        return self._scheduled(rule, {"jitter": parse_jitter(jitter, rule.length), **given})

    def watch(
        self, pattern: str, *, debounce: float | str = 0.2, **options: Any
    ) -> "Callable[[Callable[P, R]], TaskFunction[P, R]]":
        """Run a function when files changed, came or went: ``@app.watch("conf/**/*.yml")``.

        Args:
            pattern: Of the files, ``**`` for any folders between; relative to where the server was started.
            debounce: How long nothing may change before it runs.
            **options: See `cron`. The function may take one argument: the list of these files.
        """
        refuse_unknown("@app.watch", options, ("debounce", *_OPTIONS))

        def declare(function: Callable[..., Any]) -> Any:
            made = partial(_declare_watch, function, pattern, debounce, options)
            return self._add_work(made, by_itself=True)

        return declare

    def _scheduled(self, rule: Any, given: dict[str, Any]) -> Callable[[Callable[..., Any]], Any]:
        def declare(function: Callable[..., Any]) -> Any:
            return self._add_work(partial(_declare_schedule, function, rule, given), by_itself=True)

        return declare


# Functions of the module and not of the decorators: a blueprint that has them can be pickled.


def _declare(
    function: Callable[..., Any], options: dict[str, Any], book: "Book", named: dict[str, Any]
) -> "TaskFunction[Any, Any]":
    return book.declare(function, **(options | named))


def _declare_schedule(
    function: Callable[..., Any], rule: Any, options: dict[str, Any], book: "Book", named: dict[str, Any]
) -> "TaskFunction[Any, Any]":
    return book.declare_schedule(function, rule, **(options | named))


def _declare_watch(
    function: Callable[..., Any],
    pattern: str,
    debounce: float | str,
    options: dict[str, Any],
    book: "Book",
    named: dict[str, Any],
) -> "TaskFunction[Any, Any]":
    return book.declare_watch(function, pattern, debounce, **(options | named))
