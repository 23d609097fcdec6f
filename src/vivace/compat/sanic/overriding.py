"""`handle_request` and `handle_exception` of an app, for programs that override them.

Rules of this file:

- Only an app whose class overrides one of them goes this way; every other has the short one.
- The exchange is answered as everywhere: what is here only decides in which order it is called.
"""

import asyncio
from typing import Any, Final

from vivace.errors import RemoteProtocolError
from vivace.framework.announce import Announcer
from vivace.framework.app import Vivace
from vivace.framework.dispatch import Dispatcher
from vivace.framework.middleware import Chain
from vivace.framework.request import Request, current_request
from vivace.framework.router import Router
from vivace.protocols.stream import Stream

__all__ = ["Overridable", "OverriddenDispatcher"]

_NAMES: Final = ("handle_request", "handle_exception")


class OverriddenDispatcher(Dispatcher):
    """Answers requests by calling the methods of the app.

    Args:
        app: The app.
        request_class: `Request` or a subclass.
    """

    def __init__(self, app: "Overridable", request_class: type[Request]) -> None:
        super().__init__(app, request_class)
        self.app = app
        self.request_class = request_class
        self.router: Router | None = None

    def update(self, router: Router, request_chain: Chain, announcer: Announcer | None = None) -> None:
        """Take over what `finalize` compiled."""
        super().update(router, request_chain, announcer)
        self.router = router

    def take_router(self, router: Router) -> None:
        """Let another router find the routes."""
        super().take_router(router)
        self.router = router

    async def handle(self, stream: Stream) -> None:
        """Answer the request of `stream`."""
        request = self.request_class(self.app, stream, None, {})
        current_request.set(request)
        try:
            await self.app.handle_request(request)
        finally:
            if stream.head.has_body:
                request.release()

    async def refuse(self, stream: Stream, error: Exception) -> None:
        """Answer a message that is no request."""
        request = self.request_class(self.app, stream, None, {})
        current_request.set(request)
        if isinstance(error, RemoteProtocolError):
            error = self.app.error_handler.refusal(error)
        await self.app.handle_exception(request, error)

    async def answer_request(self, request: Request) -> None:
        """What `handle_request` does unless it is overridden."""
        stream, head = request._transport, request.head
        assert self.router is not None
        try:
            request.route, request.match_info = self.router.resolve(head.path, head.method, head.host)
            await self._serve(stream, request, request.route)
        except Exception as error:  # noqa: BLE001  # it becomes a response
            await self.app.handle_exception(request, error)
        except asyncio.CancelledError:
            if not stream.timed_out:
                raise
            await self._time_out(stream, request)

    async def answer_exception(self, request: Request, exception: Exception) -> None:
        """What `handle_exception` does unless it is overridden."""
        await self._fail(request._transport, request, exception)


class Overridable(Vivace[Any, Any]):
    """An app whose class may decide how requests and exceptions are handled."""

    __slots__ = ()

    def _make_dispatcher(self, request_class: type[Request]) -> Dispatcher:
        """Let requests go through the methods of this class if they are overridden."""
        if all(getattr(type(self), name) is getattr(Overridable, name) for name in _NAMES):
            return super()._make_dispatcher(request_class)
        return OverriddenDispatcher(self, request_class)

    async def handle_request(self, request: Request) -> None:
        """Answer a request: find its route, run middleware and handler, send what comes of it.

        Args:
            request: The request; its route is not known yet.
        """
        await self._overridden().answer_request(request)

    async def handle_exception(
        self, request: Request, exception: Exception, run_middleware: bool = True
    ) -> None:
        """Answer a request with an exception, by its handler or an error page.

        Args:
            request: The request.
            exception: What was raised.
            run_middleware: False: leave the request middleware out.
        """
        if not run_middleware:
            request.request_middleware_ran = True
        await self._overridden().answer_exception(request, exception)

    def _overridden(self) -> OverriddenDispatcher:
        if isinstance(self._dispatcher, OverriddenDispatcher):
            return self._dispatcher
        made = OverriddenDispatcher(self, Request)  # a program calls a method that it has not overridden
        made.update(self.compiled_router, (), None)
        return made

    @property
    def compiled_router(self) -> Router:
        """The routes, as they are matched."""
        return super().router
