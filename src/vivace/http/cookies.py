"""Cookies (RFC 6265, with the name prefixes, SameSite and Partitioned of its revision).

Rules: a cookie without a name is ignored (it could pose as a prefixed one); repeated names are kept, first
first; what we set is Secure and SameSite=Lax unless the application says otherwise; nothing that could
end the field or start another attribute is ever written.

Values: characters outside the cookie-octet set are written in quotes, with octal escapes of their UTF-8. Read
back, octets that are UTF-8 become text of it, others latin-1.
"""

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, Final, Literal, TypedDict, Unpack

from vivace.errors import LocalProtocolError, RequestHeaderFieldsTooLarge
from vivace.http.dates import format_date
from vivace.http.url import RequestParameters

__all__ = ["Cookie", "CookieJar", "CookieOptions", "CookieRequestParameters", "SameSite", "parse_cookie"]

SameSite = Literal["Lax", "Strict", "None", "lax", "strict", "none"]

HOST_PREFIX: Final = "__Host-"
SECURE_PREFIX: Final = "__Secure-"

_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_COOKIE_OCTETS: Final = re.compile(r"[!#-+\--:<-\[\]-~]*")
_ATTRIBUTE: Final = re.compile(r"[ -:<-~]*")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_ESCAPE: Final = re.compile(rb"\\([0-3][0-7][0-7]|[\x20-\xff])")
_SAFE_IN_QUOTES: Final = frozenset(b" !#$%&'()*+-./:<=>?@[]^_`{|}~") | frozenset(
    b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)
_QUOTED: Final = [chr(octet) if octet in _SAFE_IN_QUOTES else f"\\{octet:03o}" for octet in range(256)]


class CookieRequestParameters(RequestParameters[str]):
    """The cookies of a request: ``cookies.get("id")`` also finds ``__Host-id`` and ``__Secure-id``.

    The prefixed names go first: only their origin can have set them. ``cookies.my_id`` reads like
    ``get("my_id")``, else ``get("my-id")``, and gives ``""`` for a missing one.
    """

    __slots__ = ()

    def get(self, name: str, default: Any = None) -> Any:
        """Return the first value of the cookie `name`, `default` if there is none."""
        values = self.getlist(name)
        return values[0] if values else default

    def getlist(self, name: str, default: list[str] | None = None) -> list[str]:
        """Return all values of the cookie `name`; `default` (an empty list) if there is none."""
        for key in (HOST_PREFIX + name, SECURE_PREFIX + name, name):
            found = dict.get(self, key)
            if found is not None:
                return found
        return [] if default is None else default

    def __getitem__(self, name: str) -> list[str]:
        """Return all values of the cookie `name`."""
        values = self.getlist(name)
        if not values:
            raise KeyError(name)
        return values

    def __getattr__(self, name: str) -> str:
        if name.startswith("_"):
            raise AttributeError(name)
        name = name.rstrip("_")
        found: str = self.get(name, self.get(name.replace("_", "-"), ""))
        return found


def parse_cookie(raw: str | Iterable[str], max_count: int = 100) -> CookieRequestParameters:
    """Read the ``Cookie`` field.

    Args:
        raw: The value, or the values if the field came on several lines (as HTTP/2 allows).
        max_count: How many cookies are taken.

    Raises:
        RequestHeaderFieldsTooLarge: There are more than `max_count` cookies.
    """
    lines = [raw] if isinstance(raw, str) else list(raw)
    cookies = CookieRequestParameters()
    count = 0
    for line in lines:
        for part in line.split(";"):
            name, equals, value = part.partition("=")
            name = name.strip(" \t")
            if not equals or not _TOKEN.fullmatch(name):
                continue
            count += 1
            if count > max_count:
                raise RequestHeaderFieldsTooLarge(f"the request has more than {max_count} cookies")
            cookies.setdefault(name, []).append(_unquote(value.strip(" \t")))
    return cookies


def _unquote(value: str) -> str:
    quoted = len(value) >= 2 and value[0] == value[-1] == '"'
    if not quoted and value.isascii():
        return value
    try:
        octets = value.encode("latin-1")
    except UnicodeEncodeError:
        return value
    if quoted:
        octets = _ESCAPE.sub(_unescape, octets[1:-1])
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError:
        return octets.decode("latin-1")


def _unescape(found: "re.Match[bytes]") -> bytes:
    code = found[1]
    return bytes((int(code, 8),)) if len(code) == 3 else code


class CookieOptions(TypedDict, total=False):
    """The keyword arguments of `Cookie`."""

    path: str | None
    domain: str | None
    secure: bool
    max_age: int | None
    expires: datetime | None
    httponly: bool
    samesite: SameSite | None
    partitioned: bool
    comment: str | None
    host_prefix: bool
    secure_prefix: bool


class Cookie:
    """A cookie to be set. Its attributes may change until the response starts; they are checked again then.

    Args:
        key: The name, without a prefix that `host_prefix` or `secure_prefix` adds.
        value: Any text without control characters.
        path: The path under which it is sent back; None: that of the request.
        domain: The domain whose hosts get it; None: this host only.
        secure: Send it over TLS only.
        max_age: Seconds to keep it; 0 or less deletes it; None: until the browser ends.
        expires: The moment at which it ends.
        httponly: Hide it from scripts.
        samesite: ``Lax``, ``Strict``, ``None``, or None to leave it out.
        partitioned: Keep it per top-level site.
        comment: A remark; browsers ignore it.
        host_prefix: Put ``__Host-`` before the name: set by this host, over TLS, for the whole host.
        secure_prefix: Put ``__Secure-`` before the name: set over TLS.

    Raises:
        LocalProtocolError: The name is not a token, an attribute could end the field, or a prefix rule is
            broken.
    """

    __slots__ = (
        "comment",
        "domain",
        "expires",
        "httponly",
        "key",
        "max_age",
        "partitioned",
        "path",
        "samesite",
        "secure",
        "value",
    )

    def __init__(
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
    ) -> None:
        self.key = make_key(key, host_prefix, secure_prefix)
        self.value = value
        self.path = path
        self.domain = domain
        self.secure = secure
        self.max_age = max_age
        self.expires = expires
        self.httponly = httponly
        self.samesite = samesite
        self.partitioned = partitioned
        self.comment = comment
        self.check()

    def check(self) -> None:
        """Raise LocalProtocolError if the cookie must not be sent as it is."""
        if not _TOKEN.fullmatch(self.key):
            raise LocalProtocolError(f"cookie name {self.key!r:.100} is not a token")
        if found := _CONTROL.search(self.value):
            raise LocalProtocolError(f"cookie {self.key!r}: the value holds the control {found[0]!r}")
        for label, text in (("path", self.path), ("domain", self.domain), ("comment", self.comment)):
            if text is not None and not _ATTRIBUTE.fullmatch(text):
                raise LocalProtocolError(
                    f"cookie {self.key!r}: {label} {text!r:.100} holds a character that ends the attribute"
                )
        self._check_flags()

    def _check_flags(self) -> None:
        samesite = (self.samesite or "lax").lower()
        # Browsers compare the prefixes without regard to case.
        name = self.key.lower()
        host_bound = name.startswith(HOST_PREFIX.lower())
        rules = (
            (samesite in ("lax", "strict", "none"), "samesite is Lax, Strict or None"),
            (self.secure or samesite != "none", "SameSite=None needs secure=True"),
            (self.secure or not self.partitioned, "partitioned needs secure=True"),
            (self.secure or not name.startswith(SECURE_PREFIX.lower()), "__Secure- needs secure=True"),
            (self.secure or not host_bound, "__Host- needs secure=True"),
            (
                not host_bound or (self.path == "/" and self.domain is None),
                '__Host- needs path="/" and no domain',
            ),
        )
        for kept, rule in rules:
            if not kept:
                raise LocalProtocolError(f"cookie {self.key!r}: {rule}")

    def __str__(self) -> str:
        """Return the value of the ``Set-Cookie`` field."""
        self.check()
        parts = [f"{self.key}={_quote(self.value)}"]
        if self.path is not None:
            parts.append(f"Path={self.path}")
        if self.domain is not None:
            parts.append(f"Domain={self.domain}")
        if self.max_age is not None:
            parts.append(f"Max-Age={int(self.max_age)}")
        if self.expires is not None:
            parts.append(f"Expires={format_date(_timestamp(self.expires))}")
        if self.comment is not None:
            parts.append(f"Comment={self.comment}")
        if self.samesite is not None:
            parts.append(f"SameSite={self.samesite.capitalize()}")
        flags = (("Secure", self.secure), ("HttpOnly", self.httponly), ("Partitioned", self.partitioned))
        parts.extend(name for name, given in flags if given)
        return "; ".join(parts)

    def encode(self, encoding: str = "ascii") -> bytes:
        """Return the octets of the ``Set-Cookie`` field's value."""
        return str(self).encode(encoding)

    def __repr__(self) -> str:
        return f"<Cookie {self.key}>"


def make_key(key: str, host_prefix: bool = False, secure_prefix: bool = False) -> str:
    """Return the name on the wire.

    Raises:
        LocalProtocolError: Both prefixes are asked for.
    """
    if host_prefix and secure_prefix:
        raise LocalProtocolError(f"cookie {key!r}: give host_prefix or secure_prefix, not both")
    if host_prefix:
        return HOST_PREFIX + key
    return SECURE_PREFIX + key if secure_prefix else key


def _timestamp(moment: datetime) -> float:
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _quote(value: str) -> str:
    if _COOKIE_OCTETS.fullmatch(value):
        return value
    try:
        octets = value.encode("utf-8")
    except UnicodeEncodeError:
        raise LocalProtocolError("a cookie's value holds a lone surrogate") from None
    return '"' + "".join([_QUOTED[octet] for octet in octets]) + '"'


class CookieJar:
    """The cookies that a response sets; `to_pairs` gives the fields."""

    __slots__ = ("cookies",)

    def __init__(self) -> None:
        self.cookies: list[Cookie] = []

    def __len__(self) -> int:
        return len(self.cookies)

    def __iter__(self) -> Iterator[Cookie]:
        return iter(self.cookies)

    def __contains__(self, key: object) -> bool:
        return any(cookie.key == key for cookie in self.cookies)

    def __getitem__(self, key: str) -> Cookie:
        for cookie in self.cookies:
            if cookie.key == key:
                return cookie
        raise KeyError(key)

    def add_cookie(self, key: str, value: str, **options: Unpack[CookieOptions]) -> Cookie:
        """Set a cookie; the arguments are those of `Cookie`.

        Raises:
            LocalProtocolError: As `Cookie` does.
        """
        cookie = Cookie(key, value, **options)
        self.cookies.append(cookie)
        return cookie

    def delete_cookie(self, key: str, **options: Unpack[CookieOptions]) -> Cookie:
        """Make the browser forget a cookie, and drop what this response would have set in its place.

        Name, path and domain have to be those with which it was set; the arguments are those of `Cookie`.

        Raises:
            LocalProtocolError: As `Cookie` does.
        """
        options["max_age"] = 0
        cookie = Cookie(key, "", **options)
        place = cookie.key, cookie.path, cookie.domain
        self.cookies = [c for c in self.cookies if (c.key, c.path, c.domain) != place]
        self.cookies.append(cookie)
        return cookie

    def get_cookie(
        self,
        key: str,
        path: str | None = "/",
        domain: str | None = None,
        host_prefix: bool = False,
        secure_prefix: bool = False,
    ) -> Cookie | None:
        """Return the cookie that is set under this name, path and domain, None if there is none."""
        name = make_key(key, host_prefix, secure_prefix)
        for cookie in self.cookies:
            if (cookie.key, cookie.path, cookie.domain) == (name, path, domain):
                return cookie
        return None

    def has_cookie(
        self,
        key: str,
        path: str | None = "/",
        domain: str | None = None,
        host_prefix: bool = False,
        secure_prefix: bool = False,
    ) -> bool:
        """Tell whether `get_cookie` finds one."""
        return self.get_cookie(key, path, domain, host_prefix, secure_prefix) is not None

    def to_pairs(self) -> list[tuple[bytes, bytes]]:
        """Return a ``set-cookie`` field for each cookie."""
        return [(b"set-cookie", cookie.encode()) for cookie in self.cookies]
