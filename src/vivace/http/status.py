"""Status codes: their phrases, their status lines, and which of them never carry content.

The phrases are those of the IANA registry of HTTP status codes (RFC 9110 section 15 and others); 418 is not a
registered meaning but its name is too well known to be shown as "Unknown".
"""

from typing import Final

__all__ = ["PHRASES", "STATUS_LINES", "has_no_body", "phrase"]

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
"""The reason phrase of each registered status."""

STATUS_LINES: Final[dict[int, bytes]] = {
    code: f"HTTP/1.1 {code} {text}\r\n".encode("ascii") for code, text in PHRASES.items()
}
"""The whole HTTP/1.1 status line of each registered status, with its CRLF."""


def phrase(status: int) -> str:
    """Return the reason phrase of `status`, ``Unknown`` if the registry has none."""
    return PHRASES.get(status, "Unknown")


def has_no_body(status: int) -> bool:
    """Tell whether a response with `status` never carries content (RFC 9110 section 6.4.1: 1xx, 204, 304)."""
    return status in (204, 304) or 100 <= status < 200
