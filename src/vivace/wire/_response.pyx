# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, binding=False
"""The compiled twin of `response`: the same octets, the same refusals.

Rules of this file:

- The fields are walked twice: measured, then copied. They are in tuples by then, so that what was measured
  is what is copied, whatever else runs in between.
- There are no buffers of fixed size. What is rare or refused is left to `field`, in Python.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.tuple cimport PyTuple_CheckExact, PyTuple_GET_SIZE
from libc.stdint cimport int64_t
from libc.string cimport memcpy

from vivace.errors import LocalProtocolError
from vivace.wire.field import check_coding, check_field, closes_connection
from vivace.wire.octets cimport Octets, is_digit, same, skip_tchars, skip_text, trim

cdef enum:
    CLOSE = 1
    KEEP_ALIVE = 2

cdef enum Framing:
    WITH_LENGTH = 0
    WITH_CHUNKS = 1
    WITH_NO_END = 2
    WITH_LENGTH_OF_GET = 3
    WITH_LENGTH_OF_APP = 4
    WITH_NOTHING = 5

cdef enum Ours:
    NONE = 0
    LENGTH = 1
    CODING = 2
    DATE = 3
    CONNECTION = 4

cdef struct Out:
    int64_t said
    bint dated
    bint closes

cdef inline bint is_legal(bytes name, bytes value) noexcept:
    """See `field.check_field`."""
    cdef Octets p = <Octets>PyBytes_AS_STRING(name)
    cdef Octets end = p + PyBytes_GET_SIZE(name)
    if p == end or skip_tchars(p, end) < end:
        return False
    p = <Octets>PyBytes_AS_STRING(value)
    end = p + PyBytes_GET_SIZE(value)
    return skip_text(p, end) == end


cdef inline Ours which(bytes name) noexcept:
    """Whether the field is one that the server has a say in; `name` is a token."""
    cdef Octets p = <Octets>PyBytes_AS_STRING(name)
    cdef Py_ssize_t n = PyBytes_GET_SIZE(name)
    if n == 14 and same(p, "content-length", 14):
        return LENGTH
    if n == 4 and same(p, "date", 4):
        return DATE
    if n == 10 and same(p, "connection", 10):
        return CONNECTION
    if n == 17 and same(p, "transfer-encoding", 17):
        return CODING
    return NONE


cdef bint is_only_ours(bytes value) noexcept:
    """See `field.is_only_ours`."""
    cdef Octets p = <Octets>PyBytes_AS_STRING(value)
    cdef Octets end = p + PyBytes_GET_SIZE(value)
    trim(&p, &end)
    return (end - p == 5 and same(p, "close", 5)) or (end - p == 10 and same(p, "keep-alive", 10))


cdef int64_t read_length(bytes value, int64_t said) except -1:
    cdef Octets p = <Octets>PyBytes_AS_STRING(value)
    cdef Py_ssize_t i, n = PyBytes_GET_SIZE(value)
    cdef int64_t found = 0
    for i in range(n if n <= 18 else 0):
        if not is_digit(p[i]):
            n = 0
            break
        found = found * 10 + (p[i] - 0x30)
    if not 0 < n <= 18:
        raise LocalProtocolError(f"Content-Length {value!r} is not a number of octets")
    if said >= 0:
        raise LocalProtocolError("Content-Length is given twice")
    return found


cdef Py_ssize_t measure(tuple fields, Out* out) except -1:
    """Validate the fields; the octets that they will take."""
    cdef Py_ssize_t size = 0
    cdef Ours ours
    cdef bytes name, value
    for pair in fields:
        name, value = (<tuple>pair)[0], (<tuple>pair)[1]
        if not is_legal(name, value):
            check_field(name, value)
        ours = which(name)
        if ours == LENGTH:
            out.said = read_length(value, out.said)
            continue
        if ours == CODING:
            check_coding(value)
            continue
        if ours == DATE:
            out.dated = True
        elif ours == CONNECTION:
            if closes_connection(value):
                out.closes = True
            if is_only_ours(value):
                continue
        size += PyBytes_GET_SIZE(name) + PyBytes_GET_SIZE(value) + 4
    return size


cdef int64_t choose_length(int framing, int64_t said, int64_t length) except -2:
    if framing == WITH_LENGTH:
        if said >= 0 and said != length:
            raise LocalProtocolError(f"Content-Length is {said} and the content has {length} octets")
        return length
    if framing == WITH_LENGTH_OF_GET and said < 0 and length > 0:
        return length
    return -1 if framing == WITH_NOTHING else said


cdef inline char* put(char* at, const char* what, Py_ssize_t size) noexcept nogil:
    memcpy(at, what, size)
    return at + size


cdef char* put_bytes(char* at, bytes what) noexcept:
    return put(at, PyBytes_AS_STRING(what), PyBytes_GET_SIZE(what))


cdef char* put_fields(char* at, tuple fields) noexcept:
    cdef Ours ours
    cdef bytes name, value
    for pair in fields:
        name, value = <bytes>(<tuple>pair)[0], <bytes>(<tuple>pair)[1]
        ours = which(name)
        if ours == LENGTH or ours == CODING or (ours == CONNECTION and is_only_ours(value)):
            continue
        at = put(put_bytes(at, name), ": ", 2)
        at = put(put_bytes(at, value), "\r\n", 2)
    return at


cdef int digits_of(int64_t number) noexcept nogil:
    cdef int count = 1
    while number > 9:
        number //= 10
        count += 1
    return count


cdef char* put_length(char* at, int64_t number) noexcept nogil:
    at = put(at, "content-length: ", 16)
    cdef int i, count = digits_of(number)
    for i in range(count):
        at[count - 1 - i] = <char>(0x30 + number % 10)
        number //= 10
    return put(at + count, "\r\n", 2)


cdef tuple as_tuples(object fields):
    """The fields as a tuple of tuples of two bytes."""
    cdef tuple found = tuple(fields)
    for pair in found:
        if not (PyTuple_CheckExact(pair) and PyTuple_GET_SIZE(pair) == 2):
            return as_tuples([(name, value) for name, value in found])
        if not (PyBytes_CheckExact((<tuple>pair)[0]) and PyBytes_CheckExact((<tuple>pair)[1])):
            check_field((<tuple>pair)[0], (<tuple>pair)[1])
            return as_tuples([(bytes(name), bytes(value)) for name, value in found])
    return found


def render_head(
    bytes line not None, fields, bytes date not None, int connection, int framing, int64_t length, bytes body not None
):
    """See `response.render_head`."""
    cdef Out out
    cdef tuple pairs = as_tuples(fields)
    out.said, out.dated, out.closes = -1, False, connection == CLOSE
    cdef Py_ssize_t size = PyBytes_GET_SIZE(line) + measure(pairs, &out) + 2 + PyBytes_GET_SIZE(body)
    out.said = choose_length(framing, out.said, length)
    out.closes = out.closes or (framing == WITH_NO_END and out.said < 0)
    if not out.dated:
        size += PyBytes_GET_SIZE(date)
    if out.said >= 0:
        size += 18 + digits_of(out.said)
    elif framing == WITH_CHUNKS:
        size += 28
    if out.closes:
        size += 19
    elif connection == KEEP_ALIVE:
        size += 24
    cdef bytes whole = PyBytes_FromStringAndSize(NULL, size)
    cdef char* at = put_fields(put_bytes(PyBytes_AS_STRING(whole), line), pairs)
    if not out.dated:
        at = put_bytes(at, date)
    if out.said >= 0:
        at = put_length(at, out.said)
    elif framing == WITH_CHUNKS:
        at = put(at, "transfer-encoding: chunked\r\n", 28)
    if out.closes:
        at = put(at, "connection: close\r\n", 19)
    elif connection == KEEP_ALIVE:
        at = put(at, "connection: keep-alive\r\n", 24)
    at = put_bytes(put(at, "\r\n", 2), body)
    if at != PyBytes_AS_STRING(whole) + size:
        raise SystemError("the measure of a response head is wrong")
    return whole, out.said, out.closes
