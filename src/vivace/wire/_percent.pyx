# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, binding=False
"""The compiled twin of `percent`: the same octets.

Rules of this file:

- The escapes are counted, then copied: the result has its size from the start. `end` is never read.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memchr

from vivace.wire.octets cimport Octets, is_digit


cdef inline int digit(unsigned char octet) noexcept nogil:
    """The value of a hexadecimal digit; -1 for another octet."""
    if is_digit(octet):
        return octet - 0x30
    octet |= 0x20
    return octet - 0x57 if 0x61 <= octet <= 0x66 else -1


cdef inline int escaped(Octets p, Octets end) noexcept nogil:
    """The octet that the escape at `p` stands for; -1 if there is none."""
    if p[0] != 0x25 or end - p < 3:
        return -1
    cdef int high = digit(p[1])
    cdef int low = digit(p[2])
    return -1 if high < 0 or low < 0 else high << 4 | low


cdef Py_ssize_t count(Octets p, Octets end) noexcept nogil:
    """How many escapes there are."""
    cdef Py_ssize_t found = 0
    while True:
        p = <Octets>memchr(p, 0x25, end - p)
        if p == NULL:
            return found
        if escaped(p, end) >= 0:
            found += 1
            p += 3
        else:
            p += 1


def unquote_octets(bytes octets not None):
    """See `percent.unquote_octets`."""
    cdef Octets p = <Octets>PyBytes_AS_STRING(octets)
    cdef Octets end = p + PyBytes_GET_SIZE(octets)
    cdef Py_ssize_t escapes = count(p, end)
    cdef bytes made
    cdef unsigned char* out
    cdef int octet
    if escapes == 0:
        return octets
    made = PyBytes_FromStringAndSize(NULL, end - p - 2 * escapes)
    out = <unsigned char*>PyBytes_AS_STRING(made)
    while p < end:
        octet = escaped(p, end)
        if octet < 0:
            out[0] = p[0]
            p += 1
        else:
            out[0] = octet
            p += 3
        out += 1
    return made
