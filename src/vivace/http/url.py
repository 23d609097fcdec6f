"""Queries, paths and redirect targets (RFC 3986; the WHATWG form encoding for queries).

Rules: every function is linear in the length of its input; ``&`` alone separates fields; a malformed escape
stays as it is (as urllib and Sanic do); no result holds a surrogate; a number of fields is checked before
a dictionary is built.
"""

import re
from collections.abc import Iterable
from itertools import islice
from typing import Any, Final, TypeVar, overload
from urllib.parse import quote, urlsplit

from vivace.errors import BadRequest, LocalProtocolError
from vivace.wire.percent import unquote_octets

__all__ = [
    "BadQuery",
    "RequestParameters",
    "as_local",
    "is_local_target",
    "parse_query",
    "quote_location",
    "quote_path",
    "safe_redirect",
    "unquote_path",
]

V = TypeVar("V")
D = TypeVar("D")

# RFC 3986 section 3.3: pchar and "/", without "%".
_PATH_SAFE: Final = "/:@!$&'()*+,;=-._~"
# What a URI reference may hold as it is; "%" is treated apart.
_NOT_URI: Final = re.compile(r"%(?![0-9A-Fa-f]{2})|[^!#$%&'()*+,\-./0-9:;=?@A-Z\[\]_a-z~]")
_MALFORMED_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
MAX_MALFORMED: Final = 1000
"""Malformed percent-escapes that are taken literally in one name, value or path; with more it is refused."""
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:")


class BadQuery(BadRequest, ValueError):
    """A field of the query that cannot be taken; a `ValueError` too, as in Sanic and urllib."""


class RequestParameters(dict[str, list[V]]):
    """Values by name, where a name may occur more than once; ``get`` gives the first of them.

    ``params["x"]`` is the list of all values, as in Sanic.
    """

    __slots__ = ()

    @classmethod
    def from_pairs(cls, pairs: Iterable[tuple[str, V]]) -> "RequestParameters[V]":
        """Collect ``(name, value)`` pairs, keeping their order."""
        made: RequestParameters[V] = cls()
        for name, value in pairs:
            made.setdefault(name, []).append(value)
        return made

    @overload  # type: ignore[override]
    def get(self, name: str, default: None = None) -> V | None: ...
    @overload
    def get(self, name: str, default: D) -> V | D: ...
    def get(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, name: str, default: Any = None
    ) -> Any:
        """Return the first value of `name`, `default` if there is none."""
        values = super().get(name)
        return values[0] if values else default

    def getlist(self, name: str, default: list[V] | None = None) -> list[V]:
        """Return all values of `name`; `default` (an empty list) if there is none."""
        found = super().get(name)
        if found is not None:
            return found
        return [] if default is None else default


def parse_query(
    raw: bytes,
    max_fields: int = 1000,
    *,
    keep_blank_values: bool = False,
    strict_parsing: bool = False,
    encoding: str = "utf-8",
    errors: str = "replace",
) -> list[tuple[str, str]]:
    """Split a query (or an urlencoded body) into its ``(name, value)`` pairs, in order.

    Args:
        raw: The octets, without ``?``.
        max_fields: How many fields are taken, counted by their separators.
        keep_blank_values: Keep fields whose value is empty.
        strict_parsing: Refuse a field without ``=`` instead of dropping it.
        encoding: Of the octets after percent-decoding.
        errors: What becomes of octets that are not in `encoding`.

    Raises:
        BadRequest: More than `max_fields` fields.
        BadQuery: A field that `strict_parsing` refuses.
    """
    if not raw:
        return []
    if raw.count(b"&") >= max_fields:
        raise BadRequest(f"more than {max_fields} fields in the query")
    pairs: list[tuple[str, str]] = []
    for field in raw.split(b"&"):
        name, equals, value = field.partition(b"=")
        if not equals and strict_parsing:
            shown = field[:100].decode("utf-8", "backslashreplace")
            raise BadQuery(f"bad query field: {shown!r}")
        if value or (field and keep_blank_values):
            pairs.append((_decode(name, encoding, errors), _decode(value, encoding, errors)))
    return pairs


def _decode(octets: bytes, encoding: str, errors: str) -> str:
    if b"+" in octets:
        octets = octets.replace(b"+", b" ")
    return _unquote(octets).decode(encoding, errors)


def _unquote(octets: bytes) -> bytes:
    """Decode percent-escapes; a malformed one stays, more than `MAX_MALFORMED` of them are refused.

    Raises:
        BadRequest: Too many malformed escapes; nobody but an attacker sends them by the thousand.
    """
    if octets.count(b"%") > MAX_MALFORMED:
        malformed = islice(_MALFORMED_ESCAPE.finditer(octets), MAX_MALFORMED + 1)
        if sum(1 for _ in malformed) > MAX_MALFORMED:
            raise BadRequest(f"more than {MAX_MALFORMED} malformed percent-escapes")
    return unquote_octets(octets)


def unquote_path(raw: bytes) -> str:
    """Decode the percent-escapes of a path.

    Octets that are not UTF-8 come out as the escapes ``%XX`` (RFC 3987 section 3.2), so that the result never
    holds a surrogate or a replacement character and a different path never becomes equal to a valid one
    by loss. A malformed escape stays as it is.
    """
    octets = _unquote(raw)
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError:
        return _decode_with_escapes(octets)


def _decode_with_escapes(octets: bytes) -> str:
    # surrogateescape maps each bad octet to U+DC80..U+DCFF, which valid UTF-8 never yields.
    text = octets.decode("utf-8", "surrogateescape")
    return _ESCAPED.sub(lambda found: f"%{ord(found[0]) - 0xDC00:02X}", text)


_ESCAPED: Final = re.compile("[\udc80-\udcff]")


def quote_path(path: str) -> str:
    """Percent-encode the characters of `path` that a URL path must not hold; ``/`` stays."""
    return quote(path, safe=_PATH_SAFE, errors="replace")


def quote_location(target: str, *, quote_controls: bool = False) -> str:
    """Make `target` a valid value of ``Location`` (RFC 9110 section 10.2.2).

    Reserved characters and escapes stay; a space becomes ``%20``, a backslash ``%5C`` (browsers read it as a
    slash), everything beyond ASCII the escapes of its UTF-8.

    Args:
        target: A URI reference.
        quote_controls: Percent-encode control characters instead of refusing them.

    Raises:
        LocalProtocolError: `target` holds a control character, such as CR or LF.
    """
    found = None if quote_controls else _CONTROL.search(target)
    if found:
        raise LocalProtocolError(
            f"redirect target: control character {found[0]!r} at {found.start()}; quote user input first"
        )
    return _NOT_URI.sub(lambda bad: quote(bad[0], safe="", errors="replace"), target)


def is_local_target(target: str) -> bool:
    r"""Tell whether a browser that follows `target` stays on this host.

    A path (``/a``), a relative reference, a query or a fragment do; a scheme, ``//host``, ``/\host``,
    controls and leading white space (which browsers cut off before they look) do not.
    """
    if not target or _CONTROL.search(target) or target[0].isspace():
        return False
    leading = target[:2].replace("\\", "/")
    return leading != "//" and not _SCHEME.match(target)


def as_local(path: str) -> str:
    """Return `path` with one leading slash instead of many, so that it can never name another host."""
    return "/" + path.lstrip("/\\")


def safe_redirect(target: str, allowed_hosts: Iterable[str] = ()) -> str:
    """Check and quote a redirect target that came from a stranger.

    Args:
        target: A URL, such as the value of ``?next=``.
        allowed_hosts: Hosts (with port, if any) to which absolute ``http`` and ``https`` URLs may lead.

    Raises:
        BadRequest: `target` leads to another host, or holds a control character.
    """
    if is_local_target(target):
        return quote_location(target)
    if "\\" not in target and not _CONTROL.search(target):
        try:
            parts = urlsplit(target)
        except ValueError:
            parts = urlsplit("")
        allowed = {host.lower() for host in allowed_hosts}
        if parts.scheme in ("http", "https") and parts.netloc.lower() in allowed:
            return quote_location(target)
    raise BadRequest("the redirect target leads to another host")
