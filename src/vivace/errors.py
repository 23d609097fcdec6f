"""Every exception that Vivace raises, and the words for statuses; nothing else.

The tree (indented = inherits):

    VivaceError
      ConfigError                 a setting, an option or a declaration is wrong
        DeclarationError          a declaration of the program; also a `ServerError` and a `ValueError`
          RoutingError            of a route: RouteExists, BadMethod ...
      StartupError                the server could not start; carries the exit code
      ProtocolError               the rules of a wire protocol were broken (abstract)
        LocalProtocolError        by us: the application or an interface
        RemoteProtocolError       by the peer; carries the status to answer with
      BrokenResourceError         the world took the resource away
        ClientDisconnected        the peer of this request is gone
          WebsocketClosed         the WebSocket is closed; carries the code, and is a SanicException too
        HubUnavailable            the hub, or the engine behind it, cannot take or give messages now
        SubscriberTooSlow         a subscription ended because its queue was full
      ClosedResourceError         you closed it and used it again
      MessageTooLarge             a message is larger than its topic takes; a ValueError too
      SanicException              an answer with a status
        HTTPException             the same; what handlers raise
          BadRequest ... ServiceUnavailable
            QueueFull, DeadlineExceeded, WorkerDied, RemoteError: of processes beside the workers

Rules of this file:

- A message says what was seen, what was expected, where, and what to do next.
- A class exists only where a caller would act differently on it.
- The names of the HTTP exceptions are Sanic's, so that its programs need no mapping.
- Nothing here imports anything of ours.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

__all__ = [
    "PHRASES",
    "BadMethod",
    "BadRequest",
    "BrokenResourceError",
    "ClientDisconnected",
    "ClosedResourceError",
    "ConfigError",
    "DeadlineExceeded",
    "DeclarationError",
    "ExpectationFailed",
    "FileNotFound",
    "FinalizationError",
    "Forbidden",
    "HTTPException",
    "HeaderExpectationFailed",
    "HeaderNotFound",
    "HubUnavailable",
    "InternalServerError",
    "InvalidHeader",
    "InvalidRangeType",
    "InvalidRoute",
    "InvalidSignal",
    "InvalidTopic",
    "InvalidUsage",
    "LoadFileException",
    "LocalProtocolError",
    "MessageTooLarge",
    "MethodNotAllowed",
    "MethodNotSupported",
    "NameTaken",
    "NotFound",
    "ParameterNameConflicts",
    "PayloadTooLarge",
    "ProtocolError",
    "PyFileError",
    "QueueFull",
    "RangeNotSatisfiable",
    "RemoteError",
    "RemoteProtocolError",
    "RequestHeaderFieldsTooLarge",
    "RequestTimeout",
    "RouteExists",
    "RoutingError",
    "SanicException",
    "ServerError",
    "ServiceUnavailable",
    "SignalNotFound",
    "StartupError",
    "SubscriberTooSlow",
    "URITooLong",
    "URLBuildError",
    "Unauthorized",
    "VivaceError",
    "WebsocketClosed",
    "WorkerDied",
    "title_of",
]


class VivaceError(Exception):
    """The base of every exception of this package."""


class ConfigError(VivaceError):
    """A setting, an option or a declaration (route, handler, listener) is wrong.

    Attributes:
        key: The setting or declaration at fault, where one can be named.
        source: Where it was read: a file, ``environment``, ``command line``; empty if unknown.
        allowed: The values that would have been taken, if they can be listed.
    """

    def __init__(self, message: str, *, key: str = "", source: str = "", allowed: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.key = key
        self.source = source
        self.allowed = tuple(allowed)


class StartupError(VivaceError):
    """The server could not start.

    Attributes:
        stage: What was being done: ``import``, ``bind``, ``lifespan`` ...
        exit_code: The status with which the process ends: 3 for the application, 4 for a socket.
    """

    def __init__(self, message: str, *, stage: str, exit_code: int = 3) -> None:
        super().__init__(message)
        self.stage = stage
        self.exit_code = exit_code


class ProtocolError(VivaceError):
    """The rules of a wire protocol were broken; only its two subclasses are raised.

    Attributes:
        status_hint: The status that fits an answer, if one can still be given.
    """

    def __init__(self, message: str, status_hint: int = 400) -> None:
        if type(self) is ProtocolError:
            raise TypeError("raise LocalProtocolError or RemoteProtocolError, not ProtocolError")
        super().__init__(message)
        self.status_hint = status_hint


class LocalProtocolError(ProtocolError):
    """We (the application, an interface) tried to send what the protocol forbids; nothing of it was sent."""

    def __init__(self, message: str, status_hint: int = 500) -> None:
        super().__init__(message, status_hint)


class RemoteProtocolError(ProtocolError):
    """The peer sent what the protocol forbids; the connection ends after an answer with `status_hint`."""


class BrokenResourceError(VivaceError):
    """The world took a resource away while it was in use."""


class ClientDisconnected(BrokenResourceError, ConnectionError):
    """The client of this request is gone, or its body broke off before its end; an OSError too."""


class HubUnavailable(BrokenResourceError, ConnectionError):
    """The hub, or the engine behind it, cannot take or give messages now; an OSError too.

    The message was not published, unless the text says that it may have been.
    """


class SubscriberTooSlow(BrokenResourceError):
    """A subscription ended: its queue was full, and its policy is ``disconnect``."""


class ClosedResourceError(VivaceError):
    """A resource was used after our own side closed it."""


class MessageTooLarge(VivaceError, ValueError):
    """A message is larger than its topic takes; nothing of it was published."""


class SanicException(VivaceError):
    """An answer with a status; the base of all these, named as Sanic's programs know it.

    Args:
        message: Shown to the client; the phrase of the status if None.
        status_code: Overrides the status of the class.
        quiet: True: not logged. Default: what the class says.
        context: Shown to the client by the error page.
        extra: Shown in debug mode only.
        headers: Of the answer, instead of those of the class.
    """

    status_code: int = 500
    message: str = ""
    quiet: bool = False
    headers: Mapping[str, str] = {}  # Sanic's class attribute; read only

    def __init__(
        self,
        message: str | bytes | None = None,
        status_code: int | None = None,
        *,
        quiet: bool | None = None,
        context: Mapping[str, Any] | None = None,
        extra: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.context = context
        self.extra = extra
        self.status_code = status_code or type(self).status_code
        self.quiet = type(self).quiet if quiet is None else quiet
        self.headers = dict(headers or type(self).headers)
        if not isinstance(getattr(type(self), "message", ""), property):
            self.message = self._word(message)
        super().__init__(self.message)

    def _word(self, message: str | bytes | None) -> str:
        """The message of this exception."""
        if message is None:
            return type(self).message or _TITLES.get(self.status_code) or PHRASES.get(self.status_code, "")
        return message.decode("utf-8", "replace") if isinstance(message, bytes) else message


class WebsocketClosed(SanicException, ClientDisconnected):
    """The WebSocket is closed, by whomever: nothing more comes, and nothing can be sent.

    Args:
        message: What was tried.
        code: Of the close frame (RFC 6455 section 7.4.1); 1005: it had none, 1006: the connection was lost.
        reason: In words.
    """

    message = "Client has closed the websocket connection"
    quiet = True

    def __init__(self, message: str | None = None, code: int = 1006, reason: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason


class HTTPException(SanicException):
    """An answer with a status: raise it in a handler, a middleware or a listener of a request.

    Args:
        message: Shown to the client; the phrase of the status if None.
        status_code: Overrides the status of the class.
        quiet: True: not logged. Default: what the class says; for a status given here: below 500 and for 503.
        options: ``context``, ``extra`` and ``headers``, as in `SanicException`.
    """

    def __init__(
        self,
        message: str | bytes | None = None,
        status_code: int | None = None,
        *,
        quiet: bool | None = None,
        **options: Any,
    ) -> None:
        if quiet is None and status_code is not None:
            quiet = status_code < 500 or status_code == 503
        super().__init__(message, status_code, quiet=quiet, **options)


class BadRequest(HTTPException):
    """400: the request cannot be understood."""

    status_code = 400
    quiet = True


class HeaderNotFound(BadRequest):
    """400: a header field that the app needs is missing."""


class InvalidHeader(BadRequest):
    """400: a header field that the server has to read is malformed."""


class Unauthorized(HTTPException):
    """401: credentials are missing or wrong.

    Args:
        message: Shown to the client.
        scheme: The scheme of the ``WWW-Authenticate`` field (RFC 9110 section 11.6.1), such as ``Bearer``.
        challenges: Its parameters, such as ``realm="x"``.
    """

    status_code = 401
    quiet = True

    def __init__(
        self,
        message: str | bytes | None = None,
        status_code: int | None = None,
        *,
        scheme: str | None = None,
        quiet: bool | None = None,
        context: Mapping[str, Any] | None = None,
        extra: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        **challenges: Any,
    ) -> None:
        found = dict(headers or {})
        if scheme is not None:
            parameters = ", ".join(f'{k}="{_escape_quoted(str(v))}"' for k, v in challenges.items())
            found["WWW-Authenticate"] = f"{scheme} {parameters}".rstrip()
        super().__init__(message, status_code, quiet=quiet, context=context, extra=extra, headers=found)


class Forbidden(HTTPException):
    """403: understood and refused."""

    status_code = 403
    quiet = True


class NotFound(HTTPException):
    """404: nothing is here."""

    status_code = 404
    quiet = True


class SignalNotFound(NotFound):
    """500: an event was dispatched, or is waited for, that nobody has declared."""

    status_code = 500
    quiet = False


class FileNotFound(NotFound):
    """404: the file to be sent does not exist.

    Args:
        message: Shown to the client.
        path: The folder that was searched; never shown to the client.
        relative_url: What the client asked for.
    """

    def __init__(
        self,
        message: str | bytes | None = None,
        path: object = None,
        relative_url: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(message, **options)
        self.path = path
        self.relative_url = relative_url


class MethodNotAllowed(HTTPException):
    """405: the path exists, not with this method.

    Args:
        message: Shown to the client.
        method: The method that was asked for.
        allowed_methods: Goes into the ``Allow`` field (RFC 9110 section 10.2.1).
    """

    status_code = 405
    quiet = True

    def __init__(
        self,
        message: str | bytes | None = None,
        method: str = "",
        allowed_methods: Collection[str] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(message, **options)
        self.method = method
        self.allowed_methods = allowed_methods
        if allowed_methods is not None:
            self.headers = {**self.headers, "Allow": ", ".join(allowed_methods)}


class RequestTimeout(HTTPException):
    """408: the request did not arrive in time."""

    status_code = 408
    quiet = True


class PayloadTooLarge(HTTPException):
    """413: the body is over the limit."""

    status_code = 413
    quiet = True


class URITooLong(HTTPException):
    """414: the request line is over the limit."""

    status_code = 414
    quiet = True


class RangeNotSatisfiable(HTTPException):
    """416: no asked range lies within the content.

    Args:
        message: Shown to the client.
        content_range: An object with ``total``, the size of the content in octets, for ``Content-Range``.
    """

    status_code = 416
    quiet = True

    def __init__(self, message: str | bytes | None = None, content_range: Any = None, **options: Any) -> None:
        super().__init__(message, **options)
        if content_range is not None:
            self.headers = {**self.headers, "Content-Range": f"bytes */{content_range.total}"}


class InvalidRangeType(RangeNotSatisfiable):
    """416: the range unit is not ``bytes``."""


class ExpectationFailed(HTTPException):
    """417: the ``Expect`` field cannot be met."""

    status_code = 417
    quiet = True


class RequestHeaderFieldsTooLarge(HTTPException):
    """431: the head is over the limit."""

    status_code = 431
    quiet = True


class ServerError(HTTPException):
    """500: our fault; the client learns nothing of the cause unless `message` says it."""

    status_code = 500


class URLBuildError(ServerError):
    """`url_for` was asked for a route, a parameter or a value that does not exist."""


class DeclarationError(ConfigError, ServerError, ValueError):
    """A declaration of the program is wrong; a `ServerError` and a `ValueError` too, as in Sanic."""


class NameTaken(DeclarationError, AssertionError):
    """Two parts of an app have one name; an AssertionError too, as in Sanic."""


class RoutingError(DeclarationError):
    """A route that cannot be declared."""


class BadMethod(RoutingError):
    """A method that no route can have."""


class FinalizationError(RoutingError):
    """The routes together cannot be served."""


class InvalidRoute(RoutingError):
    """The path of a route is malformed."""


class ParameterNameConflicts(RoutingError):
    """A path names two parameters alike."""


class RouteExists(RoutingError):
    """Two routes claim one path and method."""


class InvalidSignal(DeclarationError):
    """A signal that cannot be declared: a malformed name, or one of a namespace that is reserved."""


class InvalidTopic(BadRequest, DeclarationError):
    """400: no topic can have this name, which mostly comes from a client; a `DeclarationError` too."""

    quiet = True


class LoadFileException(DeclarationError):
    """A file of settings cannot be found or named."""


class PyFileError(DeclarationError):
    """A file of settings in Python cannot be run.

    Args:
        file: Its path.
    """

    def __init__(self, file: object, status_code: int | None = None, *, quiet: bool | None = None) -> None:
        super().__init__(f"could not execute config file {file}")
        self.status_code = status_code or self.status_code
        self.quiet = self.quiet if quiet is None else quiet


class ServiceUnavailable(HTTPException):
    """503: overloaded, stopping, or the handler ran out of time."""

    status_code = 503
    quiet = True


class QueueFull(ServiceUnavailable):
    """503: a service, a pool or a queue of tasks takes no more now; what was given is not done."""


class DeadlineExceeded(ServiceUnavailable, TimeoutError):
    """503: a call of a pool was not done in its time; it may have been begun."""


class WorkerDied(ServiceUnavailable):
    """503: the process beside the workers that had this very call, or message, is gone, or there is none."""


class RemoteError(ServerError):
    """500: the function of a pool has raised; the text says what, the log of its process where."""


InvalidUsage = BadRequest
MethodNotSupported = MethodNotAllowed
HeaderExpectationFailed = ExpectationFailed
InternalServerError = ServerError


def _escape_quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')


PHRASES: Final[dict[int, str]] = {
    100: "Continue",
    101: "Switching Protocols",
    102: "Processing",
    103: "Early Hints",
    104: "Upload Resumption Supported",
    200: "OK",
    201: "Created",
    202: "Accepted",
    203: "Non-Authoritative Information",
    204: "No Content",
    205: "Reset Content",
    206: "Partial Content",
    207: "Multi-Status",
    208: "Already Reported",
    226: "IM Used",
    300: "Multiple Choices",
    301: "Moved Permanently",
    302: "Found",
    303: "See Other",
    304: "Not Modified",
    305: "Use Proxy",
    307: "Temporary Redirect",
    308: "Permanent Redirect",
    400: "Bad Request",
    401: "Unauthorized",
    402: "Payment Required",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    406: "Not Acceptable",
    407: "Proxy Authentication Required",
    408: "Request Timeout",
    409: "Conflict",
    410: "Gone",
    411: "Length Required",
    412: "Precondition Failed",
    413: "Content Too Large",
    414: "URI Too Long",
    415: "Unsupported Media Type",
    416: "Range Not Satisfiable",
    417: "Expectation Failed",
    418: "I'm a teapot",
    421: "Misdirected Request",
    422: "Unprocessable Content",
    423: "Locked",
    424: "Failed Dependency",
    425: "Too Early",
    426: "Upgrade Required",
    428: "Precondition Required",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    451: "Unavailable For Legal Reasons",
    500: "Internal Server Error",
    501: "Not Implemented",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
    505: "HTTP Version Not Supported",
    506: "Variant Also Negotiates",
    507: "Insufficient Storage",
    508: "Loop Detected",
    510: "Not Extended",
    511: "Network Authentication Required",
}
"""The reason phrase of each status of the IANA registry, and that of 418."""

# What pages say differently: older words, which Sanic's programs and their tests know.
_TITLES: Final[dict[int, str]] = {
    413: "Request Entity Too Large",
    414: "Request-URI Too Long",
    416: "Requested Range Not Satisfiable",
    422: "Unprocessable Entity",
}


def title_of(status: int) -> str:
    """What a page calls an error of `status`."""
    return _TITLES.get(status) or PHRASES.get(status, "Error Occurred")
