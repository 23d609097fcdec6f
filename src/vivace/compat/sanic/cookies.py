"""sanic.cookies: the cookies of responses, written and refused in Sanic's words.

Rules of this file:

- `Set-Cookie` is byte for byte what Sanic writes, but for what could end the field or start another
  attribute: that is refused, as in `vivace.http.cookies`.
- Differs: a moment with a time zone is converted to GMT; Sanic only calls it so.
- A jar keeps its cookies in the header of the response, so that they are seen there.
"""

import re
from datetime import UTC, datetime
from typing import Any, Final, Literal

from vivace.compat.sanic.header import Header
from vivace.errors import LocalProtocolError, ServerError

__all__ = ["Cookie", "CookieJar", "SameSite"]

SameSite = Literal["Strict", "Lax", "None", "strict", "lax", "none"]

_SAMESITE: Final[dict[str, SameSite]] = {"strict": "Strict", "lax": "Lax", "none": "None"}
_RESERVED: Final = frozenset(
    ("comment", "domain", "expires", "httponly", "max-age", "partitioned", "path", "samesite", "secure")
)
_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z:]+")
_ESCAPED: Final = re.compile(r"[\x00-\x1f\x7f\";\\]")
_ATTRIBUTE: Final = re.compile(r"[^\x00-\x1f\x7f;]*")
_ONE_PREFIX: Final = (
    "Both host_prefix and secure_prefix were requested. A cookie should have only one prefix."
)


class Cookie:
    """A cookie to be set; see `vivace.http.cookies.Cookie` for its arguments.

    Raises:
        KeyError: The name has a character that it must not have, or means something else.
        ServerError: A rule of the prefixes is broken.
        TypeError: `samesite` or `expires` is none.
        ValueError: `max_age` is no number of seconds.
    """

    HOST_PREFIX: Final = "__Host-"
    SECURE_PREFIX: Final = "__Secure-"

    __slots__ = (
        "_expires",
        "_max_age",
        "_samesite",
        "comment",
        "domain",
        "httponly",
        "key",
        "partitioned",
        "path",
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
        if key in _RESERVED:
            raise KeyError("Cookie name is a reserved word")
        if not _NAME.fullmatch(key):
            raise KeyError("Cookie key contains illegal characters")
        _check_prefixes(secure, path, domain, partitioned, host_prefix, secure_prefix)
        self.key = self.make_key(key, host_prefix=host_prefix, secure_prefix=secure_prefix)
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

    @property
    def max_age(self) -> int | None:
        """Seconds to keep it."""
        return self._max_age

    @max_age.setter
    def max_age(self, value: int | None) -> None:
        if value is not None and not str(value).isdigit():
            raise ValueError("Cookie max-age must be an integer")
        self._max_age = value

    @property
    def expires(self) -> datetime | None:
        """When it ends."""
        return self._expires

    @expires.setter
    def expires(self, value: datetime | None) -> None:
        if value is not None and not isinstance(value, datetime):
            raise TypeError("Cookie 'expires' property must be a datetime")
        self._expires = value

    @property
    def samesite(self) -> SameSite | None:
        """``Strict``, ``Lax``, ``None`` or None."""
        return self._samesite  # pyright: ignore[reportReturnType]  # the setter has checked it

    @samesite.setter
    def samesite(self, value: SameSite | None) -> None:
        if value is not None and value.lower() not in _SAMESITE:
            raise TypeError("Cookie 'samesite' property must be one of: strict,lax,none")
        self._samesite = _SAMESITE.get(value.lower()) if value is not None else None

    @classmethod
    def make_key(cls, key: str, host_prefix: bool = False, secure_prefix: bool = False) -> str:
        """The name on the wire.

        Raises:
            ServerError: Both prefixes are asked for.
        """
        if host_prefix and secure_prefix:
            raise ServerError(_ONE_PREFIX)
        if host_prefix:
            return cls.HOST_PREFIX + key
        return cls.SECURE_PREFIX + key if secure_prefix else key

    def __str__(self) -> str:
        """The value of the ``Set-Cookie`` field.

        Raises:
            LocalProtocolError: An attribute could end the field or start another attribute.
        """
        parts = [f"{self.key}={_quote(self.value)}"]
        texts = (("Path", self.path), ("Domain", self.domain), ("Max-Age", self.max_age))
        parts.extend(f"{name}={value}" for name, value in texts if value is not None)
        if self.expires is not None:
            parts.append(f"expires={_in_gmt(self.expires):%a, %d-%b-%Y %T} GMT")
        texts = (("Comment", self.comment), ("SameSite", self.samesite), ("Max-Age", None))
        parts.extend(f"{name}={value}" for name, value in texts if value is not None)
        flags = (("Secure", self.secure), ("HttpOnly", self.httponly), ("Partitioned", self.partitioned))
        parts.extend(name for name, given in flags if given)
        for part in parts:
            if not _ATTRIBUTE.fullmatch(part):
                raise LocalProtocolError(
                    f"cookie {self.key!r:.100}: {part!r:.100} holds a character that ends it"
                )
        return "; ".join(parts)


def _check_prefixes(
    secure: bool, path: str | None, domain: str | None, partitioned: bool, host: bool, secure_prefix: bool
) -> None:
    rules = (
        (host and secure_prefix, _ONE_PREFIX),
        (host and not secure, "Cannot set host_prefix on a cookie without secure=True"),
        (host and path != "/", "Cannot set host_prefix on a cookie unless path='/'"),
        (host and bool(domain), "Cannot set host_prefix on a cookie with a defined domain"),
        (secure_prefix and not secure, "Cannot set secure_prefix on a cookie without secure=True"),
        (
            partitioned and not host,
            "Cannot create a partitioned cookie without also setting host_prefix=True",
        ),
    )
    for broken, message in rules:
        if broken:
            raise ServerError(message)


def _in_gmt(moment: datetime) -> datetime:
    return moment.astimezone(UTC) if moment.tzinfo else moment


def _quote(value: str | None) -> str | None:
    if value is None or _NAME.fullmatch(value):
        return value
    return '"' + _ESCAPED.sub(lambda found: f"\\{ord(found[0]):03o}", value) + '"'


class CookieJar:
    """The cookies that a response sets.

    Args:
        headers: Of the response; the cookies are kept there.
    """

    HEADER_KEY: Final = "Set-Cookie"

    def __init__(self, headers: Header) -> None:
        self.headers = headers

    @property
    def cookies(self) -> list[Cookie]:
        """In the order in which they were set."""
        return [found for found in self.headers.get_all(self.HEADER_KEY) if isinstance(found, Cookie)]

    def __len__(self) -> int:
        return len(self.cookies)

    def add_cookie(self, key: str, value: str, **options: Any) -> Cookie:
        """Set a cookie; the arguments are those of `Cookie`."""
        cookie = Cookie(key, value, **options)
        self.headers.add(self.HEADER_KEY, cookie)
        return cookie

    def delete_cookie(
        self,
        key: str,
        *,
        path: str = "/",
        domain: str | None = None,
        host_prefix: bool = False,
        secure_prefix: bool = False,
    ) -> None:
        """Make the browser forget a cookie, and drop what this response would have set in its place.

        Raises:
            ServerError: A rule of the prefixes is broken.
        """
        if host_prefix and not secure_prefix and (path != "/" or domain is not None):
            raise ServerError(
                "Cannot set host_prefix on a cookie without path='/', domain=None, and secure=True"
            )
        place = {"path": path, "domain": domain, "host_prefix": host_prefix, "secure_prefix": secure_prefix}
        known = self.get_cookie(key, **place)  # type: ignore[arg-type]
        others = [found for found in self.headers.popall(self.HEADER_KEY, []) if found is not known]
        for found in others:
            self.headers.add(self.HEADER_KEY, found)
        kept: dict[str, Any] = {"samesite": None}
        if known is not None:
            names = ("samesite", "secure", "httponly", "partitioned", "comment")
            kept = {name: getattr(known, name) for name in names}
        self.add_cookie(key, "", max_age=0, **place, **kept)

    def get_cookie(
        self,
        key: str,
        path: str = "/",
        domain: str | None = None,
        host_prefix: bool = False,
        secure_prefix: bool = False,
    ) -> Cookie | None:
        """The cookie that is set under this name, path and domain, None if there is none."""
        name = Cookie.make_key(key, host_prefix, secure_prefix)
        for cookie in self.cookies:
            if (cookie.key, cookie.path, cookie.domain) == (name, path, domain):
                return cookie
        return None

    def has_cookie(
        self,
        key: str,
        path: str = "/",
        domain: str | None = None,
        host_prefix: bool = False,
        secure_prefix: bool = False,
    ) -> bool:
        """Whether `get_cookie` finds one."""
        return self.get_cookie(key, path, domain, host_prefix, secure_prefix) is not None

    def to_pairs(self) -> list[tuple[bytes, bytes]]:
        """Nothing: the header has them."""
        return []
