"""The ASGI handler with bounded threads: what holds a thread and what does not."""

import asyncio
import json
import warnings
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from asgiref.sync import SyncToAsync
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from tests.contrib.site import DIGITS, PATIENCE, Watch
from vivace.contrib.django import get_asgi_application
from vivace.contrib.django.handler import BoundedHandler, count_threads
from vivace.interfaces.asgiref_threads import OneThread

Message = dict[str, Any]


class Client:
    """One request to a handler.

    Args:
        handler: What answers.
        path: Of the request.
        body: The pieces that have arrived; the last one is missing with `open`.
        open: More is to come, and comes by `send_rest`.
        slow: The answer is not read before `read` is set.
        scope: More of it.
    """

    def __init__(
        self,
        handler: BoundedHandler,
        path: str,
        body: bytes = b"",
        *,
        open: bool = False,  # noqa: A002
        slow: bool = False,
        scope: Message | None = None,
    ) -> None:
        self.sent: list[Message] = []
        self.read = asyncio.Event()
        self.said = asyncio.Event()
        if not slow:
            self.read.set()
        self._in: asyncio.Queue[Message] = asyncio.Queue()
        self._in.put_nowait({"type": "http.request", "body": body, "more_body": open})
        asked = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": []}
        scope = {**asked, **(scope or {})}
        self.task = asyncio.create_task(handler(scope, self._in.get, self._send))

    async def _send(self, message: Message) -> None:
        self.sent.append(message)
        self.said.set()
        await self.read.wait()

    def send_rest(self) -> None:
        self._in.put_nowait({"type": "http.request", "body": b"rest", "more_body": False})

    def leave(self) -> None:
        self._in.put_nowait({"type": "http.disconnect"})

    async def answer(self) -> tuple[int, bytes]:
        async with asyncio.timeout(PATIENCE):
            await self.task
        return self.sent[0]["status"], b"".join(m.get("body", b"") for m in self.sent[1:])


async def in_thread(wait: Callable[[], object]) -> None:
    """Wait for what a thread tells."""
    await asyncio.get_running_loop().run_in_executor(None, wait)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.001)


async def test_forty_requests_take_no_more_threads_than_there_are(watch: Watch) -> None:
    handler = BoundedHandler(4)
    clients = [Client(handler, "/held/") for _ in range(40)]
    await until(lambda: watch.at_a_time == 4)
    watch.gate.set()
    assert {await client.answer() for client in clients} == {(200, b"held")}
    assert watch.most == 4
    assert watch.threads == {f"vivace-django-{number}" for number in range(4)}


async def test_a_slow_upload_holds_no_thread(watch: Watch) -> None:
    handler = BoundedHandler(1)
    slow = Client(handler, "/quick/", b"first ", open=True)
    assert await Client(handler, "/quick/", b"other").answer() == (200, b"other")
    slow.send_rest()
    assert await slow.answer() == (200, b"first rest")


async def test_a_client_that_leaves_during_its_upload_costs_nothing(watch: Watch) -> None:
    handler = BoundedHandler(1)
    gone = Client(handler, "/quick/", b"first ", open=True)
    gone.leave()
    await gone.task
    assert gone.sent == []
    assert await Client(handler, "/quick/", b"other").answer() == (200, b"other")


async def test_a_slow_client_holds_no_thread(watch: Watch) -> None:
    handler = BoundedHandler(1)
    for path in ("/quick/", "/streaming/", "/streaming/async/"):
        slow = Client(handler, path, slow=True)
        await until(slow.said.is_set)
        assert await Client(handler, "/quick/", b"other").answer() == (200, b"other")
        slow.read.set()
        assert (await slow.answer())[0] == 200


async def test_an_async_view_holds_no_thread(watch: Watch) -> None:
    handler = BoundedHandler(1)
    waiting = [Client(handler, "/waiting/") for _ in range(20)]
    for _ in waiting:
        await in_thread(watch.began.acquire)
    assert await Client(handler, "/quick/", b"other").answer() == (200, b"other")
    watch.gate.set()
    assert {await one.answer() for one in waiting} == {(200, b"waited")}


async def test_a_sync_view_has_its_thread_alone(watch: Watch) -> None:
    handler = BoundedHandler(2)
    held = Client(handler, "/held/")
    await in_thread(watch.began.acquire)
    for _ in range(10):  # none of them is given the thread of the one that is held
        assert await Client(handler, "/quick/", b"x").answer() == (200, b"x")
    watch.gate.set()
    assert await held.answer() == (200, b"held")


async def test_a_client_that_leaves_a_sync_view_gives_its_thread_back_after_it(watch: Watch) -> None:
    handler = BoundedHandler(1)
    gone = Client(handler, "/held/")
    await in_thread(watch.began.acquire)
    gone.leave()
    other = Client(handler, "/quick/", b"other")
    await asyncio.sleep(0.02)
    assert not other.sent
    watch.gate.set()
    assert await other.answer() == (200, b"other")
    await gone.task


async def test_calls_of_an_async_view_stay_in_one_thread(watch: Watch) -> None:
    status, body = await Client(BoundedHandler(4), "/calling/").answer()
    assert (status, json.loads(body)) == (200, {"names": ["vivace-django-0"]})


async def test_a_plain_iterator_is_sent_as_it_comes_and_without_a_warning(watch: Watch) -> None:
    slow = Client(BoundedHandler(1), "/streaming/", slow=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        await until(slow.said.is_set)
        assert watch.pieces == 0
        slow.read.set()
        assert await slow.answer() == (200, b"0\n1\n2\n")
    assert [m.get("body", b"") for m in slow.sent[1:]] == [b"0\n", b"1\n", b"2\n", b""]


async def test_a_sync_view_runs_in_one_go_with_its_middleware(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    submit = OneThread.submit

    def count(thread: OneThread, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        calls.append(fn)
        return submit(thread, fn, *args, **kwargs)

    monkeypatch.setattr(OneThread, "submit", count)
    with override_settings(MIDDLEWARE=["tests.contrib.site.plain_only"] * 10):
        client = Client(BoundedHandler(1), "/seen/")
        assert await client.answer() == (200, json.dumps({"seen": ["plain"] * 10}).encode())
    assert len(calls) <= 3  # the signal at the start, the view, the end of the response


@pytest.mark.parametrize("path", ["/seen/", "/seen/async/"])
@pytest.mark.parametrize("last", ["plain_only", "async_only", "swapping"])
async def test_any_middleware_goes_with_any_view(watch: Watch, path: str, last: str) -> None:
    names = ["plain_only", "async_only", last]
    expected = ["plain", "async", *{"plain_only": ["plain"], "async_only": ["async"]}.get(last, [])]
    with override_settings(MIDDLEWARE=[f"tests.contrib.site.{name}" for name in names]):
        handler = BoundedHandler(1)
        for _ in range(2):  # each gives its thread back
            status, body = await Client(handler, path).answer()
            assert (status, json.loads(body)) == (200, {"seen": expected})


ZERO_COPY: Message = {"extensions": {"http.response.zerocopysend": {}}}


async def test_a_file_is_left_to_a_server_that_can_send_it(watch: Watch) -> None:
    client = Client(BoundedHandler(1), "/file/", scope=ZERO_COPY)
    assert await client.answer() == (200, b"")
    start, sent = client.sent
    assert (b"Content-Length", b"199998") in start["headers"]
    assert isinstance(sent.pop("file"), int)
    assert sent == {"type": "http.response.zerocopysend", "offset": 2, "count": 199_998}


@pytest.mark.parametrize(
    ("query", "scope"), [(b"", {}), (b"kind=memory", ZERO_COPY), (b"kind=unknown", ZERO_COPY)]
)
async def test_any_other_file_is_sent_in_pieces(watch: Watch, query: bytes, scope: Message) -> None:
    client = Client(BoundedHandler(1), "/file/", scope={**scope, "query_string": query})
    assert await client.answer() == (200, DIGITS[2:])
    assert [len(m.get("body", b"")) for m in client.sent[1:]] == [65536, 65536, 65536, 3390, 0]


async def test_an_error_gives_its_thread_back(watch: Watch) -> None:
    handler = BoundedHandler(1)
    for _ in range(3):
        assert (await Client(handler, "/failing/").answer())[0] == 500
        assert (await Client(handler, "/nothing/here/").answer())[0] == 404


@pytest.mark.parametrize("kind", ["lifespan", "websocket"])
async def test_what_is_no_http_is_refused_as_django_does(kind: str) -> None:
    def never(*_: Any) -> Awaitable[Any]:
        raise AssertionError("nothing is said")

    with pytest.raises(ValueError, match=f"not {kind}"):
        await BoundedHandler(1)({"type": kind}, never, never)


def test_an_asgiref_that_cannot_share_threads_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(SyncToAsync, "context_to_thread_executor")
    with pytest.raises(ImproperlyConfigured, match=r"no SyncToAsync\.context_to_thread_executor"):
        BoundedHandler(1)


@pytest.mark.parametrize(
    ("ours", "asgi", "count"),
    [
        (None, None, 4),
        (None, "7", 7),
        ("3", "7", 3),
        ("0", None, 1),
        (None, "0", 1),
        (None, "many", 4),
    ],
)
def test_the_number_of_threads(
    monkeypatch: pytest.MonkeyPatch, ours: str | None, asgi: str | None, count: int
) -> None:
    for name, value in (("VIVACE_THREADS", ours), ("ASGI_THREADS", asgi)):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    assert count_threads() == count


def test_the_application_is_made_as_django_makes_it() -> None:
    assert isinstance(get_asgi_application(), BoundedHandler)
