"""A request of a test, from the arguments that people know to the octets of a head and a body.

Rules of this file:

- The arguments mean what they mean to requests and httpx: params, headers, json, data, files, content, auth.
- Nothing that a caller gave is overwritten: a given Content-Type or Host stays.
- Follows RFC 3986 (URL), RFC 7578 (multipart/form-data), RFC 7617 (Basic).
"""

import base64
import json as jsonlib
import os
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypedDict
from urllib.parse import quote, urlencode, urljoin, urlsplit

from vivace.framework.mime import guess_content_type
from vivace.http.headers import Headers

__all__ = ["Outgoing", "RequestOptions", "build_request"]

_SAFE_IN_PATH: Final = "/%:@!$&'()*+,;=~-._[]"
_SAFE_IN_QUERY: Final = _SAFE_IN_PATH + "?"
_AGENT: Final = "vivace-testing"

Body = bytes | AsyncIterable[bytes]
_Pairs = Mapping[str, Any] | Iterable[tuple[str, Any]]


class RequestOptions(TypedDict, total=False):
    """What a request may carry.

    Attributes:
        params: Goes to the query, beside what the URL has there; a list repeats its name.
        headers: Fields; they win over those that the client makes.
        cookies: Only for this request, beside those that the client keeps.
        json: Any value, sent as JSON.
        data: A mapping is sent as a form; text or octets as they are.
        files: A mapping (or pairs) of names to files: content, an open file, or a tuple of file name,
            content and media type. The request becomes multipart/form-data.
        content: The body: text, octets, or an iterable of octets, which is sent in chunks.
        auth: A user's name and password, sent as Basic.
    """

    params: _Pairs | str | None
    headers: _Pairs | None
    cookies: Mapping[str, str] | None
    json: Any
    data: Any
    files: Any
    content: Any
    auth: tuple[str, str] | None


class Outgoing(NamedTuple):
    """A request that is ready to be sent.

    Attributes:
        method: In upper case.
        url: The absolute URL.
        target: Path and query as they stand in the request line.
        headers: All fields but Cookie and the framing.
        body: Whole, or to come in pieces.
        names: How names of fields are written, where they are not in ``Title-Case``.
    """

    method: str
    url: str
    target: str
    headers: Headers
    body: Body
    names: Mapping[bytes, bytes] = MappingProxyType({})


def build_request(method: str, base: str, url: str, options: RequestOptions) -> Outgoing:
    """Make a request of what a test gave.

    Args:
        method: In any case.
        base: Scheme and host for URLs that have none.
        url: A path with or without a query, or an absolute URL.
        options: What it carries.

    Raises:
        LocalProtocolError: A field must not be sent.
        TypeError: The body is of no known form.
    """
    absolute = urljoin(base, url) if not url.startswith("//") else base.rstrip("/") + url
    parts = urlsplit(absolute)
    path = quote(parts.path or "/", safe=_SAFE_IN_PATH)
    query = quote(parts.query, safe=_SAFE_IN_QUERY)
    extra = options.get("params")
    if extra:
        added = extra if isinstance(extra, str) else urlencode(_flat(extra))
        query = f"{query}&{added}" if query else added
    target = f"{path}?{query}" if query else path
    content_type, body = _make_body(options)
    headers = _make_headers(parts.netloc.rpartition("@")[2], content_type, options)
    full = f"{parts.scheme}://{parts.netloc}{target}" + (f"#{parts.fragment}" if parts.fragment else "")
    return Outgoing(method.upper(), full, target, headers, body, _written(options.get("headers") or ()))


def _make_headers(host: str, content_type: str | None, options: RequestOptions) -> Headers:
    given = Headers(options.get("headers") or ())
    usual = {
        "host": given.get("host") or host,
        "accept": "*/*",
        "accept-encoding": "gzip, deflate",
        "connection": "keep-alive",
        "user-agent": _AGENT,
    }
    if content_type is not None:
        usual["content-type"] = content_type
    auth = options.get("auth")
    if auth is not None:
        usual["authorization"] = "Basic " + base64.b64encode(":".join(auth).encode()).decode("ascii")
    first = [(name, value) for name, value in usual.items() if name == "host" or name not in given]
    return Headers([*first, *((name, value) for name, value in given.items() if name != "host")])


def _written(given: Any) -> dict[bytes, bytes]:
    """How a test writes the names of fields, by their names in lower case."""
    names = given.keys() if isinstance(given, Mapping | Headers) else (name for name, _ in given)
    return {name.lower().encode(): name.encode() for name in names if isinstance(name, str)}


def _make_body(options: RequestOptions) -> tuple[str | None, Body]:
    """The media type, if it follows from the form of the body, and the body."""
    files = options.get("files")
    if files:
        return _multipart(options.get("data") or {}, files)
    if "json" in options and options["json"] is not None:
        text = jsonlib.dumps(options["json"], ensure_ascii=False, separators=(",", ":"))
        return "application/json", text.encode()
    data = options.get("data")
    if isinstance(data, Mapping):
        return "application/x-www-form-urlencoded", urlencode(_flat(data)).encode("ascii")
    return None, _octets(data if data is not None else options.get("content"))


def _octets(content: Any) -> Body:
    if content is None:
        return b""
    if isinstance(content, str):
        return content.encode()
    if isinstance(content, bytes | bytearray | memoryview):
        return bytes(content)
    if isinstance(content, AsyncIterable):
        return content
    if isinstance(content, Iterable):
        return _as_async(content)
    raise TypeError(f"a body is text, octets or an iterable of octets, not {type(content).__name__}")


async def _as_async(pieces: Iterable[Any]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece.encode() if isinstance(piece, str) else bytes(piece)


def _flat(source: _Pairs) -> list[tuple[str, str]]:
    """Pairs of text; lists repeat their name."""
    pairs = source.items() if isinstance(source, Mapping) else source
    found: list[tuple[str, str]] = []
    for name, value in pairs:
        values = value if isinstance(value, list | tuple) else [value]
        found.extend((str(name), _as_text(one)) for one in values)
    return found


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _multipart(data: _Pairs, files: _Pairs) -> tuple[str, bytes]:
    boundary = os.urandom(16).hex()
    parts = [_part(f'form-data; name="{_quoted(name)}"', None, value.encode()) for name, value in _flat(data)]
    for name, given in files.items() if isinstance(files, Mapping) else files:
        filename, content, content_type = _file(given)
        disposition = f'form-data; name="{_quoted(str(name))}"'
        if filename is not None:
            disposition += f'; filename="{_quoted(filename)}"'
        parts.append(_part(disposition, content_type, content))
    mark = boundary.encode("ascii")
    body = b"".join(b"--%b\r\n%b\r\n" % (mark, part) for part in parts) + b"--%b--\r\n" % mark
    return f"multipart/form-data; boundary={boundary}", body


def _part(disposition: str, content_type: str | None, content: bytes) -> bytes:
    head = f"Content-Disposition: {disposition}\r\n"
    if content_type is not None:
        head += f"Content-Type: {content_type}\r\n"
    return head.encode() + b"\r\n" + content


def _quoted(name: str) -> str:
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


def _file(given: Any) -> tuple[str | None, bytes, str | None]:
    """File name, content and media type of what stands for a file."""
    filename: str | None = None
    content_type: str | None = None
    if isinstance(given, tuple):
        filename, content = given[0], given[1]
        content_type = given[2] if len(given) > 2 else None
    else:
        content = given
        filename = os.path.basename(str(getattr(given, "name", "upload")))
    data = content.read() if hasattr(content, "read") else content
    if content_type is None and filename is not None:
        content_type = guess_content_type(filename)
    return filename, data.encode() if isinstance(data, str) else bytes(data), content_type
