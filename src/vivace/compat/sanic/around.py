"""What runs around handlers, as an app of Sanic shows it.

Rules of this file: everything is made of the declarations when it is asked for; changing it changes nothing.
"""

from asyncio import Task
from collections import deque
from collections.abc import Callable, Iterable
from inspect import iscoroutine
from typing import Any, ClassVar, TypeVar

from vivace.compat.sanic.access import RecordedAccess, is_configured, shorten_lines
from vivace.compat.sanic.middleware import Middleware, middleware_of
from vivace.framework.app import Vivace

__all__ = ["Around"]

F = TypeVar("F", bound=Callable[..., Any])


class Around(Vivace[Any, Any]):
    """The part of a Sanic app that is about middleware, background tasks and the log of requests."""

    __slots__ = ()

    access_recorder: ClassVar[Callable[[], Any] | None] = RecordedAccess

    def access_log(self) -> Any:
        """Records of ``sanic.access`` if the program has made something of that logger, else the fast log."""
        if not is_configured():
            return None
        shorten_lines(self.config.DEBUG)
        return RecordedAccess()

    @property
    def request_middleware(self) -> "deque[Middleware]":
        """The request middleware for every route, the first declared first."""
        return middleware_of((s for s in self.middleware_specs if s.routes is None), "request")

    @property
    def response_middleware(self) -> "deque[Middleware]":
        """The response middleware for every route, the last declared first."""
        return deque(
            reversed(middleware_of((s for s in self.middleware_specs if s.routes is None), "response"))
        )

    @property
    def named_request_middleware(self) -> "dict[str, deque[Middleware]]":
        """The request middleware for single routes, by their names."""
        return self._named("request")

    @property
    def named_response_middleware(self) -> "dict[str, deque[Middleware]]":
        """The response middleware for single routes, by their names."""
        return self._named("response")

    def exception(
        self, *exceptions: type[BaseException] | Iterable[type[BaseException]], apply: bool = True
    ) -> Callable[[F], F]:
        """Declare what answers these exceptions; the app's error handler finds it at once."""
        decorate = super().exception(*exceptions, apply=apply)

        def declare(function: F) -> F:
            known = len(self.exception_specs)
            decorate(function)
            for kind, handler in self.exception_specs[known:]:
                self.error_handler.add(kind, handler)
            return function

        return declare

    def add_task(self, task: Any, *, name: str | None = None, register: bool = True) -> "Task[Any] | None":
        """Run a coroutine in the background; see `Background.add_task`.

        Raises:
            RuntimeError: It is to have a name, and the server does not run yet.
        """
        if name and not self.state.is_started:
            if iscoroutine(task):
                task.close()
            raise RuntimeError("Cannot name task outside of a running application")
        return super().add_task(task, name=name, register=register)

    def _named(self, location: str) -> "dict[str, deque[Middleware]]":
        names = {name for spec in self.middleware_specs for name in spec.routes or ()}
        found = {
            name: middleware_of((s for s in self.middleware_specs if name in (s.routes or ())), location)
            for name in sorted(names)
        }
        return {name: functions for name, functions in found.items() if functions}
