"""Status codes: their phrases, their status lines, and which of them never carry content.

The phrases are those of `vivace.errors.PHRASES`, which pages of errors use as well.
"""

from typing import Final

from vivace.errors import PHRASES

__all__ = ["PHRASES", "STATUS_LINES", "has_no_body", "phrase"]

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
