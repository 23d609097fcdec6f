"""sanic.constants: methods of HTTP and what else is fixed.

Rules of this file: values follow RFC 9110 and Sanic's documentation.
"""

from enum import Enum, StrEnum
from typing import Final

__all__ = [
    "ALLOWED_LABELS",
    "CACHEABLE_HTTP_METHODS",
    "DEFAULT_APP_NAME",
    "DEFAULT_HTTP_CONTENT_TYPE",
    "DEFAULT_LOCAL_TLS_CERT",
    "DEFAULT_LOCAL_TLS_KEY",
    "EXT_VERSION",
    "HTTP",
    "HTTP_METHODS",
    "IDEMPOTENT_HTTP_METHODS",
    "ROUTING_VERSION",
    "SAFE_HTTP_METHODS",
    "TESTING_VERSION",
    "VERSION",
    "HTTPMethod",
    "LocalCertCreator",
    "ProcessState",
    "RestartOrder",
    "UpperStrEnum",
]

DEFAULT_LOCAL_TLS_CERT: Final = "cert.pem"
DEFAULT_LOCAL_TLS_KEY: Final = "key.pem"
ALLOWED_LABELS: Final = ("__file_uri__",)
DEFAULT_APP_NAME: Final = "app"
VERSION: Final = "25.12.1"
"""The version of Sanic whose API the alias follows."""
EXT_VERSION: Final = "25.12.0"
"""The same of sanic-ext."""
ROUTING_VERSION: Final = "23.12.0"
"""The same of sanic-routing."""
TESTING_VERSION: Final = "24.6.0"
"""The same of sanic-testing."""


class UpperStrEnum(StrEnum):
    """Members are called like their values; comparing does not look at the case."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and self.value == other.upper()

    def __hash__(self) -> int:
        return hash(self.value)


class HTTPMethod(UpperStrEnum):
    """The methods that a route may have."""

    GET = "GET"
    POST = "POST"
    PUT = "PUT"
    HEAD = "HEAD"
    OPTIONS = "OPTIONS"
    PATCH = "PATCH"
    DELETE = "DELETE"


class LocalCertCreator(UpperStrEnum):
    """What makes certificates for development."""

    AUTO = "AUTO"
    TRUSTME = "TRUSTME"
    MKCERT = "MKCERT"


class RestartOrder(UpperStrEnum):
    """Whether an old worker ends before its successor starts."""

    SHUTDOWN_FIRST = "SHUTDOWN_FIRST"
    STARTUP_FIRST = "STARTUP_FIRST"


class HTTP(Enum):
    """Versions of HTTP."""

    VERSION_1 = 1
    VERSION_3 = 3

    def display(self) -> str:
        """As people write it."""
        return "HTTP/1.1" if self is HTTP.VERSION_1 else "HTTP/3"


class ProcessState(Enum):
    """What a worker does."""

    NONE = 1
    IDLE = 2
    RESTARTING = 3
    STARTING = 4
    STARTED = 5
    ACKED = 6
    JOINED = 7
    TERMINATED = 8
    FAILED = 9
    COMPLETED = 10


HTTP_METHODS: Final = tuple(HTTPMethod)
SAFE_HTTP_METHODS: Final = (HTTPMethod.GET, HTTPMethod.HEAD, HTTPMethod.OPTIONS)
IDEMPOTENT_HTTP_METHODS: Final = (*SAFE_HTTP_METHODS, HTTPMethod.PUT, HTTPMethod.DELETE)
CACHEABLE_HTTP_METHODS: Final = (HTTPMethod.GET, HTTPMethod.HEAD)
DEFAULT_HTTP_CONTENT_TYPE: Final = "application/octet-stream"
