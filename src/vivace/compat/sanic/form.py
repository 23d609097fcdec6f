"""sanic.request.form: multipart forms, read from a body that is in memory.

Rules of this file:

- Forgiving as Sanic is: a part that names no field or is malformed is left out; the rest counts.
- What costs is bounded: the number of parts and the size of their heads. Every scan is linear.
- A file name is a name, never a path.
- Bigger forms do not come here: the framework takes them apart while they arrive (`FormCollector`).
"""

import re
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

from vivace.compat.sanic.headers import parse_content_header
from vivace.errors import PayloadTooLarge
from vivace.http.forms import FormLimits, clean_file_name
from vivace.http.url import RequestParameters

__all__ = ["File", "parse_multipart_form"]

_CHARSETS: Final = ("utf-8", "utf8", "us-ascii", "ascii", "iso-8859-1", "latin-1", "latin1", "windows-1252")
_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]++")


class File(NamedTuple):
    """An uploaded file.

    Attributes:
        type: The content type that the client gave; ``text/plain`` if none.
        body: The content.
        name: The file name that the client gave, without any path.
    """

    type: str
    body: bytes
    name: str


def parse_multipart_form(
    body: bytes, boundary: bytes, limits: FormLimits | None = None
) -> tuple[RequestParameters[str], RequestParameters[File]]:
    """Read a ``multipart/form-data`` body.

    Args:
        body: All of it.
        boundary: As the content type names it, without the two hyphens before it.
        limits: What it may cost.

    Returns:
        The text fields and the files.

    Raises:
        PayloadTooLarge: It has more parts than `limits` allow.
    """
    limits = limits or FormLimits()
    fields: RequestParameters[str] = RequestParameters()
    files: RequestParameters[File] = RequestParameters()
    if not boundary:
        return fields, files
    delimiter = b"\r\n--" + boundary
    start = b"\r\n" + body
    if start.count(delimiter) > limits.max_parts + 1:
        raise PayloadTooLarge(f"multipart form: more than {limits.max_parts} parts")
    for part in start.split(delimiter)[1:-1]:
        head, blank, content = part.partition(b"\r\n\r\n")
        if blank and len(head) <= limits.max_part_header_size:
            _add(head, content, fields, files)
    return fields, files


def _add(head: bytes, content: bytes, fields: RequestParameters[str], files: RequestParameters[File]) -> None:
    try:
        lines = [line.partition(":") for line in head.decode().split("\r\n")[1:]]
    except UnicodeDecodeError:
        return
    if not all(colon and _NAME.fullmatch(name) for name, colon, _ in lines):
        return
    known = {name.lower(): value.strip() for name, _, value in lines}
    disposition = parse_content_header(known.get("content-disposition", ""))[1]
    kind, options = parse_content_header(known.get("content-type", "text/plain"))
    field = disposition.get("name")
    charset = options.get("charset", "utf-8").lower()
    if not field or charset not in _CHARSETS:
        return
    filename = disposition.get("filename")
    if filename is None and "filename*" in disposition:
        filename = _decode_extended(disposition["filename*"])
    if filename is not None:
        files.setdefault(field, []).append(File(kind, content, clean_file_name(filename)))
        return
    try:
        text = content.decode(charset)
    except UnicodeDecodeError:
        return
    fields.setdefault(field, []).append(text)


def _decode_extended(value: str) -> str:
    """``UTF-8''n%C3%A4.txt`` (RFC 8187), also without a charset."""
    charset, _, rest = value.partition("'")
    text = rest.partition("'")[2] or value.rpartition("'")[2]
    usable = charset.lower() if charset.lower() in _CHARSETS else "utf-8"
    return unquote_to_bytes(text).decode(usable, "replace")
