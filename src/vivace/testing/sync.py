"""The client for tests that are plain functions.

Rules of this file:

- It is the asynchronous client and a loop of its own, on which everything runs in this thread: between two
  calls the app's background tasks pause.
"""

import asyncio
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Any, Self, TypeVar, Unpack

from vivace.testing.client import Client, ClientOptions
from vivace.testing.cookies import Cookies
from vivace.testing.response import Response, StreamedResponse
from vivace.testing.websocket import WebSocketSession

__all__ = ["SyncClient", "SyncStreamedResponse", "SyncWebSocketSession"]

T = TypeVar("T")


class SyncClient:
    """`Client` without ``await``; takes the same arguments.

    >>> with SyncClient(app) as client:
    ...     assert client.get("/").status == 200
    """

    def __init__(self, target: Any, **options: Any) -> None:
        self._client = Client(target, **options)
        self._runner: asyncio.Runner | None = None

    @property
    def cookies(self) -> Cookies:
        """What is sent with requests; what responses set is added."""
        return self._client.cookies

    def __enter__(self) -> Self:
        """Start the app.

        Raises:
            StartupError: It does not start.
            RuntimeError: A loop runs in this thread: use `Client` there.
        """
        self._runner = asyncio.Runner()
        try:
            self._run(self._client.__aenter__())
        except BaseException:
            self._runner.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the app."""
        assert self._runner is not None
        try:
            self._run(self._client.__aexit__())
        finally:
            self._runner.close()
            self._runner = None

    def _run(self, step: Coroutine[Any, Any, T]) -> T:
        if self._runner is None:
            step.close()
            raise RuntimeError(
                "the app does not live yet: use the client as `with SyncClient(app) as client`"
            )
        return self._runner.run(step)

    def request(self, method: str, url: str, **options: Unpack[ClientOptions]) -> Response:
        """Send a request and wait for the whole response; see `Client.request`."""
        return self._run(self._client.request(method, url, **options))

    @contextmanager
    def stream(
        self, method: str, url: str, **options: Unpack[ClientOptions]
    ) -> "Iterator[SyncStreamedResponse]":
        """Send a request and look at the response while it comes; see `Client.stream`."""
        opened = self._client.stream(method, url, **options)
        response = self._run(_enter(opened))
        try:
            yield SyncStreamedResponse(response, self._run)
        finally:
            self._run(_leave(opened))

    @contextmanager
    def websocket(
        self,
        url: str,
        *,
        subprotocols: Sequence[str] = (),
        compress: bool = False,
        **options: Unpack[ClientOptions],
    ) -> "Iterator[SyncWebSocketSession]":
        """Open a WebSocket; see `Client.websocket`."""
        opened = self._client.websocket(url, subprotocols=subprotocols, compress=compress, **options)
        session = self._run(_enter(opened))
        try:
            yield SyncWebSocketSession(session, self._run)
        finally:
            self._run(_leave(opened))

    def get(self, url: str, **options: Unpack[ClientOptions]) -> Response:
        """`request` with GET."""
        return self.request("GET", url, **options)

    def post(self, url: str, **options: Unpack[ClientOptions]) -> Response:
        """`request` with POST."""
        return self.request("POST", url, **options)

    def put(self, url: str, **options: Unpack[ClientOptions]) -> Response:
        """`request` with PUT."""
        return self.request("PUT", url, **options)

    def patch(self, url: str, **options: Unpack[ClientOptions]) -> Response:
        """`request` with PATCH."""
        return self.request("PATCH", url, **options)

    def delete(self, url: str, **options: Unpack[ClientOptions]) -> Response:
        """`request` with DELETE."""
        return self.request("DELETE", url, **options)

    def head(self, url: str, **options: Unpack[ClientOptions]) -> Response:
        """`request` with HEAD."""
        return self.request("HEAD", url, **options)

    def options(self, url: str, **options: Unpack[ClientOptions]) -> Response:
        """`request` with OPTIONS."""
        return self.request("OPTIONS", url, **options)


class SyncStreamedResponse:
    """A response whose body is still coming in."""

    def __init__(self, response: StreamedResponse, run: Any) -> None:
        self._response = response
        self._run = run
        self.status = response.status
        self.headers = response.headers

    def receive(self) -> bytes:
        """The next piece; ``b""`` at the end."""
        return self._run(self._response.receive())  # type: ignore[no-any-return]

    def __iter__(self) -> Iterator[bytes]:
        while piece := self.receive():
            yield piece


class SyncWebSocketSession:
    """`WebSocketSession` without ``await``."""

    def __init__(self, session: WebSocketSession, run: Any) -> None:
        self._session = session
        self._run = run

    def send(self, message: str | bytes) -> None:
        """Send text or octets."""
        self._run(self._session.send(message))

    def send_json(self, value: Any) -> None:
        """Send a value as JSON, in a text message."""
        self._run(self._session.send_json(value))

    def recv(self, timeout: float | None = None) -> str | bytes:
        """The next message; see `WebSocketSession.recv`."""
        return self._run(self._session.recv(timeout))  # type: ignore[no-any-return]

    def recv_json(self, timeout: float | None = None) -> Any:
        """The value that the next message holds as JSON."""
        return self._run(self._session.recv_json(timeout))

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close, and wait for the end."""
        self._run(self._session.close(code, reason))

    def __getattr__(self, name: str) -> Any:
        if name in ("subprotocol", "headers", "closed", "close_code", "close_reason"):
            return getattr(self._session, name)
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")


async def _enter(opened: "AbstractAsyncContextManager[T]") -> T:
    return await opened.__aenter__()


async def _leave(opened: Any) -> None:
    await opened.__aexit__(None, None, None)
