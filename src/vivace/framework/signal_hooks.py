"""The decorators for signals, which an app and a blueprint share.

Rules of this file:

- A decorator gives back the function that it was given.
- A signal of a blueprint is heard whenever the event is dispatched by the app, and alone when it is
  dispatched by the blueprint: its condition names the blueprint.
"""

from collections.abc import Callable, Coroutine, Mapping
from enum import Enum
from typing import Any, TypeVar

from vivace.framework.handler import check_positional
from vivace.framework.signals import Event, SignalSpec, make_signal

__all__ = ["SignalHooks"]

F = TypeVar("F", bound=Callable[..., Any])
Reporter = Callable[[Any, Exception], Coroutine[Any, Any, None]]


class SignalHooks:
    """Signals of an app or a blueprint."""

    __slots__ = ("signal_specs",)

    def __init__(self) -> None:
        self.signal_specs: list[SignalSpec] = []

    def signals_changed(self) -> None:
        """A signal was declared."""

    def signal(
        self,
        event: str | Enum,
        *,
        apply: bool = True,
        condition: Mapping[str, Any] | None = None,
        exclusive: bool = True,
        priority: int = 0,
    ) -> Callable[[F], F]:
        """Declare a function that hears an event: ``@app.signal("shop.order.<id>")``.

        Args:
            event: ``a.b.c``, ``a.b.<name>``, ``a.b.*``, one word, or a member of `Event`.
            apply: False: declare nothing.
            condition: Hear only dispatches under exactly this condition.
            exclusive: False: hear those without any condition too.
            priority: Higher runs first.

        Raises:
            InvalidSignal: The name is malformed, or its area is the framework's.
        """

        def decorate(function: F) -> F:
            if apply:
                self._add_signal(make_signal(function, event, condition, exclusive, priority))
            return function

        return decorate

    def add_signal(
        self,
        handler: Callable[..., Any] | None,
        event: str | Enum,
        condition: Mapping[str, Any] | None = None,
        exclusive: bool = True,
    ) -> Callable[..., Any]:
        """Declare a signal without a decorator.

        Args:
            handler: The function; None declares an event that is only awaited.
            event: As in `signal`.
            condition: As in `signal`.
            exclusive: As in `signal`.

        Returns:
            The function.
        """
        spec = make_signal(handler, event, condition, exclusive)
        self._add_signal(spec)
        return spec.handler

    def _add_signal(self, spec: SignalSpec) -> None:
        self.signal_specs.append(spec)
        self.signals_changed()

    def catch_exception(self, handler: Reporter) -> None:
        """Call ``handler(self, exception)`` for each exception of a request, a task or a listener."""
        check_positional(handler, 2, "exception reporter", "(app, exception)")

        async def report(exception: Exception) -> None:
            await handler(self, exception)

        self._add_signal(make_signal(report, Event.SERVER_EXCEPTION_REPORT))
