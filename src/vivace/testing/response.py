"""The response that a test looks at: whole, decoded on demand, with the names of Sanic's and httpx's clients.

Rules of this file:

- A response is complete when it is made; one that is still coming in is a `StreamedResponse`.
- Nothing is guessed silently: `json` raises what the parser raises.
"""

import json as jsonlib
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from http.cookiejar import Cookie
from typing import Any, Final

from vivace.http.forms import parse_options_header
from vivace.http.headers import Headers
from vivace.http.status import PHRASES
from vivace.testing.cookies import Cookies
from vivace.testing.outgoing import Outgoing

__all__ = ["HTTPStatusError", "Response", "StreamedResponse"]

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})


class HTTPStatusError(AssertionError):
    """A response has a status of 400 or more: `Response.raise_for_status`."""


class Response:
    """What the app answered.

    Args:
        status: The status code.
        headers: As they came.
        body: Without transfer coding; a content coding of gzip or deflate is undone.
        request: What was sent.
        http_version: ``HTTP/1.1`` or ``HTTP/1.0``.

    Attributes:
        cookies: What this response set, by name.
        history: The redirects that were followed, the first one first.
    """

    def __init__(
        self,
        status: int,
        headers: Headers,
        body: bytes,
        request: Outgoing,
        http_version: str = "HTTP/1.1",
    ) -> None:
        self.status = status
        self.headers = headers
        self.body = _decode_content(body, headers.get("content-encoding") or "") if body else body
        self.request = request
        self.http_version = http_version
        self.history: list[Response] = []
        self.cookies = Cookies()
        self.cookies.extract(request.url, headers)

    @property
    def status_code(self) -> int:
        """The status, by the name that other clients use."""
        return self.status

    @property
    def reason(self) -> str:
        """The usual phrase of the status."""
        return PHRASES.get(self.status, "")

    @property
    def url(self) -> str:
        """The URL that gave this response."""
        return self.request.url

    @property
    def content(self) -> bytes:
        """The body, by the name that other clients use."""
        return self.body

    @property
    def content_type(self) -> str | None:
        """The field Content-Type; None if there is none."""
        return self.headers.get("content-type")

    @property
    def encoding(self) -> str:
        """The charset of the Content-Type; UTF-8 if it names none."""
        return parse_options_header(self.content_type)[1].get("charset", "utf-8")

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode(self.encoding, "replace")

    @property
    def json(self) -> Any:
        """The body as JSON says it.

        Raises:
            ValueError: It is no JSON.
        """
        return jsonlib.loads(self.body)

    @property
    def raw_cookies(self) -> Mapping[str, Cookie]:
        """The cookies with their attributes, by name."""
        return {cookie.name: cookie for cookie in self.cookies.jar}

    @property
    def is_success(self) -> bool:
        """The status is one of 200 to 299."""
        return 200 <= self.status < 300

    @property
    def is_redirect(self) -> bool:
        """It sends the client elsewhere."""
        return self.status in _REDIRECTS and "location" in self.headers

    def raise_for_status(self) -> "Response":
        """Give this response back.

        Raises:
            HTTPStatusError: The status is 400 or more; the message shows the beginning of the body.
        """
        if self.status >= 400:
            shown = self.text[:500]
            raise HTTPStatusError(f"{self.request.method} {self.url}: {self.status} {self.reason}: {shown}")
        return self

    def __repr__(self) -> str:
        return f"<{type(self).__name__} [{self.status} {self.reason}]>"


class StreamedResponse:
    """A response whose body is still coming in; made by `Client.stream`.

    Attributes:
        status: The status code.
        headers: As they came.
        request: What was sent.
    """

    def __init__(
        self, status: int, headers: Headers, request: Outgoing, receive: Callable[[], Awaitable[bytes]]
    ) -> None:
        self.status = status
        self.headers = headers
        self.request = request
        self._receive = receive

    @property
    def status_code(self) -> int:
        """The status, by the name that other clients use."""
        return self.status

    async def receive(self) -> bytes:
        """The next piece as it came, without undoing a content coding; ``b""`` at the end."""
        return await self._receive()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while piece := await self._receive():
            yield piece

    async def read(self) -> bytes:
        """The rest of the body."""
        return b"".join([piece async for piece in self])


def _decode_content(body: bytes, coding: str) -> bytes:
    """Undo gzip and deflate; leave what is not that."""
    if coding.strip().lower() not in ("gzip", "deflate"):
        return body
    try:
        return zlib.decompress(body, 47)
    except zlib.error:
        return body
