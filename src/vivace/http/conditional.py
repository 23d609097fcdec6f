"""Validators and preconditions (RFC 9110 sections 8.8 and 13): 304 and 412 instead of the content.

Rules: the preconditions are evaluated in the order of section 13.2.2; a date that is no date is ignored; an
entity tag list that is malformed matches nothing.
"""

import re
from collections.abc import Sequence
from typing import Final, Protocol

from vivace.http.dates import parse_date

__all__ = ["evaluate_conditions", "make_etag", "parse_etags", "strong_match", "weak_match"]

MAX_ETAGS: Final = 100
"""How many entity tags of one field are compared; the field matches nothing if it has more."""

_ETAG: Final = re.compile(r'(?:W/)?"[!#-~\x80-\xff]*"')
_ETAG_ITEM: Final = re.compile(_ETAG.pattern + r"(?=[, \t]|\Z)")


class _Fields(Protocol):
    def get_all(self, name: str, /) -> list[str]: ...


def make_etag(size: int, mtime_ns: int, weak: bool = False) -> str:
    """Return the entity tag of a file, with its quotes, from its size and its time of change."""
    return f'{"W/" if weak else ""}"{mtime_ns:x}-{size:x}"'


def strong_match(one: str, other: str) -> bool:
    """Compare two entity tags strongly (RFC 9110 section 8.8.3.2): equal, and neither is weak."""
    return one == other and not one.startswith("W/") and _ETAG.fullmatch(one) is not None


def weak_match(one: str, other: str) -> bool:
    """Compare two entity tags weakly: equal but for their ``W/``."""
    return one.removeprefix("W/") == other.removeprefix("W/") and _ETAG.fullmatch(one) is not None


def parse_etags(values: Sequence[str]) -> list[str] | None:
    """Read the values of ``If-Match`` or ``If-None-Match``.

    Returns:
        The entity tags with their quotes, ``["*"]`` for a star, None if they are malformed or too many.
    """
    text = ", ".join(values).strip(" \t")
    if text == "*":
        return ["*"]
    found: list[str] = []
    at = 0
    while at < len(text):
        if text[at] in ", \t":
            at += 1
            continue
        tag = _ETAG_ITEM.match(text, at)
        if tag is None or len(found) == MAX_ETAGS:
            return None
        found.append(tag[0])
        at = tag.end()
    return found or None


def evaluate_conditions(
    method: str,
    headers: _Fields,
    etag: str | None = None,
    last_modified: float | None = None,
    *,
    exists: bool = True,
) -> int | None:
    """Evaluate the preconditions of a request, but ``If-Range`` (see `ranges.if_range_matches`).

    Args:
        method: Of the request; call this only where it would be answered with 2xx otherwise.
        headers: Anything with ``get_all(name)``.
        etag: The entity tag of what is there now, with its quotes.
        last_modified: When it changed last, in seconds since 1970.
        exists: False: nothing is there yet (a PUT that creates).

    Returns:
        304 or 412: the status of the answer, without doing anything. None: go on.
    """
    if_match = headers.get_all("if-match")
    if if_match:
        if not _any_match(if_match, etag, exists, strong=True):
            return 412
    else:
        since = _single_date(headers.get_all("if-unmodified-since"))
        if since is not None and last_modified is not None and int(last_modified) > since:
            return 412
    if_none_match = headers.get_all("if-none-match")
    if if_none_match:
        if _any_match(if_none_match, etag, exists, strong=False):
            return 304 if method in ("GET", "HEAD") else 412
    elif method in ("GET", "HEAD"):
        since = _single_date(headers.get_all("if-modified-since"))
        if since is not None and last_modified is not None and int(last_modified) <= since:
            return 304
    return None


def _any_match(values: Sequence[str], etag: str | None, exists: bool, *, strong: bool) -> bool:
    tags = parse_etags(values)
    if not tags or not exists:
        return False
    if tags == ["*"]:
        return True
    matches = strong_match if strong else weak_match
    return etag is not None and any(matches(tag, etag) for tag in tags)


def _single_date(values: Sequence[str]) -> float | None:
    return parse_date(values[0]) if len(values) == 1 else None
