"""The cookies that a client keeps: by name for tests, with all rules of the standard library's jar.

Rules of this file:

- What is kept and what is sent is decided by `http.cookiejar` (Netscape's rules and RFC 2965, near RFC 6265).
- Secure cookies are sent over http too: a test's connection leaves the machine as little as one to localhost,
  which browsers trust as well.
"""

from collections.abc import Iterator, Mapping, MutableMapping
from email.message import Message
from http.cookiejar import Cookie, CookieJar, DefaultCookiePolicy
from typing import Any
from urllib.request import Request

from vivace.http.headers import Headers

__all__ = ["Cookies"]


class Cookies(MutableMapping[str, str]):
    """Cookies by name.

    Args:
        source: Names and values that are sent to every host and path.

    Attributes:
        jar: The standard library's jar, with everything that is known of each cookie.
    """

    def __init__(self, source: Mapping[str, str] | None = None) -> None:
        policy = DefaultCookiePolicy(secure_protocols=("http", "https"))
        self.jar = CookieJar(policy)
        self.update(source or {})

    def extract(self, url: str, headers: Headers) -> None:
        """Keep what a response of `url` sets."""
        fields = headers.get_all("set-cookie")
        if fields:
            self.jar.extract_cookies(_Answer(fields), Request(url))  # type: ignore[arg-type]  # noqa: S310

    def field_for(self, url: str) -> str | None:
        """The value of the field Cookie for a request to `url`; None if there is nothing to send."""
        request = Request(url)  # noqa: S310  # nothing is opened
        self.jar.add_cookie_header(request)
        everywhere = [f"{cookie.name}={cookie.value}" for cookie in self.jar if cookie.domain == ""]
        found = request.get_header("Cookie")
        return "; ".join([*([found] if found else []), *everywhere]) or None

    def __getitem__(self, name: str) -> str:
        for cookie in self.jar:
            if cookie.name == name:
                return cookie.value or ""
        raise KeyError(name)

    def __setitem__(self, name: str, value: str) -> None:
        self.pop(name, None)
        self.jar.set_cookie(_make_cookie(name, value))

    def __delitem__(self, name: str) -> None:
        found = [cookie for cookie in self.jar if cookie.name == name]
        if not found:
            raise KeyError(name)
        for cookie in found:
            self.jar.clear(cookie.domain, cookie.path, cookie.name)

    def __iter__(self) -> Iterator[str]:
        return (cookie.name for cookie in self.jar)

    def __len__(self) -> int:
        return len(self.jar)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {dict(self)!r}>"


class _Answer:
    """As much of a response as the standard library's jar asks for."""

    def __init__(self, fields: list[str]) -> None:
        self._message = Message()
        for value in fields:
            self._message["Set-Cookie"] = value

    def info(self) -> Message:
        return self._message


def _make_cookie(name: str, value: str) -> Cookie:
    """A cookie for every host and path."""
    options: dict[str, Any] = {
        "version": 0,
        "port": None,
        "port_specified": False,
        "domain": "",
        "domain_specified": False,
        "domain_initial_dot": False,
        "path": "/",
        "path_specified": True,
        "secure": False,
        "expires": None,
        "discard": True,
        "comment": None,
        "comment_url": None,
        "rest": {},
    }
    return Cookie(name=name, value=value, **options)
