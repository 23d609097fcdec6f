"""Django's ASGI handler with the sync code of all requests in a fixed number of threads.

Rules of this file:

- It is Django's handler. What is decided here: where a request gets its thread, when it shares it, and that a
  sync view runs there with all of its middleware in one go, as under WSGI. Django's own handler goes to the
  thread and back for each piece of each middleware, which costs more than all the rest of a request.
- What is overridden besides `__call__` is no public interface of Django: `read_body`, `run_get_response`,
  `make_view_atomic` and `send_response` are as they are since Django 5.0. The tests count threads, and calls
  to them, so they tell if one is gone.
"""

import os
from collections.abc import Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, sync_to_async
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.base import BaseHandler
from django.http import FileResponse
from django.urls import Resolver404, get_resolver

from vivace.config import Config
from vivace.contrib.django.streaming import FileSender, piece_by_piece
from vivace.framework.budget import all_budgets, fit_threads
from vivace.interfaces.asgiref_threads import Seat, Threads, current_seat, what_is_missing

__all__ = ["BoundedHandler", "count_threads"]


def count_threads() -> int:
    """THREADS of the files and the environment; ASGI_THREADS where it is not given; at least 1.

    Raises:
        ConfigError: It was chosen, and is more than the connections that a budget without a pool has.
    """
    config = Config.load()
    given = os.environ.get("ASGI_THREADS", "")
    explicit = "THREADS" in config.sources
    count = config.THREADS
    if not explicit and given.isdecimal():
        explicit, count = True, int(given)
    return fit_threads(max(count, 1), all_budgets(config), explicit=explicit)[0]


class BoundedHandler(ASGIHandler):
    """An ASGI application.

    Args:
        threads: How many threads the sync code of all requests shares, at least 1.

    Attributes:
        threads: They.

    Raises:
        ImproperlyConfigured: The installed asgiref does not let threads be shared.
    """

    def __init__(self, threads: int) -> None:
        missing = what_is_missing()
        if missing:
            raise ImproperlyConfigured(
                f"the installed asgiref has no {missing}: Vivace cannot bound Django's threads with it;"
                " use django.core.asgi.get_asgi_application, or another version of asgiref"
            )
        super().__init__()
        self.threads = Threads(threads)
        self._sync = BaseHandler()
        self._sync.load_middleware()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request.

        Args:
            scope: Of the connection.
            receive: The client's events.
            send: Ours.

        Raises:
            ValueError: The connection is no HTTP.
        """
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        async with Seat(self.threads):
            await self.handle(scope, receive, FileSender(scope, send))

    async def read_body(self, receive: Any) -> Any:
        """The body as a file. The thread is taken after it: a slow upload must not hold one."""
        body = await super().read_body(receive)
        await current_seat().take()
        return body

    async def run_get_response(self, request: Any) -> Any:
        """The response of middleware and view: in one go for a sync view, step by step for an async one."""
        if _is_async(request):
            return await super().run_get_response(request)
        response: Any = await sync_to_async(self._sync.get_response)(request)
        response._handler_class = type(self)
        if isinstance(response, FileResponse):
            response.block_size = self.chunk_size
        return response

    def make_view_atomic(self, view: Callable[..., Any]) -> Callable[..., Any]:
        """The view; while an async one runs the request shares its thread."""
        atomic: Any = super().make_view_atomic(view)

        async def share_and_answer(*args: Any, **kwargs: Any) -> Any:
            current_seat().share()
            return await atomic(*args, **kwargs)

        made: Callable[..., Any] = share_and_answer if iscoroutinefunction(atomic) else atomic
        return made

    async def send_response(self, response: Any, send: FileSender) -> None:
        """Send it, however slow the client is, with a thread only for the pieces of a plain iterator."""
        current_seat().share()
        send.take_file(response)
        await super().send_response(piece_by_piece(response), send)


def _is_async(request: Any) -> bool:
    """Whether an async view will answer.

    A guess: middleware may choose other URLs later. A wrong one costs threads or time and changes no answer,
    for each way runs each kind of view.
    """
    try:
        view = get_resolver(settings.ROOT_URLCONF).resolve(request.path_info).func
    except Resolver404:
        return False
    return bool(iscoroutinefunction(view))
