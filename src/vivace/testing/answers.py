"""What the clients of sanic_testing answer with: responses with the names of httpx's.

Rules of this file:

- A name is here when a test that uses it gets what httpx would give.
- Repeated fields read as one value, joined by commas.
- Values are UTF-8 where all of them can be, else Latin-1.
"""

from collections.abc import ItemsView, Iterator, ValuesView
from datetime import timedelta
from typing import Any, Final, Self
from urllib.parse import unquote, urlsplit

from vivace.http.forms import parse_options_header
from vivace.http.headers import Headers
from vivace.testing.response import HTTPStatusError, Response

__all__ = ["TestingHeaders", "TestingResponse", "TestingURL"]


class TestingHeaders(Headers):
    """Fields in which a repeated name reads as one value, joined by commas."""

    __slots__ = ()
    __test__ = False

    def __getitem__(self, name: str) -> str:
        found = self.get_all(name)
        if not found:
            raise KeyError(name)
        return ", ".join(found)

    def get(self, name: str, default: Any = None, /) -> Any:
        """The values of a name, joined; `default` if there is none."""
        return ", ".join(self.get_all(name)) if name in self else default

    def get_all(self, name: str) -> list[str]:
        """The values of a name, each by itself; an empty list if there is none."""
        key = name.lower().encode("latin-1", "replace")
        return [value for found, value in self._decoded() if found == key]

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(name.decode("latin-1") for name, _ in self.to_pairs()))

    def items(self) -> ItemsView[str, str]:
        """The names, each once, with their values joined."""
        return ItemsView(self)

    def values(self) -> ValuesView[str]:
        """The values, joined for each name."""
        return ValuesView(self)

    def get_list(self, name: str, split_commas: bool = False) -> list[str]:
        """The values of a name, each by itself."""
        found = self.get_all(name)
        return [one.strip() for value in found for one in value.split(",")] if split_commas else found

    getlist = get_list

    def multi_items(self) -> list[tuple[str, str]]:
        """All pairs, also those of repeated names."""
        return [(name.decode("latin-1"), value) for name, value in self._decoded()]

    def _decoded(self) -> list[tuple[bytes, str]]:
        pairs = self.to_pairs()
        try:
            return [(name, value.decode()) for name, value in pairs]
        except UnicodeDecodeError:
            return [(name, value.decode("latin-1")) for name, value in pairs]


class TestingURL(str):
    """A URL, with its parts as attributes."""

    __slots__ = ()
    __test__ = False

    @property
    def scheme(self) -> str:
        """``http`` or ``https``."""
        return urlsplit(self).scheme

    @property
    def host(self) -> str:
        """The host, without a port."""
        return urlsplit(self).hostname or ""

    @property
    def port(self) -> int | None:
        """The port, if it is written."""
        return urlsplit(self).port

    @property
    def path(self) -> str:
        """The path, decoded."""
        return unquote(urlsplit(self).path)

    @property
    def query(self) -> bytes:
        """The query as it was sent."""
        return urlsplit(self).query.encode("ascii")


class TestingResponse(Response):
    """A response with the names of httpx's, whose `json` is None where the body is none."""

    __test__ = False

    is_closed: Final = True
    is_stream_consumed: Final = True
    next_request: Final = None
    default_encoding: Final = "utf-8"
    elapsed = timedelta()
    """How long it took to come, redirects included."""

    @property
    def url(self) -> TestingURL:
        """The URL that gave this response."""
        return TestingURL(self.request.url)

    @property
    def reason_phrase(self) -> str:
        """The usual phrase of the status."""
        return self.reason

    @property
    def is_client_error(self) -> bool:
        """The status is one of 400 to 499."""
        return 400 <= self.status < 500

    @property
    def is_server_error(self) -> bool:
        """The status is 500 or more."""
        return self.status >= 500

    @property
    def is_error(self) -> bool:
        """The status is 400 or more."""
        return self.status >= 400

    @property
    def is_informational(self) -> bool:
        """The status is one of 100 to 199."""
        return 100 <= self.status < 200

    @property
    def is_redirect(self) -> bool:
        """The status is one of 300 to 399."""
        return 300 <= self.status < 400

    @property
    def has_redirect_location(self) -> bool:
        """It sends the client elsewhere, and says where."""
        return super().is_redirect

    @property
    def charset_encoding(self) -> str | None:
        """The charset that the Content-Type names."""
        return parse_options_header(self.content_type)[1].get("charset")

    @property
    def num_bytes_downloaded(self) -> int:
        """The size of the body in octets."""
        return len(self.body)

    @property
    def links(self) -> dict[str, Any]:
        """Kept for its name: fields called Link are not read."""
        return {}

    @property
    def extensions(self) -> dict[str, Any]:
        """The version of HTTP and the phrase, as octets."""
        return {"http_version": self.http_version.encode(), "reason_phrase": self.reason.encode()}

    def raise_for_status(self) -> Self:
        """Give this response back.

        Raises:
            HTTPStatusError: The status is not one of 200 to 299.
        """
        if self.is_success:
            return self
        kinds = {1: "Informational response", 3: "Redirect response", 4: "Client error", 5: "Server error"}
        kind = kinds.get(self.status // 100, "Response")
        raise HTTPStatusError(f"{kind} '{self.status} {self.reason}' for url '{self.url}'")

    def __repr__(self) -> str:
        return f"<Response [{self.status} {self.reason}]>"

    def read(self) -> bytes:
        """The body."""
        return self.body

    def iter_lines(self) -> Iterator[str]:
        """The lines of the text."""
        yield from self.text.splitlines()

    @property
    def json(self) -> Any:
        """The body as JSON says it; None if it is no JSON."""
        try:
            return super().json
        except ValueError:
            return None

    @classmethod
    def adopt(cls, response: Response) -> Self:
        """The same response, of this class."""
        headers = TestingHeaders.from_raw(response.headers.to_pairs())
        made = cls(response.status, headers, response.body, response.request, response.http_version)
        made.body = response.body
        made.history = [cls.adopt(one) for one in response.history]
        return made
