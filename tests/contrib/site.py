"""A Django site within the tests' own process: views that tests hold at a certain point."""

import asyncio
import io
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import django
from asgiref.sync import sync_to_async
from django.conf import settings
from django.http import FileResponse, HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path
from django.utils.decorators import async_only_middleware

PATIENCE = 20.0
DIGITS = b"0123456789" * 20_000
STATIC = {"papers.css": b"body {}\n", "digits": DIGITS}


def configure(folder: str) -> None:
    """Set Django up once for this process."""
    settings.configure(
        ALLOWED_HOSTS=["*"],
        DATABASES={},
        DEFAULT_CHARSET="utf-8",
        INSTALLED_APPS=["vivace.contrib.django", "django.contrib.staticfiles"],
        MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
        ROOT_URLCONF=__name__,
        SECRET_KEY="only for tests",
        STATICFILES_DIRS=[folder],
        STATIC_URL="static/",
        USE_TZ=True,
    )
    django.setup()


class Watch:
    """What views tell, and what they wait for."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.threads: set[str] = set()
        self.at_a_time = self.most = 0
        self.gate = threading.Event()
        self.began = threading.Semaphore(0)
        self.pieces = 0
        self._lock = threading.Lock()

    def enter(self) -> None:
        with self._lock:
            self.threads.add(threading.current_thread().name)
            self.at_a_time += 1
            self.most = max(self.most, self.at_a_time)

    def leave(self) -> None:
        with self._lock:
            self.at_a_time -= 1


watch = Watch()


def quick(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request.read())


def held(request: HttpRequest) -> HttpResponse:
    watch.enter()
    watch.began.release()
    watch.gate.wait(PATIENCE)
    watch.leave()
    return HttpResponse(b"held")


async def waiting(request: HttpRequest) -> HttpResponse:
    watch.began.release()
    while not watch.gate.is_set():
        await asyncio.sleep(0.005)
    return HttpResponse(b"waited")


async def calling(request: HttpRequest) -> HttpResponse:
    names = {await sync_to_async(lambda: threading.current_thread().name)() for _ in range(5)}
    return JsonResponse({"names": sorted(names)})


def streaming(request: HttpRequest) -> Any:
    def pieces() -> Iterator[bytes]:
        for number in range(3):
            watch.pieces += 1
            yield b"%d\n" % number

    return StreamingHttpResponse(pieces())


async def streaming_async(request: HttpRequest) -> Any:
    async def pieces() -> AsyncIterator[bytes]:
        for number in range(3):
            yield b"%d\n" % number

    return StreamingHttpResponse(pieces())


def file(request: HttpRequest) -> Any:
    """A file of the system, from its third octet; or what else `kind` says."""
    kind = request.GET.get("kind", "disk")
    disk = Path(settings.STATICFILES_DIRS[0], "digits")
    opened: Any = io.BytesIO(DIGITS) if kind == "memory" else disk.open("rb")
    opened.seek(2)
    response = FileResponse(opened)
    if kind == "unknown":
        del response["Content-Length"]
    return response


def seen(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"seen": request.META.get("seen", [])})


async def seen_later(request: HttpRequest) -> HttpResponse:
    return seen(request)


def plain_only(get_response: Any) -> Any:
    """Middleware that knows nothing of async."""

    def middleware(request: HttpRequest) -> HttpResponse:
        request.META["seen"] = [*request.META.get("seen", []), "plain"]
        return get_response(request)

    return middleware


@async_only_middleware
def async_only(get_response: Any) -> Any:
    """Middleware that knows nothing else."""

    async def middleware(request: HttpRequest) -> HttpResponse:
        request.META["seen"] = [*request.META.get("seen", []), "async"]
        return await get_response(request)

    return middleware


def swapping(get_response: Any) -> Any:
    """Middleware that chooses other URLs, in which the two views have each other's paths."""

    def middleware(request: Any) -> HttpResponse:
        request.urlconf = (path("seen/", seen_later), path("seen/async/", seen))
        return get_response(request)

    return middleware


def failing(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("boom in a view")


urlpatterns = [
    path("quick/", quick),
    path("held/", held),
    path("waiting/", waiting),
    path("calling/", calling),
    path("streaming/", streaming),
    path("streaming/async/", streaming_async),
    path("file/", file),
    path("seen/", seen),
    path("seen/async/", seen_later),
    path("failing/", failing),
]
