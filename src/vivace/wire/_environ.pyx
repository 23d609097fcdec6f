# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, binding=False
"""The compiled twin of `environ`: the same keys and values, in one pass over the block.

Rules of this file:

- Keys of known names are made once, when the module is imported; nothing that a client sends is kept.
- `end` is the first octet that may not be read; every read is behind a comparison with it.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.object cimport PyObject
from cpython.unicode cimport PyUnicode_1BYTE_DATA, PyUnicode_DecodeLatin1, PyUnicode_New
from libc.string cimport memchr, memcpy

from vivace.wire.known import NAMES as _NAMES
from vivace.wire.known cimport SLOTS, Known, known, learn
from vivace.wire.octets cimport Octets, same, trim

cdef extern from "Python.h":
    PyObject* PyDict_SetDefault(object mapping, object key, object default) except NULL  # borrowed


cdef Known[SLOTS] KEYS
cdef str COOKIE = "HTTP_COOKIE"


cdef str key_of(Octets p, Py_ssize_t n):
    """The key of the name at `p`; None if its field is left out."""
    cdef Py_ssize_t prefix = 5
    if n == 5 and same(p, "proxy", 5) or memchr(p, 0x5F, n) != NULL:
        return None
    if n == 12 and same(p, "content-type", 12) or n == 14 and same(p, "content-length", 14):
        prefix = 0
    key = PyUnicode_New(prefix + n, 127)
    cdef unsigned char* out = <unsigned char*>PyUnicode_1BYTE_DATA(key)
    memcpy(out, <const char*>b"HTTP_", prefix)
    out += prefix
    cdef Py_ssize_t i
    for i in range(n):
        if 0x61 <= p[i] <= 0x7A:
            out[i] = p[i] - 0x20
        else:
            out[i] = 0x5F if p[i] == 0x2D else p[i]
    return key


cdef int add(dict environ, str key, str value) except -1:
    # Whether the key is new is seen by the number of keys: a value may be the same object as the one before.
    cdef Py_ssize_t size = len(environ)
    cdef PyObject* held = PyDict_SetDefault(environ, key, value)
    if len(environ) == size:
        environ[key] = f"{<object>held}{'; ' if key == COOKIE else ','}{value}"
    return 0


def add_fields(dict environ not None, bytes block not None):
    """See `environ.add_fields`."""
    cdef Octets p = <Octets>PyBytes_AS_STRING(block)
    cdef Octets end = p + PyBytes_GET_SIZE(block)
    cdef Octets line_end
    cdef Octets colon
    cdef Octets last
    cdef PyObject* made
    cdef str key
    while p < end:
        line_end = <Octets>memchr(p, 13, end - p)
        if line_end == NULL:
            line_end = end
        colon = <Octets>memchr(p, 0x3A, line_end - p)
        if colon != NULL:
            made = known(KEYS, p, colon - p)
            key = <str>made if made != NULL else key_of(p, colon - p)
            p = colon + 1
            last = line_end
            trim(&p, &last)
            if key is not None:
                add(environ, key, PyUnicode_DecodeLatin1(<char*>p, last - p, NULL))
        p = line_end + 2


for _name in _NAMES:
    learn(KEYS, _name, key_of(<Octets><const char*>_name, len(_name)))
