"""sanic.response: responses as Sanic programs make and inspect them.

Rules of this file:

- Fields keep their case and values (`Header`), cookies stand among them, JSON is the text that Sanic writes.
- A response that the framework made is an instance of these classes too: programs ask for that.
- What decides how something is sent stays in the framework.
"""

import json as standard_json
import logging
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from os import PathLike
from typing import Any, ClassVar, Final

from vivace.compat.sanic.cookies import Cookie, CookieJar, SameSite
from vivace.compat.sanic.header import Header
from vivace.errors import FileNotFound, ServerError
from vivace.framework import files, response, streaming
from vivace.framework.guess import know_helper
from vivace.framework.mime import guess_content_type
from vivace.framework.request import Request
from vivace.http.dates import format_date, parse_date
from vivace.http.status import has_no_body
from vivace.http.url import quote_location

__all__ = [
    "BaseHTTPResponse",
    "HTTPResponse",
    "JSONResponse",
    "ResponseStream",
    "coerce",
    "empty",
    "file",
    "file_stream",
    "guess_content_type",
    "html",
    "json",
    "json_dumps",
    "raw",
    "redirect",
    "text",
    "validate_file",
]

HeaderSource = response.HeaderSource
TEXT: Final = response.TEXT
HTML: Final = response.HTML
BINARY: Final = response.BINARY

_BY_FILE: Final[Any] = object()
logger = logging.getLogger("sanic.root")

_dump_plain: Final = standard_json.JSONEncoder(separators=(",", ":")).encode

try:
    # What Sanic uses where it is installed.
    from ujson import dumps as _dump_ujson  # type: ignore[import-untyped,import-not-found,unused-ignore]

    json_dumps: Callable[..., str] = partial(  # pyright: ignore[reportRedeclaration]
        _dump_ujson, escape_forward_slashes=False
    )
except ImportError:

    def json_dumps(obj: Any, **options: Any) -> str:
        """A value as JSON: no blanks, nothing beyond ASCII."""
        if not options:
            return _dump_plain(obj)
        return standard_json.dumps(
            obj, **{"separators": None if options.get("indent") else (",", ":"), **options}
        )


class _Kind(type):
    """Takes the responses of the framework for those of Sanic."""

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, cls.__dict__.get("stands_for", ())) or super().__instancecheck__(instance)

    @property
    def _dumps(cls) -> Callable[..., str]:
        """Programs use it as `BaseHTTPResponse._dumps`."""
        return json_dumps


class BaseHTTPResponse(response.HTTPResponse, metaclass=_Kind):
    """What all responses have in common."""

    __slots__ = ()

    stands_for: ClassVar[Any] = response.HTTPResponse

    def make_headers(self, source: Any) -> Any:
        """The fields: `Header` keeps them as they are written."""
        return Header(source)

    @property
    def cookies(self) -> CookieJar:  # type: ignore[override]
        """The cookies that the response sets."""
        if self._cookies is None:
            self._cookies = CookieJar(self.headers)  # type: ignore[arg-type,assignment]
        return self._cookies  # type: ignore[return-value]

    async def transmit(self, stream: Any) -> None:
        """Send it over `stream`; a body that must not be there is told of."""
        if self.body and has_no_body(self.status):
            logger.warning(
                "Message body set in response on %s. A %s response may only have headers, no body.",
                stream.head.path.decode("latin-1"),
                self.status,
            )
        await super().transmit(stream)

    async def __call__(self, data: str | bytes | None = None, end_stream: bool | None = None) -> None:
        """The same as `send`: ``async with`` gives what sends, in Sanic its method."""
        await self.send(data, end_stream)

    async def eof(self) -> None:
        """Complete a response that `request.respond` opened.

        Raises:
            ServerError: It did not.
        """
        await self.send(end_stream=True)

    @property
    def stream(self) -> Any:
        """What it is sent through; None before that."""
        return self.sender

    @property
    def asgi(self) -> bool:
        """False: how it is sent makes no difference here."""
        return False

    @property
    def processed_headers(self) -> Any:
        """The fields as they are sent, octets."""
        return iter(self.wire_fields())

    def add_cookie(  # type: ignore[override]
        self,
        key: str,
        value: str,
        *,
        path: str | None = "/",
        domain: str | None = None,
        secure: bool = True,
        max_age: int | None = None,
        expires: datetime | None = None,
        httponly: bool = False,
        samesite: SameSite | None = "Lax",
        partitioned: bool = False,
        comment: str | None = None,
        host_prefix: bool = False,
        secure_prefix: bool = False,
    ) -> Cookie:
        """Set a cookie; the arguments are those of `Cookie`."""
        return self.cookies.add_cookie(
            key,
            value,
            path=path,
            domain=domain,
            secure=secure,
            max_age=max_age,
            expires=expires,
            httponly=httponly,
            samesite=samesite,
            partitioned=partitioned,
            comment=comment,
            host_prefix=host_prefix,
            secure_prefix=secure_prefix,
        )

    def delete_cookie(  # type: ignore[override]
        self,
        key: str,
        *,
        path: str = "/",
        domain: str | None = None,
        host_prefix: bool = False,
        secure_prefix: bool = False,
    ) -> None:
        """Make the browser forget a cookie."""
        self.cookies.delete_cookie(
            key, path=path, domain=domain, host_prefix=host_prefix, secure_prefix=secure_prefix
        )


class HTTPResponse(BaseHTTPResponse):
    """A response: sent whole when the handler returns it, or piece by piece with `send`."""

    __slots__ = ()

    stands_for: ClassVar[Any] = response.HTTPResponse


class JSONResponse(HTTPResponse, response.JSONResponse):  # pyright: ignore[reportIncompatibleMethodOverride]
    """A response whose content is a value; the methods change the value and encode it again."""

    __slots__ = ()

    stands_for: ClassVar[Any] = response.JSONResponse
    default_dumps: ClassVar[Any] = staticmethod(json_dumps)


class ResponseStream(streaming.ResponseStream, BaseHTTPResponse):
    """A response whose body a function writes: ``await response.write(piece)``."""

    __slots__ = ()

    stands_for: ClassVar[Any] = streaming.ResponseStream

    def __init__(
        self,
        streaming_fn: Callable[[Any], Any],
        status: int = 200,
        headers: HeaderSource | None = None,
        content_type: str | None = None,
    ) -> None:
        super().__init__(streaming_fn, status, headers, content_type)

    @property
    def request(self) -> Any:
        """The request that is answered; None before."""
        return Request.get_current() if self.sender is not None else None

    @property
    def response(self) -> Any:
        """What sends the pieces, which is this response; None before."""
        return self if self.sender is not None else None


def coerce(result: Any) -> response.HTTPResponse:
    """What a handler or middleware returned, which has to be a response.

    Raises:
        ServerError: It is none.
    """
    if isinstance(result, response.HTTPResponse):
        return result
    raise ServerError(f"Invalid response type {result!r:.1000} (need HTTPResponse)")


def text(
    body: str, status: int = 200, headers: HeaderSource | None = None, content_type: str = TEXT
) -> HTTPResponse:
    """A response of plain text.

    Raises:
        TypeError: `body` is not text.
    """
    if not isinstance(body, str):
        raise TypeError(f"Bad body type. Expected str, got {type(body).__name__})")
    return HTTPResponse(body, status, headers, content_type)


def html(body: Any, status: int = 200, headers: HeaderSource | None = None) -> HTTPResponse:
    """A page: text, octets, or an object with ``__html__`` or ``_repr_html_``."""
    if not isinstance(body, (str, bytes)):
        for name in ("__html__", "_repr_html_"):
            if hasattr(body, name):
                body = getattr(body, name)()
                break
    return HTTPResponse(body, status, headers, HTML)


def json(
    body: Any,
    status: int = 200,
    headers: HeaderSource | None = None,
    content_type: str = response.JSON,
    dumps: Callable[..., str | bytes] | None = None,
    **kwargs: Any,
) -> JSONResponse:
    """A value as JSON; `kwargs` are for `dumps`."""
    return JSONResponse(body, status, headers, content_type, dumps, **kwargs)


def raw(
    body: bytes | str | None,
    status: int = 200,
    headers: HeaderSource | None = None,
    content_type: str = BINARY,
) -> HTTPResponse:
    """Octets as they are."""
    return HTTPResponse(body, status, headers, content_type)


def empty(status: int = 204, headers: HeaderSource | None = None) -> HTTPResponse:
    """No content."""
    return HTTPResponse(b"", status, headers)


def redirect(
    to: str, headers: HeaderSource | None = None, status: int = 302, content_type: str = HTML
) -> HTTPResponse:
    """Send the client to another place; what a URL must not hold is percent-encoded, controls too."""
    made = HTTPResponse(b"", status, headers, content_type)
    made.headers["Location"] = quote_location(to, quote_controls=True)
    return made


know_helper(text, "text")
know_helper(html, "html")
know_helper(json, "json")


async def validate_file(
    request_headers: Mapping[str, str], last_modified: datetime | float
) -> response.HTTPResponse | None:
    """A 304 if the client's copy is as new as the file; None if it has to be sent.

    Args:
        request_headers: Of the request.
        last_modified: When the file was changed: a moment, or seconds since 1970.
    """
    stamp = last_modified.timestamp() if isinstance(last_modified, datetime) else float(last_modified)
    asked = parse_date(request_headers.get("if-modified-since") or "")
    if asked is None or int(stamp) > asked:
        return None
    shown = datetime.fromtimestamp(int(stamp), UTC).timestamp()
    return HTTPResponse(b"", 304, {"last-modified": format_date(shown)})


async def file(
    location: str | PathLike[str],
    status: int = 200,
    request_headers: Any = None,
    validate_when_requested: bool = True,
    mime_type: str | None = None,
    headers: HeaderSource | None = None,
    filename: str | None = None,
    last_modified: Any = _BY_FILE,
    max_age: float | None = None,
    no_store: bool | None = None,
    _range: Any = None,
) -> files.FileResponse:
    """A file as a response; see `vivace.framework.files.file`.

    Raises:
        OSError: It cannot be opened.
    """
    del _range
    try:
        made = await files.file(
            location,
            status,
            None,
            validate_when_requested and request_headers is not None,
            mime_type or guess_content_type(filename or os.fspath(location), TEXT),
            headers,
            filename,
            None if last_modified is _BY_FILE else last_modified,
            max_age,
            no_store,
        )
    except FileNotFound as error:
        raise error.__cause__ or error from None
    made.ranged = False
    if last_modified is None:
        made.conditional = False
        del made.headers["Last-Modified"]
    return made


async def file_stream(
    location: str | PathLike[str],
    status: int = 200,
    chunk_size: int = 4096,
    mime_type: str | None = None,
    headers: HeaderSource | None = None,
    filename: str | None = None,
    _range: Any = None,
) -> files.FileResponse:
    """A file as a response that is sent in pieces.

    Raises:
        OSError: It cannot be opened.
    """
    del _range
    try:
        made = await files.file_stream(location, status, chunk_size, mime_type, headers, filename)
    except FileNotFound as error:
        raise error.__cause__ or error from None
    made.conditional = made.ranged = False
    if "cache-control" not in Header(headers or ()):
        made.headers.pop("cache-control", None)
    return made
