"""Static files in development: a middleware that serves what django.contrib.staticfiles finds.

Rules of this file:

- It is for development: it is there with DEBUG only, unless VIVACE_STATIC of the site's settings differs.
- STATIC_URL is not read before the first request: Django keeps what is read first, and only in a request is
  the script prefix part of it.
"""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from asgiref.sync import iscoroutinefunction, sync_to_async
from django.conf import settings
from django.contrib.staticfiles.views import serve
from django.core.exceptions import MiddlewareNotUsed
from django.http import HttpRequest
from django.utils.decorators import sync_and_async_middleware

from vivace.contrib.django.streaming import piece_by_piece

__all__ = ["serve_static_files", "static_name"]

_METHODS = ("GET", "HEAD")


@sync_and_async_middleware
def serve_static_files(get_response: Callable[..., Any]) -> Callable[..., Any]:
    """The middleware.

    Args:
        get_response: What answers every other request.

    Raises:
        MiddlewareNotUsed: VIVACE_STATIC, or DEBUG without it, is false.
    """
    if not getattr(settings, "VIVACE_STATIC", settings.DEBUG):
        raise MiddlewareNotUsed("VIVACE_STATIC or DEBUG is off")

    if not iscoroutinefunction(get_response):

        def answer(request: HttpRequest) -> Any:
            name = static_name(request)
            return get_response(request) if name is None else serve(request, name, insecure=True)

        return answer

    async def answer_later(request: HttpRequest) -> Any:
        name = static_name(request)
        if name is None:
            return await get_response(request)
        response = await sync_to_async(serve, thread_sensitive=False)(request, name, insecure=True)
        return piece_by_piece(response, thread_sensitive=False)

    return answer_later


def static_name(request: HttpRequest) -> str | None:
    """The name of the static file that a request asks for; None if it asks for something else."""
    base = urlsplit(settings.STATIC_URL or "")
    if request.method not in _METHODS or base.netloc or not base.path.strip("/"):
        return None
    return url2pathname(request.path.removeprefix(base.path)) if request.path.startswith(base.path) else None
