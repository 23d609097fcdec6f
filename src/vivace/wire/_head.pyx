# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, binding=False
"""The compiled twin of `head`: the same values, the same refusals in the same order, in one pass.

Rules of this file:

- Nothing is kept between two calls, and no pointer outlives one. Nothing of ours is called but `refuse`.
- `end` is the first octet that may not be read; every read is behind a comparison with it.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.object cimport PyObject
from cpython.unicode cimport PyUnicode_DecodeASCII
from libc.stdint cimport int64_t
from libc.string cimport memchr, memcmp

from vivace.wire.known import NAMES as _NAMES
from vivace.wire.known cimport SLOTS, Known, known, learn
from vivace.wire.octets cimport Octets, is_blank, is_digit, is_host, is_tchar, is_uri, same, skip_tchars, skip_text, trim
from vivace.wire.refusal import refuse

# As numbers of C, for the calls that are made on every line.
cdef int CODING_TOO_OLD, EMPTY_LINES, EXPECTATION, FIELDS_MANY, FIELD_LONG, FOLDED, HOST_BAD, HOST_MISSING
cdef int LENGTH_AND_CODING, LENGTH_BAD, LENGTH_HUGE, LINE_END, METHOD_LONG, METHOD_OCTET, METHOD_UNSUPPORTED
cdef int NAME_EMPTY, NAME_OCTET, REPEATED, TARGET_FORM, TARGET_LONG, TARGET_OCTET, VALUE_OCTET, VERSION
cdef int VERSION_UNSUPPORTED
from vivace.wire.refusal import (
    CODING_TOO_OLD, EMPTY_LINES, EXPECTATION, FIELDS_MANY, FIELD_LONG, FOLDED, HOST_BAD, HOST_MISSING,
    LENGTH_AND_CODING, LENGTH_BAD, LENGTH_HUGE, LINE_END, METHOD_LONG, METHOD_OCTET, METHOD_UNSUPPORTED,
    NAME_EMPTY, NAME_OCTET, REPEATED, TARGET_FORM, TARGET_LONG, TARGET_OCTET, VALUE_OCTET, VERSION,
    VERSION_UNSUPPORTED,
)

cdef enum Flag:
    CHUNKED = 1
    KEEP_ALIVE = 2
    EXPECT_CONTINUE = 4
    UPGRADE = 8
    ABSOLUTE = 16
    ODD_HOST = 32
    ODD_CODING = 64

cdef enum Noted:
    SAW_HOST = 1
    SAW_LENGTH = 2
    SAW_CODING = 4
    SAW_UPGRADE = 8
    SAW_TYPE = 16
    SAW_AUTHORIZATION = 32
    SAW_DATE = 64
    SAW_IF_MATCH = 128
    SAW_IF_NONE_MATCH = 256
    SAW_IF_MODIFIED = 512
    SAW_IF_UNMODIFIED = 1024
    SAW_IF_RANGE = 2048
    SAYS_CLOSE = 4096
    SAYS_KEEP_ALIVE = 8192
    SAYS_UPGRADE = 16384

cdef struct Scan:
    Octets base
    Octets end
    Octets start            # of the head
    Octets line             # of the line that is being read
    Py_ssize_t max_line
    Py_ssize_t max_head
    Octets host
    Py_ssize_t host_size
    int64_t length
    unsigned int seen
    unsigned int flags
    int minor

cdef int64_t MAX_LENGTH = 0x7FFFFFFFFFFFFFFF
cdef bytes NOTHING = b""


# -- refusing -----------------------------------------------------------------------------------------------

cdef int refuse_at(Scan* s, Octets p, int reason) except -1:
    refuse(reason, PyBytes_FromStringAndSize(<char*>s.base, s.end - s.base), p - s.base)
    return -1


cdef int refuse_field(int reason) except -1:
    refuse(reason)
    return -1


cdef int refuse_long(Scan* s, Octets p) except -1:
    return refuse_at(s, p, TARGET_LONG if s.line == s.start else FIELD_LONG)


cdef int stop(Scan* s, Octets p, int reason) except -1:
    """Refuse the octet at `p`, by a limit or for `reason`; 0 if it has not come yet."""
    if p - s.line > s.max_line or p - s.start >= s.max_head:
        return refuse_long(s, p)
    if p >= s.end:
        return 0
    if p - s.line == s.max_line and p[0] != 13:
        return refuse_long(s, p)
    return refuse_at(s, p, LINE_END if p[0] == 13 or p[0] == 10 else reason)


cdef int end_line(Scan* s, Octets p, int reason) except -1:
    """Go behind the CR LF that must stand at `p`; 0 if it has not come yet."""
    if p >= s.end or p[0] != 13 or p - s.line > s.max_line or p - s.start >= s.max_head:
        return stop(s, p, reason)
    if p + 1 - s.start >= s.max_head:
        return refuse_long(s, p + 1)
    if p + 1 >= s.end:
        return 0
    if p[1] != 10:
        return refuse_at(s, p, LINE_END)
    s.line = p + 2
    return 1


# -- scanning -----------------------------------------------------------------------------------------------

cdef object method_of(Octets p, Py_ssize_t n):
    if n == 3:
        if memcmp(p, b"GET", 3) == 0:
            return "GET"
        if memcmp(p, b"PUT", 3) == 0:
            return "PUT"
    elif n == 4:
        if memcmp(p, b"POST", 4) == 0:
            return "POST"
        if memcmp(p, b"HEAD", 4) == 0:
            return "HEAD"
    elif n == 5 and memcmp(p, b"PATCH", 5) == 0:
        return "PATCH"
    elif n == 6 and memcmp(p, b"DELETE", 6) == 0:
        return "DELETE"
    elif n == 7 and memcmp(p, b"OPTIONS", 7) == 0:
        return "OPTIONS"
    return PyUnicode_DecodeASCII(<char*>p, n, NULL)


cdef int skip_empty_lines(Scan* s) except -1:
    """Set where the head starts; 0 if nothing of it has come yet."""
    cdef Octets p = s.start
    while p < s.end and (p[0] == 13 or p[0] == 10):
        if p[0] == 10 or (p + 1 < s.end and p[1] != 10):
            return refuse_at(s, p, LINE_END)
        if p - s.start >= 16:
            return refuse_at(s, p, EMPTY_LINES)
        p += 2
    s.start = s.line = p
    return p < s.end


cdef int read_version(Scan* s, Octets p) except -1:
    """Read ``HTTP/1.x``; 0 if it has not come yet."""
    cdef int i
    for i in range(8):
        if p + i >= s.end:
            return stop(s, p + i, VERSION)
        if (p[i] < 0x30 or p[i] > 0x39) if i == 5 or i == 7 else p[i] != <unsigned char>(b"HTTP/1.1"[i]):
            return stop(s, p + i, VERSION)
    if p[5] != 0x31:
        return stop(s, p + 7, VERSION_UNSUPPORTED)
    s.minor = p[7] - 0x30
    return 1


# -- the fields that frame a message --------------------------------------------------------------------------

cdef int see(Scan* s, unsigned int noted) except -1:
    """Note a field that may stand once."""
    if s.seen & noted:
        return refuse_field(REPEATED)
    s.seen |= noted
    return 0


cdef int note_host(Scan* s, Octets p, Octets end) except -1:
    see(s, SAW_HOST)
    if p == end:
        return refuse_field(HOST_BAD)
    s.host = p
    s.host_size = end - p
    cdef Octets begin
    cdef int port = 0
    while p < end and is_host(p[0]):
        p += 1
    if p < end and p[0] == 0x3A and p > s.host:
        p += 1
        begin = p
        while p < end and is_digit(p[0]) and p - begin < 5:
            port = port * 10 + (p[0] - 0x30)
            p += 1
    if p < end or port > 65535:
        s.flags |= ODD_HOST
    return 0


cdef int note_length(Scan* s, Octets p, Octets end) except -1:
    see(s, SAW_LENGTH)
    cdef Octets q = p
    cdef int64_t length = 0
    cdef bint huge = False
    while q < end and is_digit(q[0]):
        if length > (MAX_LENGTH - (q[0] - 0x30)) // 10:
            huge = True
            length = 0
        length = length * 10 + (q[0] - 0x30)
        q += 1
    if q == p or q < end:
        return refuse_field(LENGTH_BAD)
    if huge:
        return refuse_field(LENGTH_HUGE)
    s.length = length
    return 0


cdef void note_connection(Scan* s, Octets p, Octets end) noexcept nogil:
    cdef Octets comma
    cdef Octets last
    while p < end:
        comma = <Octets>memchr(p, 0x2C, end - p)
        if comma == NULL:
            comma = end
        last = comma
        trim(&p, &last)
        if last - p == 5 and same(p, "close", 5):
            s.seen |= SAYS_CLOSE
        elif last - p == 10 and same(p, "keep-alive", 10):
            s.seen |= SAYS_KEEP_ALIVE
        elif last - p == 7 and same(p, "upgrade", 7):
            s.seen |= SAYS_UPGRADE
        p = comma + 1


cdef int note_coding(Scan* s, Octets p, Octets end) except -1:
    if end - p == 7 and not s.seen & SAW_CODING and same(p, "chunked", 7):
        s.flags |= CHUNKED
    else:
        s.flags |= ODD_CODING
    s.seen |= SAW_CODING
    return 0


cdef int note_expectation(Scan* s, Octets p, Octets end) except -1:
    if s.minor == 0:
        return 0
    if end - p != 12 or not same(p, "100-continue", 12):
        return refuse_field(EXPECTATION)
    s.flags |= EXPECT_CONTINUE
    return 0


cdef int note_field(Scan* s, Octets name, Py_ssize_t n, Octets p, Octets end) except -1:
    """Judge a field if it is one that frames the message or may stand once; `p` to `end` is its value with OWS."""
    trim(&p, &end)
    if n == 4:
        if same(name, "host", 4):
            return note_host(s, p, end)
        if same(name, "date", 4):
            return see(s, SAW_DATE)
    elif n == 6 and same(name, "expect", 6):
        return note_expectation(s, p, end)
    elif n == 7 and same(name, "upgrade", 7):
        s.seen |= SAW_UPGRADE
    elif n == 8 and same(name, "if-", 3):
        if same(name, "if-match", 8):
            return see(s, SAW_IF_MATCH)
        if same(name, "if-range", 8):
            return see(s, SAW_IF_RANGE)
    elif n == 10 and same(name, "connection", 10):
        note_connection(s, p, end)
    elif n == 12 and same(name, "content-type", 12):
        return see(s, SAW_TYPE)
    elif n == 13 and same(name, "authorization", 13):
        return see(s, SAW_AUTHORIZATION)
    elif n == 13 and same(name, "if-none-match", 13):
        return see(s, SAW_IF_NONE_MATCH)
    elif n == 14 and same(name, "content-length", 14):
        return note_length(s, p, end)
    elif n == 17 and same(name, "transfer-encoding", 17):
        return note_coding(s, p, end)
    elif n == 17 and same(name, "if-modified-since", 17):
        return see(s, SAW_IF_MODIFIED)
    elif n == 19 and same(name, "if-unmodified-since", 19):
        return see(s, SAW_IF_UNMODIFIED)
    return 0


# -- the whole ----------------------------------------------------------------------------------------------

cdef int judge(Scan* s, bint is_get) except -1:
    """What these fields say together."""
    cdef bint has_body
    if not s.seen & SAW_HOST and s.minor:
        return refuse_field(HOST_MISSING)
    if s.seen & SAW_CODING:
        if s.minor == 0:
            return refuse_field(CODING_TOO_OLD)
        if s.seen & SAW_LENGTH:
            return refuse_field(LENGTH_AND_CODING)
    has_body = s.length > 0 or s.seen & SAW_CODING
    if not s.seen & SAYS_CLOSE and (s.minor or s.seen & SAYS_KEEP_ALIVE):
        s.flags |= KEEP_ALIVE
    if s.seen & SAYS_UPGRADE and s.seen & SAW_UPGRADE and is_get and s.minor and not has_body:
        s.flags |= UPGRADE
    if not (has_body and s.minor):
        s.flags &= ~<unsigned int>EXPECT_CONTINUE
    return 0


cdef object read_method(Scan* s):
    """The method, with `s.line` left where it was; None if it has not come yet."""
    cdef Octets p = s.line
    while p < s.end and is_tchar(p[0]) and p - s.line < 33:
        p += 1
    if p - s.line == 33:
        refuse_at(s, p - 1, METHOD_LONG)
    if p >= s.end or p[0] != 32 or p == s.line:
        stop(s, p, METHOD_OCTET)
        return None
    if p - s.line == 7 and memcmp(s.line, b"CONNECT", 7) == 0 or p - s.line == 5 and memcmp(s.line, b"TRACE", 5) == 0:
        refuse_at(s, p, METHOD_UNSUPPORTED)
    return method_of(s.line, p - s.line)


cdef Octets read_target(Scan* s, Octets p) except? NULL:
    """The space behind the target that starts at `p`; NULL if it has not come yet."""
    cdef Octets begin = p
    if p < s.end and is_uri(p[0]) and p[0] != 0x2F and p[0] != 0x2A:
        if not 0x61 <= (p[0] | 0x20) <= 0x7A:
            stop(s, p, TARGET_FORM)
    while p < s.end and is_uri(p[0]):
        p += 1
    if p >= s.end or p[0] != 32 or p == begin:
        stop(s, p, TARGET_OCTET)
        return NULL
    return p


cdef int read_fields(Scan* s, Py_ssize_t max_fields) except -1:
    """Read field lines up to the empty line, and that; 0 if it has not come yet."""
    cdef Octets p
    cdef Octets name
    cdef Octets value
    cdef Py_ssize_t count = 0
    while True:
        name = p = s.line
        if p >= s.end or p[0] == 13:
            return end_line(s, p, LINE_END)
        count += 1
        if count > max_fields:
            return stop(s, p, FIELDS_MANY)
        p = skip_tchars(p, s.end)
        if p == name:
            if is_blank(p[0]):
                return stop(s, p, FOLDED)
            return stop(s, p, NAME_EMPTY if p[0] == 0x3A else NAME_OCTET)
        if p >= s.end or p[0] != 0x3A:
            return stop(s, p, NAME_OCTET)
        value = p + 1
        p = skip_text(value, s.end)
        if not end_line(s, p, VALUE_OCTET):
            return 0
        note_field(s, name, value - 1 - name, value, p)


cdef inline bytes cut(Octets p, Octets end):
    return PyBytes_FromStringAndSize(<char*>p, end - p)


def parse_head(bytes data not None, Py_ssize_t start, Py_ssize_t max_line, Py_ssize_t max_head, Py_ssize_t max_fields):
    """See `head.parse_head`."""
    cdef Scan s
    cdef Octets at
    cdef Octets mark
    cdef Octets first
    cdef Octets split
    cdef bytes target, path, query
    if not 0 <= start <= PyBytes_GET_SIZE(data):
        raise ValueError("start lies outside of data")
    s.base = <Octets>PyBytes_AS_STRING(data)
    s.end = s.base + PyBytes_GET_SIZE(data)
    s.start = s.base + start
    s.max_line, s.max_head = max_line, max_head
    s.host, s.host_size, s.length, s.seen, s.flags, s.minor = s.base, 0, -1, 0, 0, 0
    if not skip_empty_lines(&s):
        return None
    method = read_method(&s)
    if method is None:
        return None
    mark = s.start + len(<str>method) + 1
    at = read_target(&s, mark)
    if at == NULL or not read_version(&s, at + 1):
        return None
    if mark[0] == 0x2A and (at - mark > 1 or method != "OPTIONS"):
        stop(&s, at + 8, TARGET_FORM)
    if not end_line(&s, at + 9, VERSION):
        return None
    first = s.line
    if not read_fields(&s, max_fields):
        return None
    judge(&s, method == "GET")
    target = path = cut(mark, at)
    query = NOTHING
    if mark[0] != 0x2F:
        s.flags |= 0 if mark[0] == 0x2A else ABSOLUTE
    else:
        split = <Octets>memchr(mark, 0x3F, at - mark)
        if split != NULL:
            path = cut(mark, split)
            query = cut(split + 1, at)
    return (
        s.line - s.base, method, target, path, query, s.minor, s.flags, s.length,
        cut(s.host, s.host + s.host_size), cut(first, s.line - 2),
    )


def split_fields(bytes block not None):
    """See `head.split_fields`."""
    cdef Octets p = <Octets>PyBytes_AS_STRING(block)
    cdef Octets end = p + PyBytes_GET_SIZE(block)
    cdef Octets line_end
    cdef Octets colon
    cdef Octets last
    cdef PyObject* name
    cdef list found = []
    while p < end:
        line_end = <Octets>memchr(p, 13, end - p)
        if line_end == NULL:
            line_end = end
        colon = <Octets>memchr(p, 0x3A, line_end - p)
        if colon != NULL:
            name = known(NAMES_TABLE, p, colon - p)
            lower = <bytes>name if name != NULL else lowered(p, colon - p)
            p = colon + 1
            last = line_end
            trim(&p, &last)
            found.append((lower, cut(p, last)))
        p = line_end + 2
    return found


cdef bytes lowered(Octets p, Py_ssize_t n):
    cdef bytes name = PyBytes_FromStringAndSize(NULL, n)
    cdef char* lower = PyBytes_AS_STRING(name)
    cdef Py_ssize_t i
    for i in range(n):
        lower[i] = p[i] | 0x20 if 0x41 <= p[i] <= 0x5A else p[i]
    return name


cdef Known[SLOTS] NAMES_TABLE
for _name in _NAMES:
    learn(NAMES_TABLE, _name, _name)
