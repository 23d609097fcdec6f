"""The head of a request (RFC 9112 sections 2 to 6).

Rules of this file:

- It is the definition; `_head.pyx` does the same faster, and the names at the end of this file are its.
- A head is taken or refused, never repaired: CR LF only, no folding, no white space before a colon, no
  control octets, singletons once. Splitting is done on octets, never by methods that know Unicode.
- A head that is not whole yet is refused at its first wrong octet too, and when it passes a limit.
- Fields are validated and stay one block; `split_fields` takes it apart for who wants to read it.
- Rare forms (absolute-form, authorities with unusual octets, other transfer codings) are not judged here:
  a flag sends the caller to `target`.
"""

import re
from typing import Final, NoReturn, TypeAlias

from vivace._build import PURE
from vivace.wire import refusal
from vivace.wire.field import TCHAR, TEXT
from vivace.wire.refusal import refuse

__all__ = [
    "ABSOLUTE",
    "CHUNKED",
    "EXPECT_CONTINUE",
    "KEEP_ALIVE",
    "MAX_LENGTH",
    "ODD_CODING",
    "ODD_HOST",
    "RARE",
    "UPGRADE",
    "ParsedHead",
    "parse_head",
    "split_fields",
]

CHUNKED: Final = 1
KEEP_ALIVE: Final = 2
EXPECT_CONTINUE: Final = 4
UPGRADE: Final = 8
ABSOLUTE: Final = 16
ODD_HOST: Final = 32
ODD_CODING: Final = 64
RARE: Final = ABSOLUTE | ODD_HOST | ODD_CODING
"""The flags that mean: `target` has to judge before the head is taken."""

ParsedHead: TypeAlias = tuple[int, str, bytes, bytes, bytes, int, int, int, bytes, bytes]
"""End offset, method, target, path, query, minor version, flags, content length or -1, host, field block.

The block holds the field lines with their line ends, without the empty line. With the flag `ABSOLUTE` the
path is the whole target and the query is empty.
"""

MAX_METHOD: Final = 32
MAX_EMPTY_LINES: Final = 8
MAX_LENGTH: Final = (1 << 63) - 1

_URI: Final = rb"[!\x22\x24-\x7e]"
_HEAD: Final = re.compile(
    rb"(%b{1,32}+) (/%b*+) HTTP/1\.([0-9])\r\n((?:%b++:%b*+\r\n)*+)\r\n" % (TCHAR, _URI, TCHAR, TEXT)
)
_METHOD: Final = re.compile(rb"%b{0,33}+" % TCHAR)
_TARGET: Final = re.compile(rb"%b*+" % _URI)
_NAME: Final = re.compile(rb"%b*+" % TCHAR)
_VALUE: Final = re.compile(rb"%b*+" % TEXT)
_DIGITS: Final = re.compile(rb"[0-9]++")
_PLAIN_HOST: Final = re.compile(
    rb"[A-Za-z0-9._-]++(?::(?:[0-9]{0,4}|[0-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?"
)
_NOTED: Final = re.compile(
    rb"\n(?i:(host|connection|content-length|content-type|transfer-encoding|expect|upgrade|authorization|date"
    rb"|if-(?:match|none-match|modified-since|unmodified-since|range))):[ \t]*+([^\r]*)"
)
_SINGLE: Final = frozenset(
    (
        b"authorization",
        b"content-length",
        b"content-type",
        b"date",
        b"host",
        b"if-match",
        b"if-modified-since",
        b"if-none-match",
        b"if-range",
        b"if-unmodified-since",
    )
)
_METHODS: Final[dict[bytes, str]] = {
    name.encode(): name
    for name in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "CONNECT", "TRACE", "PRI")
}
_REFUSED_METHODS: Final = ("CONNECT", "TRACE")

_Noted = list[tuple[bytes, bytes]]


def parse_head(data: bytes, start: int, max_line: int, max_head: int, max_fields: int) -> ParsedHead | None:
    """Parse the head of a request.

    Up to eight empty lines before it are skipped (RFC 9112 section 2.2).

    Args:
        data: What was received.
        start: The offset at which the message begins.
        max_line: Octets of the request line and of each field line at most, without CR LF.
        max_head: Octets of the whole head at most, with its last CR LF, without empty lines before it.
        max_fields: Field lines at most.

    Returns:
        None if all that is there may be the beginning of a head, else its parts.

    Raises:
        RemoteProtocolError: At the first octet that cannot be part of a head: 400; 414 or 431 over a limit;
            417 for an unknown expectation; 501 for methods, 505 for versions that are not spoken.
    """
    whole = _HEAD.match(data, start)
    if whole is None or whole.end() - start > min(max_line, max_head):
        return _parse_carefully(data, start, max_line, max_head, max_fields)
    name, target, minor, block = whole.groups()
    method = _METHODS.get(name) or name.decode("ascii")
    first = whole.start(4)
    if block.count(b"\n") > max_fields or method in _REFUSED_METHODS:
        return _parse_carefully(data, start, max_line, max_head, max_fields)
    noted = _NOTED.findall(data, first - 1, whole.end(4))
    if (
        len(noted) == 1
        and minor != b"0"
        and noted[0][0].lower() == b"host"
        and _PLAIN_HOST.fullmatch(noted[0][1])
    ):
        flags, length, host = KEEP_ALIVE, -1, noted[0][1]
    else:
        flags, length, host = _judge(noted, int(minor), method)
    path, _, query = target.partition(b"?")
    return whole.end(), method, target, path, query, int(minor), flags, length, host, block


class _Scan:
    """Where the careful parser is, and the limits that act there."""

    __slots__ = ("data", "line", "max_fields", "max_head", "max_line", "start")

    def __init__(self, data: bytes, start: int, max_line: int, max_head: int, max_fields: int) -> None:
        self.data = data
        self.line = self.start = start
        self.max_line = max_line
        self.max_head = max_head
        self.max_fields = max_fields

    def stop(self, at: int, reason: int) -> bool:
        """Refuse the octet at `at`, by a limit or for `reason`; False if it has not come yet."""
        size = at - self.line
        if size > self.max_line or at - self.start >= self.max_head:
            self.refuse_long(at)
        if at >= len(self.data):
            return False
        octet = self.data[at]
        if size == self.max_line and octet != 0x0D:
            self.refuse_long(at)
        return refuse(refusal.LINE_END if octet in b"\r\n" else reason, self.data, at)

    def refuse_long(self, at: int) -> NoReturn:
        refuse(refusal.TARGET_LONG if self.line == self.start else refusal.FIELD_LONG, self.data, at)

    def end_line(self, at: int, reason: int) -> bool:
        """Go behind the CR LF that must stand at `at`; False if it has not come yet."""
        data = self.data
        if data[at : at + 1] != b"\r" or at - self.line > self.max_line or at - self.start >= self.max_head:
            return self.stop(at, reason)
        if at + 1 - self.start >= self.max_head:
            self.refuse_long(at + 1)
        if at + 1 >= len(data):
            return False
        if data[at + 1] != 0x0A:
            refuse(refusal.LINE_END, data, at)
        self.line = at + 2
        return True


def _parse_carefully(
    data: bytes, start: int, max_line: int, max_head: int, max_fields: int
) -> ParsedHead | None:
    """The same, octet by octet: for heads that are incomplete, wrong or of a rare form."""
    begin = _skip_empty_lines(data, start)
    if begin < 0:
        return None
    scan = _Scan(data, begin, max_line, max_head, max_fields)
    line = _read_request_line(scan)
    if line is None:
        return None
    method, target, minor = line
    first = scan.line
    last = _read_fields(scan, minor)
    if last < 0:
        return None
    noted = _NOTED.findall(data, first - 1, last)
    flags, length, host = _judge(noted, minor, method)
    path, query = target, b""
    if target[:1] == b"/":
        path, _, query = target.partition(b"?")
    elif target != b"*":
        flags |= ABSOLUTE
    return scan.line, method, target, path, query, minor, flags, length, host, data[first:last]


def _skip_empty_lines(data: bytes, start: int) -> int:
    at = start
    while data[at : at + 1] in (b"\r", b"\n"):
        if data[at] == 0x0A or (data[at + 1 : at + 2] or b"\n") != b"\n":
            refuse(refusal.LINE_END, data, at)
        if at - start >= 2 * MAX_EMPTY_LINES:
            refuse(refusal.EMPTY_LINES, data, at)
        at += 2
    return at if at < len(data) else -1


def _read_request_line(scan: _Scan) -> tuple[str, bytes, int] | None:
    data = scan.data
    begin = scan.line
    at = _METHOD.match(data, begin).end()  # type: ignore[union-attr]  # an empty match is one too
    if at - begin > MAX_METHOD:
        refuse(refusal.METHOD_LONG, data, at - 1)
    if data[at : at + 1] != b" " or at == begin:
        scan.stop(at, refusal.METHOD_OCTET)
        return None
    method = _METHODS.get(data[begin:at]) or data[begin:at].decode("ascii")
    if method in _REFUSED_METHODS:
        refuse(refusal.METHOD_UNSUPPORTED, data, at)
    begin = at + 1
    form = data[begin : begin + 1]
    if form not in (b"", b"/", b"*") and not form.isalpha() and _TARGET.fullmatch(form):
        scan.stop(begin, refusal.TARGET_FORM)
    at = _TARGET.match(data, begin).end()  # type: ignore[union-attr]
    if data[at : at + 1] != b" " or at == begin:
        scan.stop(at, refusal.TARGET_OCTET)
        return None
    minor = _read_version(scan, at + 1)
    if minor < 0:
        return None
    if form == b"*" and (at - begin > 1 or method != "OPTIONS"):
        scan.stop(at + 8, refusal.TARGET_FORM)
    if not scan.end_line(at + 9, refusal.VERSION):
        return None
    return method, data[begin:at], minor


def _read_version(scan: _Scan, begin: int) -> int:
    """The minor version; -1 if it has not come yet."""
    version = scan.data[begin : begin + 8]
    for i, octet in enumerate(version):
        expected = b"0123456789" if i in (5, 7) else b"HTTP/1.1"[i : i + 1]
        if octet not in expected:
            scan.stop(begin + i, refusal.VERSION)
    if len(version) < 8:
        scan.stop(begin + len(version), refusal.VERSION)
        return -1
    if version[5] != 0x31:
        scan.stop(begin + 7, refusal.VERSION_UNSUPPORTED)
    return version[7] - 0x30


def _read_fields(scan: _Scan, minor: int) -> int:
    """Read the field lines and the empty line; the offset of the latter, -1 if it has not come yet."""
    data = scan.data
    first = scan.line
    count = 0
    while True:
        begin = scan.line
        if data[begin : begin + 1] in (b"\r", b""):
            return begin if scan.end_line(begin, refusal.LINE_END) else -1
        count += 1
        if count > scan.max_fields:
            scan.stop(begin, refusal.FIELDS_MANY)
        at = _NAME.match(data, begin).end()  # type: ignore[union-attr]
        if at == begin:
            octet = data[at]
            white = refusal.FOLDED if octet in b" \t" else refusal.NAME_OCTET
            scan.stop(at, refusal.NAME_EMPTY if octet == 0x3A else white)
        if data[at : at + 1] != b":":
            scan.stop(at, refusal.NAME_OCTET)
            return -1
        at = _VALUE.match(data, at + 1).end()  # type: ignore[union-attr]
        if not scan.end_line(at, refusal.VALUE_OCTET):
            return -1
        noted = _NOTED.findall(data, first - 1, at)
        if noted and _NOTED.match(data, begin - 1, at):
            _judge_fields(noted, minor)


def _judge(noted: _Noted, minor: int, method: str) -> tuple[int, int, bytes]:
    """What the fields that frame a message say together: flags, content length, host."""
    flags, length, host = _judge_fields(noted, minor)
    if host is None:
        if minor:
            refuse(refusal.HOST_MISSING)
        host = b""
    if flags & (CHUNKED | ODD_CODING):
        if not minor:
            refuse(refusal.CODING_TOO_OLD)
        if length >= 0:
            refuse(refusal.LENGTH_AND_CODING)
    has_body = length > 0 or flags & (CHUNKED | ODD_CODING)
    if has_body or method != "GET" or not minor:
        flags &= ~UPGRADE
    if not (has_body and minor):
        flags &= ~EXPECT_CONTINUE
    return flags, length, host


def _judge_fields(noted: _Noted, minor: int) -> tuple[int, int, bytes | None]:
    """What each of them says, in their order."""
    flags = 0
    length = -1
    host = None
    tokens: set[bytes] = set()
    seen: set[bytes] = set()
    for raw_name, raw_value in noted:
        name = raw_name.lower()
        value = raw_value.rstrip(b" \t")
        if name in seen and name in _SINGLE:
            refuse(refusal.REPEATED)
        if name == b"host":
            host = value
            flags |= _judge_host(value)
        elif name == b"connection":
            tokens.update(token.strip(b" \t").lower() for token in value.split(b","))
        elif name == b"content-length":
            length = _read_length(value)
        elif name == b"transfer-encoding":
            plain = name not in seen and value.lower() == b"chunked"
            flags |= CHUNKED if plain else ODD_CODING
        elif name == b"expect" and minor:
            if value.lower() != b"100-continue":
                refuse(refusal.EXPECTATION)
            flags |= EXPECT_CONTINUE
        seen.add(name)
    if b"close" not in tokens and (minor or b"keep-alive" in tokens):
        flags |= KEEP_ALIVE
    if b"upgrade" in tokens and b"upgrade" in seen:
        flags |= UPGRADE
    return flags, length, host


def _judge_host(value: bytes) -> int:
    if not value:
        refuse(refusal.HOST_BAD)
    return 0 if _PLAIN_HOST.fullmatch(value) else ODD_HOST


def _read_length(value: bytes) -> int:
    if not _DIGITS.fullmatch(value):
        refuse(refusal.LENGTH_BAD)
    digits = value.lstrip(b"0") or b"0"
    if len(digits) > 19 or int(digits) > MAX_LENGTH:
        refuse(refusal.LENGTH_HUGE)
    return int(digits)


def split_fields(block: bytes) -> list[tuple[bytes, bytes]]:
    """Take a validated block of field lines apart: lower-case names, values without white space around."""
    found = []
    for line in block.split(b"\r\n"):
        name, colon, value = line.partition(b":")
        if colon:
            found.append((name.lower(), value.strip(b" \t")))
    return found


py_parse_head = parse_head
py_split_fields = split_fields
"""The definitions, whatever build runs: for the tests that compare the two."""

if not PURE:
    try:
        from vivace.wire._head import parse_head, split_fields
    except ImportError:
        pass
