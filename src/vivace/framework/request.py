# cython: language_level=3, annotation_typing=False
"""A request, as handlers and middleware see it.

Rules of this file:

- Nothing is parsed before it is asked for, and nothing twice.
- What proxies say of the client is believed as far as the settings allow it; `ip` is the peer of the socket.
- Malformed input is the client's error: `BadRequest` or one of its like, never a traceback.
"""

import uuid
from collections.abc import AsyncIterator, Callable
from contextvars import ContextVar
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import msgspec

from vivace.errors import BadRequest, ServerError
from vivace.framework.body import BodyReader, collect_form, form_limits, iterate_parts, read_all
from vivace.framework.conn_info import ConnectionInfo
from vivace.framework.credentials import Credentials, parse_authorization
from vivace.framework.forwarded import split_host, trusts_proxies
from vivace.framework.middleware import run_response_middleware
from vivace.framework.proxies import find_trusted
from vivace.framework.response import BINARY, HeaderSource, HTTPResponse
from vivace.framework.streaming import Sender
from vivace.http.cookies import CookieRequestParameters, parse_cookie
from vivace.http.forms import parse_options_header, parse_urlencoded
from vivace.http.headers import Headers
from vivace.http.multipart import File, MultipartEvent, boundary_of
from vivace.http.negotiation import AcceptList, parse_accept
from vivace.http.url import RequestParameters, parse_query
from vivace.protocols.events import RequestReceived
from vivace.protocols.stream import Stream

if TYPE_CHECKING:
    from vivace.framework.app import Vivace
    from vivace.framework.route import Route

__all__ = ["ConnectionInfo", "Request", "current_request"]

SAFE_METHODS = frozenset(("GET", "HEAD", "OPTIONS", "TRACE"))
IDEMPOTENT_METHODS = SAFE_METHODS | {"PUT", "DELETE"}
CACHEABLE_METHODS = frozenset(("GET", "HEAD"))
IMPLIED_PORTS = frozenset((("http", 80), ("ws", 80), ("https", 443), ("wss", 443)))

decode_json = msgspec.json.decode

current_request: ContextVar[Any] = ContextVar("vivace_request")
"""The request that the running code belongs to, in apps that keep track (`Vivace.tracks_requests`)."""


class Request:
    """One request.

    Attributes:
        app: The app that answers it.
        head: The head as the protocol delivered it.
        route: The route that was found; None while there is none (404, 405).
        match_info: The values of the path parameters, by name.
        error_format: ``text``, ``json``, ``html`` or empty: how its errors look.
    """

    __slots__ = (
        "__weakref__",
        "_body",
        "_ctx",
        "_form",
        "_headers",
        "_memo",
        "_response",
        "_transport",
        "app",
        "head",
        "match_info",
        "request_middleware_ran",
        "response_middleware_ran",
        "route",
    )

    def __init__(
        self, app: "Vivace[Any, Any]", transport: Stream, route: "Route | None", match_info: dict[str, Any]
    ) -> None:
        self.app: Vivace[Any, Any] = app
        self._transport = transport
        self.head: RequestReceived = transport.head
        self.route: Route | None = route
        self.match_info: dict[str, Any] = match_info
        self.request_middleware_ran: bool = False
        self.response_middleware_ran: bool = False
        self._body: bytes | None = None
        self._ctx: Any = None
        self._form: Any = None
        self._headers: Headers | None = None
        self._memo: dict[Any, Any] | None = None
        self._response: HTTPResponse | None = None

    # The request line and the place

    @property
    def method(self) -> str:
        """The method, as received."""
        return self.head.method

    @property
    def path(self) -> str:
        """The path, still percent-encoded."""
        return self.head.path.decode("latin-1")

    @property
    def query_string(self) -> str:
        """What follows the first ``?``, still encoded."""
        return self.head.query.decode("latin-1")

    @property
    def raw_url(self) -> bytes:
        """The request target as received."""
        return self.head.target

    @property
    def url(self) -> str:
        """The absolute URL of `scheme` and `host`: do not send it to others as if it were checked."""
        query = self.query_string
        return f"{self.scheme}://{self.host}{self.path}" + (f"?{query}" if query else "")

    @property
    def request_line(self) -> bytes:
        """The request line as received."""
        return f"{self.method} ".encode() + self.raw_url + f" HTTP/{self.version}".encode()

    @property
    def scheme(self) -> str:
        """``http`` or ``https``: as SERVER_NAME or a trusted proxy says, else as the connection is.

        ``ws`` or ``wss`` on the route of a WebSocket.
        """
        scheme, slashes, _ = (self.app.config.SERVER_NAME or "").partition("://")
        found: str = scheme if slashes else self.forwarded.get("proto") or self._transport.scheme
        if self.route is not None and self.route.websocket and self.head.upgrade:
            return found.replace("http", "ws", 1)
        return found

    @property
    def host(self) -> str:
        """The authority: SERVER_NAME, or what a trusted proxy says, else what the client asked for."""
        name = self.app.config.SERVER_NAME
        if name:
            return name.rpartition("://")[2].partition("/")[0]  # type: ignore[no-any-return]
        return self.forwarded.get("host") or self.head.host.decode("latin-1")

    @property
    def server_name(self) -> str:
        """The host without its port, in lower case."""
        return split_host(self.host)[0]

    @property
    def server_port(self) -> int:
        """The port that the client asked for; the scheme's own if it named none."""
        port = self.forwarded.get("port") or split_host(self.host)[1]
        return port or (443 if self.scheme in ("https", "wss") else 80)

    @property
    def server_path(self) -> str:
        """The path as the client saw it: as a trusted proxy says, else `path`."""
        return self.forwarded.get("path") or self.path

    @property
    def version(self) -> str:
        """The version of HTTP: ``1.1``, ``1.0``."""
        return self.head.http_version

    @property
    def is_safe(self) -> bool:
        """Whether the method changes nothing (RFC 9110 section 9.2.1)."""
        return self.head.method in SAFE_METHODS

    @property
    def is_idempotent(self) -> bool:
        """Whether repeating it has no further effect (RFC 9110 section 9.2.2)."""
        return self.head.method in IDEMPOTENT_METHODS

    @property
    def is_cacheable(self) -> bool:
        """Whether its response may be cached (RFC 9110 section 9.2.3)."""
        return self.head.method in CACHEABLE_METHODS

    # The connection

    @property
    def ip(self) -> str:
        """The address of the peer, which may be a proxy; empty on a Unix socket."""
        client = self._transport.client
        return client[0] if client else ""

    @property
    def port(self) -> int:
        """The port of the peer; 0 on a Unix socket."""
        client = self._transport.client
        return client[1] if client else 0

    @property
    def remote_addr(self) -> str:
        """The client's address as trusted proxies tell it; empty: no proxy is trusted."""
        return self.forwarded.get("for", "")  # type: ignore[no-any-return]

    @property
    def client_ip(self) -> str:
        """`remote_addr` if there is one, else `ip`."""
        return self.remote_addr or self.ip

    @property
    def forwarded(self) -> dict[str, Any]:
        """What trusted proxies tell, see `vivace.framework.forwarded`; empty: no proxy is trusted."""
        if not trusts_proxies(self.app.config):
            return {}
        return self._once("forwarded", self._find_forwarded)  # type: ignore[no-any-return]

    def _find_forwarded(self) -> dict[str, Any]:
        return find_trusted(self._transport.client, self.headers, self.app.config)

    @property
    def socket(self) -> tuple[str, int]:
        """Address and port of the peer."""
        return self.ip, self.port

    @property
    def network_paths(self) -> tuple[str, int] | None:
        """Our own end of the connection; None on a Unix socket."""
        return self._transport.server

    @property
    def conn_info(self) -> ConnectionInfo:
        """Both ends of the connection."""
        return self._once("conn_info", self._find_connection)  # type: ignore[no-any-return]

    def _find_connection(self) -> ConnectionInfo:
        return ConnectionInfo(self._transport)

    @property
    def stream(self) -> BodyReader:
        """The body, piece by piece: for routes with ``stream=True``."""
        return BodyReader(self._transport)

    @property
    def transport(self) -> Stream:
        """The exchange below the framework."""
        return self._transport

    async def draining(self) -> None:
        """Return when the server stops or the app is restarted: for those that stream for long.

        What is not sent when GRACEFUL_SHUTDOWN_TIMEOUT is over is cut. Under another server it never returns.
        """
        await self._transport.wait_draining()

    # The route

    @property
    def name(self) -> str:
        """The name of the route; empty if there is none."""
        return self.route.name if self.route is not None else ""

    @property
    def endpoint(self) -> str:
        """The name of the route; empty if there is none."""
        return self.name

    @property
    def uri_template(self) -> str:
        """The path as declared; empty if there is no route."""
        return self.route.uri if self.route is not None else ""

    @property
    def error_format(self) -> str:
        """How errors look: what the route says, empty if it says nothing."""
        return self.route.error_format if self.route is not None else ""

    @property
    def ctx(self) -> Any:
        """Anything that belongs to this request."""
        if self._ctx is None:
            self._ctx = self.make_context()
        return self._ctx

    @staticmethod
    def make_context() -> Any:
        """What `ctx` is at first; for subclasses to override."""
        return SimpleNamespace()

    @property
    def id(self) -> uuid.UUID | str | int:
        """What identifies this request in logs: the REQUEST_ID_HEADER of the client, else `generate_id`.

        A UUID or a number that the client sent becomes one.
        """
        return self._once("id", self._find_id)  # type: ignore[no-any-return]

    def _find_id(self) -> Any:
        given = self.headers.get(self.app.config.REQUEST_ID_HEADER)
        if not given:
            return self.generate_id(self)
        for convert in (uuid.UUID, int):
            try:
                return convert(given)
            except ValueError:
                continue
        return given[:128]

    @classmethod
    def generate_id(cls, _request: Any) -> uuid.UUID | str | int:
        """A new `id`; for subclasses to override."""
        return uuid.uuid4()

    @classmethod
    def get_current(cls) -> "Request":
        """The request that the running code belongs to.

        Raises:
            ServerError: There is none, or its app does not keep track: see `Vivace.tracks_requests`.
        """
        found = current_request.get(None)
        if found is None:
            raise ServerError(
                "no current request: this runs outside of one, or its app sets no tracks_requests"
            )
        return found  # type: ignore[no-any-return]

    # The head

    @property
    def headers(self) -> Headers:
        """The fields, by case-insensitive name."""
        headers = self._headers
        if headers is None:
            headers = self._headers = Headers.from_raw(self.head.fields())
        return headers

    @property
    def raw_headers(self) -> bytes:
        """The field lines as received."""
        return self.head.raw_fields().removesuffix(b"\r\n")

    @property
    def content_type(self) -> str:
        """The value of Content-Type; ``application/octet-stream`` if there is none (RFC 9110 section 8.3)."""
        return self.headers.get("content-type", BINARY)

    @property
    def accept(self) -> AcceptList:
        """The media types that the client takes, the most wanted first.

        Raises:
            InvalidHeader: The field is malformed.
        """
        return self._once("accept", self._find_accept)  # type: ignore[no-any-return]

    def _find_accept(self) -> Any:
        values = self.headers.get_all("accept")
        return parse_accept(", ".join(values) if values else None)

    @property
    def cookies(self) -> CookieRequestParameters:
        """The cookies by name; ``get("id")`` also finds ``__Host-id`` and ``__Secure-id``.

        Raises:
            RequestHeaderFieldsTooLarge: There are more than COOKIE_MAX_COUNT.
        """
        return self._once("cookies", self._find_cookies)  # type: ignore[no-any-return]

    def _find_cookies(self) -> CookieRequestParameters:
        return parse_cookie(self.headers.get_all("cookie"), self.app.config.COOKIE_MAX_COUNT)

    @property
    def credentials(self) -> Credentials | None:
        """What the Authorization field says; None without one."""
        value = self.headers.get("authorization")
        return parse_authorization(value) if value else None

    @property
    def token(self) -> str | None:
        """The token of a ``Bearer`` or ``Token`` Authorization field; of another one the whole value."""
        found = self.credentials
        if found is None or found.auth_type.lower() in ("", "bearer", "token"):
            return found.token if found is not None else None
        return self.headers["authorization"]

    # The query

    @property
    def args(self) -> RequestParameters[str]:
        """The query: ``get`` gives the first value of a name, ``getlist`` all. Blank values are left out.

        Raises:
            BadRequest: There are more than QUERY_MAX_FIELDS.
        """
        return self._once("args", self.get_args)  # type: ignore[no-any-return]

    @property
    def query_args(self) -> list[tuple[str, str]]:
        """The query as pairs in order."""
        return self._once("query_args", self.get_query_args)  # type: ignore[no-any-return]

    def get_args(
        self,
        keep_blank_values: bool = False,
        strict_parsing: bool = False,
        encoding: str = "utf-8",
        errors: str = "replace",
    ) -> RequestParameters[str]:
        """The query, parsed with these options.

        Args:
            keep_blank_values: Keep fields whose value is empty.
            strict_parsing: Refuse a field without ``=``.
            encoding: Of the octets after percent-decoding.
            errors: What becomes of octets that are not in `encoding`.

        Raises:
            BadRequest: Too many fields, or one that `strict_parsing` refuses.
        """
        options = (keep_blank_values, strict_parsing, encoding, errors)

        def parse() -> RequestParameters[str]:
            return RequestParameters.from_pairs(self.get_query_args(*options))

        return self._once(("args", options), parse)  # type: ignore[no-any-return]

    def get_query_args(
        self,
        keep_blank_values: bool = False,
        strict_parsing: bool = False,
        encoding: str = "utf-8",
        errors: str = "replace",
    ) -> list[tuple[str, str]]:
        """The query as pairs in order; the options are those of `get_args`."""
        return parse_query(
            self.head.query,
            self.app.config.QUERY_MAX_FIELDS,
            keep_blank_values=keep_blank_values,
            strict_parsing=strict_parsing,
            encoding=encoding,
            errors=errors,
        )

    # The body

    @property
    def body(self) -> bytes:
        """The body of a buffered route; empty if there is none or the route ignores it.

        Raises:
            ServerError: It was not read (``stream=True``), or it was a multipart form (see `files`).
        """
        if self._body is not None:
            return self._body
        if self._form is not None:
            raise ServerError(
                "the body was taken apart as a form: use request.form and request.files, or stream=True"
            )
        if self.head.has_body and self.route is not None and self.route.stream:
            raise ServerError("the body was not read: use request.stream or await request.receive_body()")
        return b""

    @property
    def buffered_body(self) -> bytes:
        """The body as far as it was read whole; empty otherwise, also for a multipart form."""
        return self._body or b""

    async def receive_body(self) -> bytes:
        """Read the whole body into memory; called before the handler unless its route has ``stream=True``.

        A multipart body is taken apart while it arrives: then `form` and `files` hold it and this is empty.

        Raises:
            PayloadTooLarge: It is over REQUEST_MAX_SIZE octets, or the form is over a limit.
            RequestTimeout: It was not complete after REQUEST_TIMEOUT seconds.
            ClientDisconnected: The client left before its body was complete.
        """
        if self._body is not None or self._form is not None or not self.head.has_body:
            return self._body or b""
        config = self.app.config
        self._transport.limit_body(config.REQUEST_MAX_SIZE, config.REQUEST_TIMEOUT)
        limits = form_limits(config)
        boundary = boundary_of(self.content_type, limits)
        if boundary is not None:
            self._form = await collect_form(self._transport, boundary, limits)
            return b""
        self._body = await read_all(self._transport)
        return self._body

    @property
    def json(self) -> Any:
        """The body as JSON; None if it is empty.

        Raises:
            BadRequest: It is not JSON.
        """
        return self._once("json", self._find_json)

    def _find_json(self) -> Any:
        return self.load_json(self.app.loads or decode_json)

    def load_json(self, loads: Callable[[bytes], Any] = decode_json) -> Any:
        """The body, decoded by `loads`; None if it is empty.

        Raises:
            BadRequest: `loads` refused it.
        """
        body = self.body
        if not body:
            return None
        try:
            return loads(body)
        except (ValueError, msgspec.DecodeError, RecursionError) as error:
            raise BadRequest(f"Failed when parsing body as json: {error}") from None

    @property
    def form(self) -> RequestParameters[str]:
        """The text fields of a form; empty if the body is none.

        Raises:
            PayloadTooLarge: There are too many.
        """
        if self._form is not None:
            return self._form.fields  # type: ignore[no-any-return]
        return self._once("form", self.get_form)  # type: ignore[no-any-return]

    @property
    def files(self) -> RequestParameters[File]:
        """The files of a multipart form; empty if the body is none."""
        if self._form is not None:
            return self._form.files  # type: ignore[no-any-return]
        return RequestParameters()

    def get_form(self, keep_blank_values: bool = False) -> RequestParameters[str]:
        """The text fields of a form.

        Args:
            keep_blank_values: Keep fields whose value is empty; those of a multipart form always are.
        """
        if self._form is not None:
            return self._form.fields  # type: ignore[no-any-return]
        if parse_options_header(self.content_type)[0] != "application/x-www-form-urlencoded":
            return RequestParameters()
        return parse_urlencoded(self.body, form_limits(self.app.config), keep_blank_values=keep_blank_values)

    async def multipart(self) -> AsyncIterator[MultipartEvent]:
        """The parts of a multipart body while they arrive; for routes with ``stream=True``.

        Raises:
            BadRequest: The body is no multipart form, or malformed.
            PayloadTooLarge: A limit on parts or their headers is exceeded.
        """
        limits = form_limits(self.app.config)
        boundary = boundary_of(self.content_type, limits)
        if boundary is None:
            raise BadRequest("expected a body of the type multipart/form-data")
        async for event in iterate_parts(self._transport, boundary, limits):
            yield event

    # The response

    @property
    def responded(self) -> bool:
        """Whether `respond` was called."""
        return self._response is not None

    @property
    def opened_response(self) -> HTTPResponse | None:
        """What `respond` gave."""
        return self._response

    async def respond(
        self,
        response: HTTPResponse | None = None,
        *,
        status: int = 200,
        headers: HeaderSource | None = None,
        content_type: str | None = None,
    ) -> HTTPResponse:
        """Open a response whose body is sent piece by piece by its `send` and completed by its `eof`.

        Args:
            response: Send this one; the other arguments are not used then.
            status: 200 to 599.
            headers: Fields beside the content type.
            content_type: The value of ``Content-Type``.

        Raises:
            ServerError: It was called before.
        """
        if self._response is not None:
            raise ServerError("Second respond call is not allowed.")
        if response is None:
            response = self.app.response_kinds[0](None, status, headers, content_type)
        response = await run_response_middleware(self, response)
        response.sender = Sender(self._transport, response)
        self._response = response
        return response

    def reset_response(self) -> None:
        """Take back what `respond` opened, as long as nothing of it was sent.

        Raises:
            ServerError: It is on its way.
        """
        if self._transport.response_started:
            raise ServerError("Cannot reset response because previous response was sent.")
        self._response = None

    def url_for(self, view_name: str, **values: Any) -> str:
        """The absolute URL of a route, with the scheme and host of this request; see `Vivace.url_for`."""
        values.setdefault("_external", True)
        values.setdefault("_scheme", self.scheme)
        values.setdefault("_server", self._authority(values["_scheme"]))
        return self.app.url_for(view_name, **values)

    def _authority(self, scheme: str) -> str:
        """Host and port, which is left out where the scheme implies it."""
        name, port = self.server_name, self.server_port
        if not name:
            return self.host
        return name if (scheme, port) in IMPLIED_PORTS else f"{name}:{port}"

    def release(self) -> None:
        """Give back what the request holds: the spool of its files."""
        if self._form is not None:
            self._form.close()

    def _once(self, key: Any, make: Callable[[], Any]) -> Any:
        memo = self._memo
        if memo is None:
            memo = self._memo = {}
        if key not in memo:
            memo[key] = make()
        return memo[key]

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.method} {self.path}>"
