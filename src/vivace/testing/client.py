"""The client of tests: calls an app in this process, or a server by its URL.

Rules of this file:

- The app lives from the start of ``async with`` to its end, and its listeners run: never a request before.
- One code path for everything: what a response comes from is the transport's business.
- A request that takes longer than the time-out fails the test instead of hanging it.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final, Protocol, Self, Unpack
from urllib.parse import urljoin

from vivace.http.headers import Headers
from vivace.testing.cookies import Cookies
from vivace.testing.inprocess import InProcess
from vivace.testing.outgoing import Outgoing, RequestOptions, build_request
from vivace.testing.response import Response, StreamedResponse
from vivace.testing.sockets import Sockets
from vivace.testing.websocket import WebSocketRefused, WebSocketSession

__all__ = ["MAX_REDIRECTS", "TIMEOUT", "Client", "ClientOptions"]

MAX_REDIRECTS: Final = 20
"""Redirects that are followed for one request."""
TIMEOUT: Final = 30.0
"""Seconds that a request may take, its body included."""

_WITHOUT_BODY: Final = frozenset({"GET", "HEAD", "OPTIONS", "DELETE"})
_BODY_FIELDS: Final = ("content-type", "content-length", "transfer-encoding")


class ClientOptions(RequestOptions, total=False):
    """What a request may carry, and how it is sent.

    Attributes:
        follow_redirects: Instead of the client's.
        timeout: The same, in seconds; None for none.
    """

    follow_redirects: bool
    timeout: float | None


class _Exchange(Protocol):
    status: int
    headers: Headers
    http_version: str

    async def receive(self) -> bytes: ...
    async def close(self) -> None: ...


class _Transport(Protocol):
    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    async def send(self, request: Outgoing) -> _Exchange: ...
    async def open_websocket(self, request: Outgoing, subprotocols: Sequence[str], compress: bool) -> Any: ...


class Client:
    """Sends requests to an app in this process, or to a server.

    >>> async with Client(app) as client:
    ...     response = await client.get("/")
    ...     assert response.json == {"hello": "world"}

    Args:
        target: A Vivace app or another ASGI app, which is called directly; or the URL of a server.
        base_url: Before paths; default: ``http://testserver``, or the URL of the server.
        headers: Sent with every request.
        cookies: Kept from the start.
        follow_redirects: Follow them; a request may say otherwise.
        raise_exceptions: Raise in the test what no handler of the app takes; False: get the answer, a 500.
        timeout: Seconds that a request may take, its body included; None for ever.
        client: The address that an app in this process sees as its peer.

    Attributes:
        cookies: What is sent with requests; what responses set is added.
        headers: Sent with every request.
    """

    def __init__(
        self,
        target: Any,
        *,
        base_url: str | None = None,
        headers: Mapping[str, str] | None = None,
        cookies: Mapping[str, str] | None = None,
        follow_redirects: bool = False,
        raise_exceptions: bool = True,
        timeout: float | None = TIMEOUT,
        client: tuple[str, int] | None = None,
    ) -> None:
        self._transport: _Transport
        if isinstance(target, str):
            self._transport = Sockets()
            usual = target
        else:
            self._transport = (
                target if isinstance(target, Sockets) else InProcess(target, raise_exceptions, client)
            )
            usual = "http://testserver"
        self._base = base_url or usual
        self._follow = follow_redirects
        self._timeout = timeout
        self._open = False
        self.headers = Headers(headers or {})
        self.cookies = Cookies(cookies)

    async def __aenter__(self) -> Self:
        """Start the app.

        Raises:
            StartupError: It does not start.
        """
        await self._transport.start()
        self._open = True
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop the app."""
        self._open = False
        await self._transport.stop()

    async def request(self, method: str, url: str, **options: Unpack[ClientOptions]) -> Response:
        """Send a request and wait for the whole response.

        Args:
            method: Such as ``GET``.
            url: A path, or an absolute URL.
            options: See `ClientOptions`.

        Raises:
            RuntimeError: The client was not entered: ``async with``.
            TimeoutError: It took longer than the time-out.
            Exception: What the app raised, unless the client was told to leave it.
        """
        async with asyncio.timeout(options.pop("timeout", self._timeout)):
            follow = options.pop("follow_redirects", self._follow)
            outgoing = self._build(method, url, options)
            response = await self._send(outgoing)
            history: list[Response] = []
            while follow and response.is_redirect:
                history.append(response)
                if len(history) > MAX_REDIRECTS:
                    raise RuntimeError(f"{method} {url} was redirected more than {MAX_REDIRECTS} times")
                response = await self._send(self._redirected(response))
            response.history = history
            return response

    def stream(
        self, method: str, url: str, **options: Unpack[ClientOptions]
    ) -> AbstractAsyncContextManager[StreamedResponse]:
        """Send a request and look at the response while it comes; leaving early is what a client does too.

        >>> async with client.stream("GET", "/events") as response:
        ...     first = await response.receive()
        """
        return self._stream(method, url, options)

    @asynccontextmanager
    async def _stream(self, method: str, url: str, options: ClientOptions) -> AsyncIterator[StreamedResponse]:
        options.pop("follow_redirects", None)
        limit = options.pop("timeout", self._timeout)
        outgoing = self._build(method, url, options)
        async with asyncio.timeout(limit):
            exchange = await self._transport.send(self._with_cookies(outgoing))
        try:
            self.cookies.extract(outgoing.url, exchange.headers)
            yield StreamedResponse(exchange.status, exchange.headers, outgoing, exchange.receive)
        finally:
            await exchange.close()

    def websocket(
        self,
        url: str,
        *,
        subprotocols: Sequence[str] = (),
        compress: bool = False,
        **options: Unpack[ClientOptions],
    ) -> AbstractAsyncContextManager[WebSocketSession]:
        """Open a WebSocket; the end of the block closes it.

        >>> async with client.websocket("/chat") as ws:
        ...     await ws.send("hello")
        ...     assert await ws.recv() == "hello"

        Args:
            url: A path, or an absolute URL with ``ws``, ``wss``, ``http`` or ``https``.
            subprotocols: What we speak, the best first.
            compress: Offer permessage-deflate; only a server on a socket takes it up.
            options: Of the handshake; ``timeout`` holds for each message too.

        Raises:
            WebSocketRefused: The answer was another one; its `response` has it.
        """
        return self._websocket(url, subprotocols, compress, options)

    @asynccontextmanager
    async def _websocket(
        self, url: str, subprotocols: Sequence[str], compress: bool, options: ClientOptions
    ) -> AsyncIterator[WebSocketSession]:
        options.pop("follow_redirects", None)
        limit = options.pop("timeout", self._timeout)
        url = f"http{url[2:]}" if url.startswith(("ws:", "wss:")) else url
        outgoing = self._with_cookies(self._build("GET", url, options))
        async with asyncio.timeout(limit):
            opened = await self._transport.open_websocket(outgoing, subprotocols, compress)
            self.cookies.extract(outgoing.url, opened.headers)
            if hasattr(opened, "status") and opened.status != 101:
                raise WebSocketRefused(await _read_whole(opened, outgoing))
        async with WebSocketSession(opened, limit) as session:
            yield session

    async def get(self, url: str, **options: Unpack[ClientOptions]) -> Response:
        """`request` with GET."""
        return await self.request("GET", url, **options)

    async def post(self, url: str, **options: Unpack[ClientOptions]) -> Response:
        """`request` with POST."""
        return await self.request("POST", url, **options)

    async def put(self, url: str, **options: Unpack[ClientOptions]) -> Response:
        """`request` with PUT."""
        return await self.request("PUT", url, **options)

    async def patch(self, url: str, **options: Unpack[ClientOptions]) -> Response:
        """`request` with PATCH."""
        return await self.request("PATCH", url, **options)

    async def delete(self, url: str, **options: Unpack[ClientOptions]) -> Response:
        """`request` with DELETE."""
        return await self.request("DELETE", url, **options)

    async def head(self, url: str, **options: Unpack[ClientOptions]) -> Response:
        """`request` with HEAD."""
        return await self.request("HEAD", url, **options)

    async def options(self, url: str, **options: Unpack[ClientOptions]) -> Response:
        """`request` with OPTIONS."""
        return await self.request("OPTIONS", url, **options)

    def _build(self, method: str, url: str, options: ClientOptions) -> Outgoing:
        if not self._open:
            raise RuntimeError(
                "the app does not live yet: use the client as `async with Client(app) as client`"
            )
        given: Any = options.get("headers") or ()
        own = Headers(given)
        merged = [pair for pair in self.headers.items() if pair[0] not in own]
        options["headers"] = [*merged, *(given.items() if isinstance(given, Mapping | Headers) else given)]
        outgoing = build_request(method, self._base, url, options)
        for name, value in (options.get("cookies") or {}).items():
            _append_cookie(outgoing.headers, f"{name}={value}")
        return outgoing

    def _with_cookies(self, outgoing: Outgoing) -> Outgoing:
        """The request with the cookies of the client and the framing of its body."""
        headers = outgoing.headers.copy()
        kept = self.cookies.field_for(outgoing.url)
        if kept:
            _append_cookie(headers, kept)
        if isinstance(outgoing.body, bytes):
            if (outgoing.body or outgoing.method not in _WITHOUT_BODY) and "content-length" not in headers:
                headers["Content-Length"] = str(len(outgoing.body))
        elif "content-length" not in headers:
            headers["transfer-encoding"] = "chunked"
        return outgoing._replace(headers=headers)

    async def _send(self, outgoing: Outgoing) -> Response:
        exchange = await self._transport.send(self._with_cookies(outgoing))
        response = await _read_whole(exchange, outgoing)
        self.cookies.extract(outgoing.url, exchange.headers)
        return response

    def _redirected(self, response: Response) -> Outgoing:
        """The request that a redirect asks for (RFC 9110 section 15.4)."""
        before = response.request
        method, body = before.method, before.body
        headers = before.headers.copy()
        if response.status == 303 or (response.status in (301, 302) and method == "POST"):
            method, body = ("HEAD" if method == "HEAD" else "GET"), b""
            for name in _BODY_FIELDS:
                headers.pop(name, None)
        if not isinstance(body, bytes):
            raise TypeError("a body in pieces cannot be sent again to where the response redirects")
        url = urljoin(before.url, response.headers["location"])
        again = build_request(method, self._base, url, {"content": body})
        headers["host"] = again.headers["host"]
        return again._replace(headers=headers)


async def _read_whole(exchange: _Exchange, outgoing: Outgoing) -> Response:
    """Read a response to its end."""
    try:
        pieces = []
        while piece := await exchange.receive():
            pieces.append(piece)
    finally:
        await exchange.close()
    return Response(exchange.status, exchange.headers, b"".join(pieces), outgoing, exchange.http_version)


def _append_cookie(headers: Headers, value: str) -> None:
    before = headers.get("cookie")
    headers["cookie"] = f"{before}; {value}" if before else value
