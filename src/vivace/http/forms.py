"""What forms need besides the multipart parser: limits, urlencoded bodies, header parameters, file names.

Standards: RFC 7578 (multipart/form-data), RFC 6266 (Content-Disposition), RFC 8187 (``filename*``), RFC 9110
section 5.6.6 (parameters), the WHATWG form encoding. Every scan is linear.
"""

import re
from dataclasses import dataclass
from typing import Final
from unicodedata import normalize
from urllib.parse import quote, unquote_to_bytes

from vivace.errors import LocalProtocolError, PayloadTooLarge
from vivace.http.url import RequestParameters, parse_query

__all__ = [
    "FormLimits",
    "clean_file_name",
    "content_disposition",
    "decode_extended",
    "parse_options_header",
    "parse_parameters",
    "parse_urlencoded",
]

_NAME: Final = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
_PARAMETER: Final = re.compile(
    rf'[ \t]*+(?:({_NAME})[ \t]*+=[ \t]*+(?:"((?:[^"\\]|\\.)*+)"|([^";]*+))[ \t]*+)?(?:;|\Z)', re.DOTALL
)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_UNQUOTABLE: Final = re.compile(r"[^ !#$&-\[\]-~]")
_ATTR_CHARS: Final = "!#$&+-.^_`|~"
_DRIVES: Final = re.compile(r"\A(?:\s*+[A-Za-z]:)*+\s*+")
# Normalising a long run of combining marks costs quadratic time; no real file name is longer.
_MAX_NORMALISED: Final = 255
MAX_PARAMETERS: Final = 32
"""How many parameters one value may have."""


@dataclass(frozen=True, slots=True)
class FormLimits:
    """What a form may cost. Sizes are octets.

    Attributes:
        max_parts: Parts of a multipart form, or fields of an urlencoded one.
        max_part_header_size: All header fields of one part.
        max_part_headers: Their number.
        max_field_size: The text of one field.
        max_memory: All text of a form; and all its files that are kept in memory.
        spool_size: A file above this goes to disk.
        max_boundary: The boundary (RFC 2046 section 5.1.1).
        max_preamble: What may stand before the first boundary.
    """

    max_parts: int = 1000
    max_part_header_size: int = 16384
    max_part_headers: int = 16
    max_field_size: int = 1048576
    max_memory: int = 8388608
    spool_size: int = 1048576
    max_boundary: int = 70
    max_preamble: int = 4096


def parse_urlencoded(
    body: bytes,
    limits: FormLimits,
    *,
    keep_blank_values: bool = False,
    encoding: str = "utf-8",
) -> RequestParameters[str]:
    """Read an ``application/x-www-form-urlencoded`` body.

    Raises:
        PayloadTooLarge: It has more than ``max_parts`` fields, or more than ``max_memory`` octets.
    """
    if len(body) > limits.max_memory:
        raise PayloadTooLarge(f"the form has {len(body)} octets; at most {limits.max_memory} are taken")
    fields = body.count(b"&") + 1
    if fields > limits.max_parts:
        raise PayloadTooLarge(f"the form has {fields} fields; at most {limits.max_parts} are taken")
    return RequestParameters.from_pairs(
        parse_query(body, limits.max_parts, keep_blank_values=keep_blank_values, encoding=encoding)
    )


def parse_options_header(value: str | None) -> tuple[str, dict[str, str]]:
    """Split a value such as that of ``Content-Type`` into its lower-case head and its parameters.

    The names of the parameters are lower-case; of a repeated one the first counts; what is malformed ends the
    list.
    """
    if not value:
        return "", {}
    head, semicolon, rest = value.partition(";")
    parameters = _scan_parameters(rest)[0] if semicolon else {}
    return head.strip(" \t").lower(), parameters


def parse_parameters(text: str) -> dict[str, str] | None:
    """Read ``name=value`` parameters separated by semicolons, names in lower case; None if malformed."""
    found, well_formed = _scan_parameters(text)
    return found if well_formed else None


def _scan_parameters(text: str) -> tuple[dict[str, str], bool]:
    parameters: dict[str, str] = {}
    at = 0
    while at < len(text):
        found = _PARAMETER.match(text, at)
        if found is None or len(parameters) == MAX_PARAMETERS:
            return parameters, False
        name, quoted, plain = found.groups()
        if name:
            value = _ESCAPED.sub(r"\1", quoted) if quoted is not None else plain.rstrip(" \t")
            parameters.setdefault(name.lower(), value)
        at = found.end()
    return parameters, True


def decode_extended(value: str) -> str | None:
    """Decode an extended parameter value such as ``UTF-8''na%C3%AFve`` (RFC 8187); None if malformed."""
    charset, quote_mark, rest = value.partition("'")
    _, second_mark, text = rest.partition("'")
    if not quote_mark or not second_mark or charset.lower() not in ("utf-8", "iso-8859-1"):
        return None
    try:
        return unquote_to_bytes(text).decode(charset)
    except UnicodeDecodeError:
        return None


def clean_file_name(name: str) -> str:
    """Return what may be kept of a file name that a client sent: its last component, without controls.

    Never a path: whatever stands before the last slash or backslash is dropped, and ``.`` and ``..`` become
    empty; a drive such as ``C:`` is cut off. Composed characters are put into one form (NFC), as Sanic does.
    """
    name = _CONTROL.sub("", name).replace("\\", "/").rpartition("/")[2]
    name = _DRIVES.sub("", name).rstrip()
    if len(name) <= _MAX_NORMALISED:
        name = normalize("NFC", name)
    return "" if name in (".", "..") else name


def content_disposition(filename: str | None = None, *, inline: bool = False) -> str:
    """Write the value of ``Content-Disposition`` (RFC 6266).

    Args:
        filename: Offered to the user; any text. What is not plain ASCII, or would need an escape, is written
            twice: as ``filename`` with substitutes and as ``filename*``.
        inline: Show it instead of saving it.

    Raises:
        LocalProtocolError: `filename` holds a control character or a lone surrogate.
    """
    kind = "inline" if inline else "attachment"
    if filename is None:
        return kind
    if _CONTROL.search(filename):
        raise LocalProtocolError(f"file name {filename!r:.100} holds a control character")
    # Clients disagree on escapes inside the quotes, so that none is used.
    plain = _UNQUOTABLE.sub("_", filename)
    if plain == filename:
        return f'{kind}; filename="{plain}"'
    try:
        extended = quote(filename, safe=_ATTR_CHARS)
    except UnicodeEncodeError:
        raise LocalProtocolError("the file name holds a lone surrogate") from None
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{extended}"
