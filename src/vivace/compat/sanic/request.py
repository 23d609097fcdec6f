"""sanic.request: requests as Sanic programs read, change and make them.

Rules of this file:

- The framework makes requests as it makes its own; only `Request(...)` of a program goes through `_Maker`.
- What Sanic says of a request it cannot understand is said in Sanic's words; what is unsafe to accept is not.
"""

import binascii
import json
import re
from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from vivace.compat.sanic.accept import AcceptList, parse_accept
from vivace.compat.sanic.form import parse_multipart_form
from vivace.compat.sanic.header import Header
from vivace.compat.sanic.headers import parse_content_header, parse_credentials
from vivace.errors import BadRequest, ServerError
from vivace.framework import request
from vivace.framework.body import form_limits, read_all
from vivace.protocols.events import RequestReceived

__all__ = ["Credentials", "Request"]

_decode: Final = msgspec.json.decode


@dataclass
class Credentials:
    """What a client shows.

    Attributes:
        auth_type: ``Basic``, ``Bearer``, ``Token``, or None for anything else.
        token: What follows it; all of the field if there is no type.
    """

    auth_type: str | None
    token: str | None
    _username: str | None = field(default=None)
    _password: str | None = field(default=None)

    @property
    def username(self) -> str | None:
        """Of Basic.

        Raises:
            AttributeError: It is not Basic.
        """
        if self.auth_type is None or self.auth_type.lower() != "basic":
            raise AttributeError("Username is available for Basic Auth only")
        return self._username

    @property
    def password(self) -> str | None:
        """Of Basic.

        Raises:
            AttributeError: It is not Basic.
        """
        if self.auth_type is None or self.auth_type.lower() != "basic":
            raise AttributeError("Password is available for Basic Auth only")
        return self._password


class _Exchange:
    """What a request that a program made stands on: nothing is received, nothing can be sent."""

    client = server = tls = memo = None
    scheme = "http"
    complete = disconnected = response_started = timed_out = False

    def __init__(self, head: RequestReceived, transport: Any) -> None:
        self.head = head
        self.transport = transport

    async def receive(self) -> bytes:
        """Nothing."""
        return b""

    def limit_body(self, size: int, seconds: float) -> None:
        """Nothing to do."""


class _Maker(type):
    """Takes the arguments with which Sanic makes a request; `type.__call__` takes those of the framework."""

    def __call__(
        cls,
        url_bytes: Any,
        headers: Any,
        version: Any,
        method: Any,
        transport: Any = None,
        app: Any = None,
        head: bytes = b"",
        stream_id: int = 0,
    ) -> Any:
        if not isinstance(url_bytes, (bytes, bytearray)):  # app, stream, route, values
            return type.__call__(cls, url_bytes, headers, version, method)
        fields = headers if isinstance(headers, Header) else Header(headers or {})
        received = _make_head(bytes(url_bytes), str(method or "GET"), str(version or "1.1"), fields)
        made = type.__call__(cls, app, _Exchange(received, transport), None, {})
        made._headers = fields
        return made


_TARGET: Final = re.compile(rb"(?:/|https?://|\*$)[\x21-\x7e]*", re.ASCII)


def _make_head(url: bytes, method: str, version: str, fields: Header) -> RequestReceived:
    try:
        if not _TARGET.fullmatch(url):
            raise ValueError(url)
        # Two slashes at the beginning of a target name no host.
        parts = urlsplit(b"http://h" + url if url.startswith(b"/") else url)
    except ValueError:
        raise BadRequest(f"Bad URL: {url.decode('utf-8', 'backslashreplace')}") from None
    block = b"".join(b"%b: %b\r\n" % pair for pair in fields.to_pairs())
    host = str(fields.get("host", "")).encode("latin-1", "replace")
    length = str(fields.get("content-length", ""))
    size = int(length) if length.isdigit() else -1
    return RequestReceived(
        method, url, parts.path or b"/", parts.query, version, None, host, size, False, False, True, False,
        False, block,
    )  # fmt: skip


class Request(request.Request, metaclass=_Maker):
    """A request, as handlers and middleware see it; see `vivace.framework.request.Request`."""

    __slots__ = ()

    # What may be set

    @property
    def headers(self) -> Header:
        """The fields, by case-insensitive name."""
        headers: Any = self._headers
        if headers is None:
            headers = self._headers = Header.from_raw(self.head.fields())
        return headers  # type: ignore[no-any-return]

    @headers.setter
    def headers(self, value: Any) -> None:
        self._headers = value

    @property
    def body(self) -> bytes:
        """The body; empty if there is none, or if it was not read (``stream=True``).

        Raises:
            ServerError: It was a form over FORM_MAX_MEMORY octets: see `files`.
        """
        if self._body is None and self._form is None:
            return b""
        return super().body

    @body.setter
    def body(self, value: bytes) -> None:
        self._body = value
        self._form = None
        for name in ("json", "form", "multipart"):
            (self._memo or {}).pop(name, None)

    @property
    def method(self) -> str:
        """The method."""
        return self.head.method

    @method.setter
    def method(self, value: str) -> None:
        self.head.method = value

    @property
    def parsed_json(self) -> Any:
        """What `json` gave; None before it was asked for."""
        return self._memo.get("json") if self._memo else None

    @parsed_json.setter
    def parsed_json(self, value: Any) -> None:
        memo = self._memo
        if memo is None:
            memo = self._memo = {}
        memo["json"] = value

    def get_cookies(self) -> Any:
        """`cookies`, by another name."""
        return self.cookies

    def __getattr__(self, name: str) -> Any:
        # What was parsed so far, under the names by which Sanic remembers it.
        if name.startswith("parsed_"):
            return (self._memo or {}).get(name.removeprefix("parsed_"))
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    # The connection

    @property
    def transport(self) -> Any:
        """The transport of the connection; a stand-in where another server owns it."""
        return getattr(self._transport, "transport", self._transport)

    @property
    def protocol(self) -> Any:
        """What serves the connection."""
        return getattr(self._transport, "protocol", self._transport)

    @property
    def network_paths(self) -> None:
        """Nothing: Sanic's is None too, but for HTTP/3."""
        return

    @property
    def stream_id(self) -> int:
        """The number of the stream.

        Raises:
            ServerError: It is not HTTP/3.
        """
        raise ServerError("Stream ID is only a property of a HTTP/3 request")

    @property
    def scope(self) -> Any:
        """The scope, under another ASGI server.

        Raises:
            NotImplementedError: There is none.
        """
        scope = getattr(self._transport, "scope", None)
        if scope is None:
            raise NotImplementedError(
                "App isn't running in ASGI mode. Scope is only available for ASGI apps."
            )
        return scope

    # The route

    @property
    def name(self) -> str | None:  # type: ignore[override]
        """The name of the route; None if there is none."""
        return self.route.name if self.route is not None else None

    @property
    def endpoint(self) -> str | None:  # type: ignore[override]
        """The name of the route; None if there is none."""
        return self.name

    @property
    def uri_template(self) -> str | None:  # type: ignore[override]
        """The path as declared; None if there is no route."""
        return super().uri_template if self.route is not None else None

    @classmethod
    def get_current(cls) -> "Request":
        """The request that the running code belongs to.

        Raises:
            ServerError: There is none.
        """
        found = request.current_request.get(None)
        if found is None:
            raise ServerError("No current request")
        return found  # type: ignore[no-any-return]

    # The head

    @property
    def accept(self) -> AcceptList:  # type: ignore[override]
        """The media types that the client takes, the most wanted first."""
        return self._once("accept", self._find_accept)  # type: ignore[no-any-return]

    def _find_accept(self) -> AcceptList:
        values = self.headers.get_all("accept")
        return parse_accept(",".join(values) if values else None)

    @property
    def token(self) -> str | None:
        """What follows ``Bearer`` or ``Token``, else the whole of Authorization; None without it."""
        return parse_credentials(self.headers.get("authorization"), ("Token", "Bearer"))[1]

    @property
    def credentials(self) -> Credentials | None:  # type: ignore[override]
        """What the Authorization field says; None without it, and for a malformed Basic."""
        return self._once("credentials", self._find_credentials)  # type: ignore[no-any-return]

    def _find_credentials(self) -> Credentials | None:
        scheme, token = parse_credentials(self.headers.get("authorization"))
        if not token:
            return None
        if scheme != "Basic":
            return Credentials(scheme, token)
        try:
            username, colon, password = b64decode(token, validate=True).decode().partition(":")
        except (binascii.Error, ValueError):
            return None
        return Credentials(scheme, token, username, password) if colon else None

    # The body

    async def receive_body(self) -> bytes:
        """Read the whole body into memory; a form up to FORM_MAX_MEMORY too, so that `body` has it.

        Raises:
            PayloadTooLarge: It is over REQUEST_MAX_SIZE octets, or a bigger form is over a limit.
        """
        head, config = self.head, self.app.config
        if self._body is None and self._form is None and 0 < head.content_length <= config.FORM_MAX_MEMORY:
            self._transport.limit_body(config.REQUEST_MAX_SIZE, config.REQUEST_TIMEOUT)
            self._body = await read_all(self._transport)
        return await super().receive_body()

    @property
    def form(self) -> Any:
        """The text fields of a form; empty if the body is none."""
        return super().form if self._multipart is None else self._multipart[0]

    @property
    def files(self) -> Any:
        """The files of a multipart form; empty if the body is none."""
        return super().files if self._multipart is None else self._multipart[1]

    def get_form(self, keep_blank_values: bool = False) -> Any:
        """The text fields of a form; those of a multipart form are kept if they are empty."""
        return super().get_form(keep_blank_values) if self._multipart is None else self._multipart[0]

    @property
    def _multipart(self) -> Any:
        if self._body is None:
            return None
        return self._once("multipart", self._find_multipart)

    def _find_multipart(self) -> Any:
        kind, options = parse_content_header(self.content_type)
        if kind != "multipart/form-data":
            return None
        boundary = options.get("boundary", "").encode("latin-1", "replace")
        return parse_multipart_form(self.body, boundary, form_limits(self.app.config))

    def load_json(self, loads: Callable[[bytes], Any] | None = None) -> Any:
        """The body, decoded by `loads`; None if it is empty and `loads` refuses that.

        Raises:
            BadRequest: `loads` refused it.
        """
        body = self.body
        try:
            value = loads(body) if loads is not None else _read_json(body)
        except Exception:  # noqa: BLE001  # whatever `loads` says, the body is at fault
            if not body:
                return None
            raise BadRequest("Failed when parsing body as json") from None
        self.parsed_json = value
        return value

    def _find_json(self) -> Any:
        return self.load_json(self.app.loads)


def _read_json(body: bytes) -> Any:
    try:
        return _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return json.loads(body.decode())  # takes what Sanic takes: NaN, lone surrogates
