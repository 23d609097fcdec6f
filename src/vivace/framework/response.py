# cython: language_level=3, annotation_typing=False
"""Responses: a status, fields and a body, and the helpers that make them.

Rules of this file:

- A response without own fields or cookies costs no header object: its fields are looked up by content type.
- Names and values are checked when they are set; what could end a field early never gets into one.
- 1xx, 204 and 304 have no content (RFC 9110 section 6.4.1), whatever the app put into them.
- JSON is msgspec's; the encoder is built once.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

import msgspec

from vivace.errors import LocalProtocolError, SanicException, ServerError
from vivace.http.cookies import Cookie, CookieJar
from vivace.http.headers import Headers, encode_value
from vivace.http.status import has_no_body
from vivace.http.url import quote_location

if TYPE_CHECKING:
    from vivace.framework.streaming import Sender

__all__ = [
    "HTTPResponse",
    "JSONResponse",
    "coerce",
    "content_fields",
    "empty",
    "encode_json",
    "html",
    "json",
    "raw",
    "redirect",
    "text",
]

HeaderSource = Mapping[str, Any] | Iterable[tuple[str, Any]]
FieldPairs = tuple[tuple[bytes, bytes], ...] | list[tuple[bytes, bytes]]

TEXT: Final = "text/plain; charset=utf-8"
HTML: Final = "text/html; charset=utf-8"
JSON: Final = "application/json"
BINARY: Final = "application/octet-stream"

_CONTENT_FIELDS_SIZE: Final = 1024
_content_fields: dict[str | None, tuple[tuple[bytes, bytes], ...]] = {None: (), "": ()}


def content_fields(content_type: str | None) -> tuple[tuple[bytes, bytes], ...]:
    """The fields of a response that has nothing but a content type; the same object each time."""
    found = _content_fields.get(content_type)
    if found is None:
        found = ((b"content-type", encode_value("content-type", content_type)),)
        if len(_content_fields) < _CONTENT_FIELDS_SIZE:
            _content_fields[content_type] = found
    return found


def _encode_unknown(value: Any) -> Any:
    """What msgspec does not take: subclasses of the plain types and foreign mappings."""
    for plain in (str, int, float):
        if isinstance(value, plain):
            return plain(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__qualname__} {value!r:.60} cannot be written as JSON")


encode_json: Final = msgspec.json.Encoder(enc_hook=_encode_unknown).encode


_NOT_GIVEN: Final[Any] = object()
_other_encoders = False


def expect_other_encoders() -> None:
    """From now on some app encodes JSON itself: what msgspec refuses waits for its response to be sent."""
    global _other_encoders  # the process has one JSONResponse
    _other_encoders = True


def _dump(value: Any) -> bytes:
    try:
        return encode_json(value)
    except TypeError:
        if not _other_encoders:
            raise
        return b""


class HTTPResponse:
    """A response: sent whole when the handler returns it, or piece by piece with `send`.

    Args:
        body: The content; text is sent as UTF-8.
        status: 200 to 599.
        headers: Fields beside the content type; a ``content-type`` here wins.
        content_type: The value of ``Content-Type``; None leaves it out.

    Raises:
        LocalProtocolError: A name is no token, or a value has a control character.
    """

    __slots__ = ("_cookies", "_headers", "body", "content_type", "sender", "status")

    def __init__(
        self,
        body: bytes | str | None = None,
        status: int = 200,
        headers: HeaderSource | None = None,
        content_type: str | None = None,
    ) -> None:
        if body is None:
            self.body = b""
        elif isinstance(body, bytes):
            self.body = body
        else:
            self.body = _octets(body)
        self.status: int = status
        self._headers: Headers | None = self.make_headers(headers) if headers else None
        self.content_type: str | None = content_type
        self._cookies: CookieJar | None = None
        self.sender: Sender | None = None

    def make_headers(self, source: HeaderSource) -> Headers:
        """The fields, from a mapping or pairs; for subclasses to override."""
        return Headers(source)

    @property
    def headers(self) -> Headers:
        """The fields, made when first asked for."""
        if self._headers is None:
            self._headers = self.make_headers(())
        return self._headers

    @headers.setter
    def headers(self, source: HeaderSource) -> None:
        self._headers = source if isinstance(source, Headers) else self.make_headers(source)

    @property
    def cookies(self) -> CookieJar:
        """The cookies that the response sets."""
        if self._cookies is None:
            self._cookies = CookieJar()
        return self._cookies

    def add_cookie(self, key: str, value: str, **options: Any) -> Cookie:
        """Set a cookie; `options` are those of `vivace.http.cookies.Cookie`: Secure, SameSite=Lax by default.

        Raises:
            LocalProtocolError: The name is no token, or an attribute breaks a rule.
        """
        return self.cookies.add_cookie(key, value, **options)

    def delete_cookie(self, key: str, **options: Any) -> Cookie:
        """Make the browser forget a cookie; path, domain and prefixes must be those it was set with."""
        return self.cookies.delete_cookie(key, **options)

    def wire_fields(self) -> FieldPairs:
        """The fields as a protocol takes them."""
        if self._headers is None and self._cookies is None:
            return _content_fields.get(self.content_type) or content_fields(self.content_type)
        pairs = list(self._headers.to_pairs()) if self._headers is not None else []
        if self.content_type and not any(name == b"content-type" for name, _ in pairs):
            pairs.extend(content_fields(self.content_type))
        if self._cookies is not None:
            pairs.extend(self._cookies.to_pairs())
        return pairs

    def prepare(self, request: Any) -> None:
        """Adapt to the request (conditions, ranges) before response middleware sees it."""

    def close(self) -> None:
        """Give back what the response holds; it is not sent, or was."""

    async def transmit(self, stream: Any) -> None:
        """Send it over `stream`."""
        status = self.status
        if status.__class__ is not int or not 200 <= status <= 999:
            raise LocalProtocolError(f"{status!r} is not the status of a response; expected 200 to 599")
        if has_no_body(status):
            fields = [pair for pair in self.wire_fields() if status == 304 or pair[0] != b"content-type"]
            stream.respond(status, fields, b"")
        else:
            stream.respond(status, self.wire_fields(), self.body)

    async def send(self, data: str | bytes | None = None, end_stream: bool | None = None) -> None:
        """Send a piece of the body of a response that `request.respond` opened.

        Args:
            data: The piece; None to send the body that the response was made with.
            end_stream: Whether it is the last; default: only if there is no `data`.

        Raises:
            ClientDisconnected: The client is gone.
            LocalProtocolError: More or less than the announced content length.
            ServerError: Sent after the end, or `request.respond` was not called.
        """
        if self.sender is None:
            raise ServerError("No stream is connected to the response object instance.")
        await self.sender.send(_octets(data) if isinstance(data, str) else data, end_stream)

    async def eof(self) -> None:
        """Complete a response that `request.respond` opened; may be called more than once."""
        if self.sender is not None:
            await self.sender.finish()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        if exc_info[0] is None:
            await self.eof()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.status} {self.content_type}>"


class JSONResponse(HTTPResponse):
    """A response whose content is a value; the methods change the value and encode it again.

    Args:
        body: The value.
        status: 200 to 599.
        headers: Fields beside the content type.
        content_type: The value of ``Content-Type``.
        dumps: Encodes instead of msgspec.
        options: Passed to `dumps`.
    """

    __slots__ = ("_dumps", "_encoded", "_options", "_raw_body")

    default_dumps: ClassVar[Callable[..., str | bytes] | None] = None
    """Encodes where neither the response nor the app says how; None: msgspec. For subclasses to override."""

    def __init__(
        self,
        body: Any = None,
        status: int = 200,
        headers: HeaderSource | None = None,
        content_type: str | None = JSON,
        dumps: Callable[..., str | bytes] | None = None,
        **options: Any,
    ) -> None:
        self.status = status
        self._headers = self.make_headers(headers) if headers else None
        self.content_type = content_type
        self._cookies = None
        self.sender = None
        self._raw_body = body
        self._dumps = dumps
        self._options = options
        if dumps is None and type(self) is JSONResponse:
            self.body = self._encoded = _dump(body)
        else:
            self.body = self._encoded = self._encode(dumps)

    def _encode(self, dumps: Callable[..., str | bytes] | None) -> bytes:
        dumps = dumps or self.default_dumps
        return _dump(self._raw_body) if dumps is None else _octets(dumps(self._raw_body, **self._options))

    @property
    def raw_body(self) -> Any:
        """The value; change it by assignment or by the methods, so that it is encoded again.

        Raises:
            SanicException: `body` was set since: there is no value of it.
        """
        if self.body is not self._encoded:
            raise SanicException("Cannot use raw_body after body has been manually set.")
        return self._raw_body

    @raw_body.setter
    def raw_body(self, value: Any) -> None:
        self._raw_body = value
        self._renew()

    def set_body(self, body: Any, dumps: Callable[..., str | bytes] | None = None, **options: Any) -> None:
        """Replace the value; without `dumps` and `options` it is encoded as before."""
        self._raw_body = body
        self._dumps = dumps or self._dumps
        self._options = options or self._options
        self._renew()

    def _renew(self) -> None:
        self.body = self._encoded = self._encode(self._dumps)

    def prepare(self, request: Any) -> None:
        """Encode by the app's own encoder, unless the response has one."""
        dumps = request.app.dumps
        if dumps is not None and self._dumps is None and self.body is self._encoded:
            self.body = self._encoded = self._encode(dumps)

    def append(self, value: Any) -> None:
        """Append to a list.

        Raises:
            SanicException: The value is none.
        """
        self._expect("append to a non-list", list).append(value)
        self._renew()

    def extend(self, value: Any) -> None:
        """Extend a list.

        Raises:
            SanicException: The value is none.
        """
        self._expect("extend a non-list", list).extend(value)
        self._renew()

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Update a dict.

        Raises:
            SanicException: The value is none.
        """
        self._expect("update a non-dict", dict).update(*args, **kwargs)
        self._renew()

    def pop(self, key: Any, default: Any = _NOT_GIVEN) -> Any:
        """Take an item out of a dict or a list.

        Args:
            key: The key, or the index.
            default: What is given if a dict has no such key.

        Raises:
            SanicException: The value is neither.
            TypeError: There is a default, and the value is a list.
            KeyError: There is no such key, and no default.
        """
        value = self._expect("pop from a non-list and non-dict", list, dict)
        if default is _NOT_GIVEN:
            found = value.pop(key)
        elif isinstance(value, list):
            raise TypeError("pop doesn't accept a default argument for lists")
        else:
            found = value.pop(key, default)
        self._renew()
        return found

    def _expect(self, what: str, *kinds: type) -> Any:
        value = self.raw_body
        if not isinstance(value, kinds):
            raise SanicException(f"Cannot {what} object.")
        return value


def coerce(result: Any) -> HTTPResponse:
    """What a handler or middleware returned, as a response.

    Raises:
        ServerError: It is none: not a response, dict, list, Struct, str or bytes.
    """
    if isinstance(result, HTTPResponse):
        return result
    if isinstance(result, (dict, list, msgspec.Struct)):
        return JSONResponse(result)
    if isinstance(result, str):
        return HTTPResponse(result.encode(), 200, None, TEXT)
    if isinstance(result, bytes):
        return HTTPResponse(result, 200, None, BINARY)
    raise ServerError(f"Invalid response type {result!r:.100} (need HTTPResponse)")


def _octets(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    raise TypeError(f"the body of a response is text or octets, not {type(value).__name__}")


def text(
    body: str, status: int = 200, headers: HeaderSource | None = None, content_type: str = TEXT
) -> HTTPResponse:
    """A response of plain text.

    Raises:
        TypeError: `body` is not text.
    """
    if not isinstance(body, str):
        raise TypeError(f"text() takes text, not {type(body).__name__}; use json() or raw()")
    return HTTPResponse(body.encode(), status, headers, content_type)


def html(
    body: Any, status: int = 200, headers: HeaderSource | None = None, content_type: str = HTML
) -> HTTPResponse:
    """A page: text, octets, or an object with ``__html__`` or ``_repr_html_``."""
    if not isinstance(body, (str, bytes)):
        for name in ("__html__", "_repr_html_"):
            if hasattr(body, name):
                body = getattr(body, name)()
                break
    return HTTPResponse(body, status, headers, content_type)


def json(
    body: Any,
    status: int = 200,
    headers: HeaderSource | None = None,
    content_type: str = JSON,
    dumps: Callable[..., str | bytes] | None = None,
    **options: Any,
) -> JSONResponse:
    """A value as JSON: what msgspec encodes (Structs, dataclasses, dates, UUIDs ...) and any mapping.

    Args:
        body: The value.
        status: 200 to 599.
        headers: Fields beside the content type.
        content_type: The value of ``Content-Type``.
        dumps: Encodes instead of msgspec.
        options: Passed to `dumps`.
    """
    return JSONResponse(body, status, headers, content_type, dumps, **options)


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
    return HTTPResponse(b"", status, headers, None)


def redirect(
    to: str, headers: HeaderSource | None = None, status: int = 302, content_type: str = HTML
) -> HTTPResponse:
    """Send the client to another place (RFC 9110 section 15.4).

    `to` is taken as given, with what a URL must not hold percent-encoded. For a target that a stranger chose
    use `vivace.http.url.safe_redirect` first.

    Raises:
        LocalProtocolError: `to` has a control character.
    """
    response = HTTPResponse(b"", status, headers, content_type)
    response.headers["Location"] = quote_location(to)
    return response
