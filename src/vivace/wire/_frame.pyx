# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, binding=False
"""The compiled twin of `frame`: the same values and the same refusals.

Rules of this file:

- Nothing is kept between two calls, and no pointer outlives one. Nothing of ours is called but `refuse_frame`.
- `end` is the first octet that may not be read; every read is behind a comparison with it.
- A text of ASCII, as most are, is unmasked into the object that is handed out, and seen to be ASCII on the way.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport uint64_t
from libc.string cimport memcpy

from vivace.wire.octets cimport Octets

cdef extern from "Python.h":
    const char* PyUnicode_AsUTF8AndSize(object text, Py_ssize_t* size) except NULL
    object PyUnicode_New(Py_ssize_t size, Py_UCS4 highest)
    void* PyUnicode_DATA(object text)

cdef int CONTROL_COMPRESSED, CONTROL_FRAGMENT, CONTROL_LONG, LENGTH_HUGE, LENGTH_NOT_MINIMAL, MASK_MISSING
cdef int MASK_UNWANTED, OPCODE_UNKNOWN, RESERVED_BIT
from vivace.wire.frame import (
    CONTROL_COMPRESSED, CONTROL_FRAGMENT, CONTROL_LONG, LENGTH_HUGE, LENGTH_NOT_MINIMAL, MASK_MISSING,
    MASK_UNWANTED, OPCODE_UNKNOWN, RESERVED_BIT, refuse_frame,
)

cdef enum:
    WHOLE_TEXT = 0x81
    WHOLE_BINARY = 0x82
    KEY_SIZE = 4

cdef uint64_t HIGH = <uint64_t>0x8080808080808080


cdef struct Frame:
    int first
    Py_ssize_t length
    Octets key
    Octets payload


# -- masking ------------------------------------------------------------------------------------------------


cdef uint64_t copy_masked(unsigned char* out, Octets p, Py_ssize_t size, Octets key, int phase) noexcept nogil:
    """Copy octets, exclusive-or the key; all of the results or-ed together, to see whether one is not ASCII."""
    cdef unsigned char pad[8]
    cdef uint64_t word, wide, seen = 0
    cdef Py_ssize_t i
    for i in range(8):
        pad[i] = key[(i + phase) & 3]
    memcpy(&wide, pad, 8)
    i = 0
    while i + 8 <= size:
        memcpy(&word, p + i, 8)
        word ^= wide
        seen |= word
        memcpy(out + i, &word, 8)
        i += 8
    while i < size:
        out[i] = p[i] ^ pad[i & 7]
        seen |= out[i]
        i += 1
    return seen


cdef Octets four(bytes key) except? NULL:
    """The octets of a key; NULL, without an error: there is none."""
    if PyBytes_GET_SIZE(key) == 0:
        return NULL
    if PyBytes_GET_SIZE(key) != KEY_SIZE:
        raise ValueError(f"a masking key has four octets, not {PyBytes_GET_SIZE(key)}")
    return <Octets>PyBytes_AS_STRING(key)


def mask(bytes data not None, bytes key not None, Py_ssize_t phase=0):
    """See `frame.mask`."""
    cdef Py_ssize_t size = PyBytes_GET_SIZE(data)
    cdef Octets octets = four(key)
    cdef bytes made
    if octets == NULL:
        raise ValueError("a masking key has four octets, not 0")
    if size == 0:
        return b""
    made = PyBytes_FromStringAndSize(NULL, size)
    copy_masked(<unsigned char*>PyBytes_AS_STRING(made), <Octets>PyBytes_AS_STRING(data), size, octets, phase & 3)
    return made


# -- reading ------------------------------------------------------------------------------------------------


cdef int check_first(int first, int reserved) except -1:
    """Refuse flags and opcodes as `frame._check_first` does."""
    cdef int opcode = first & 0x0F
    if first & 0x70 & ~reserved:
        refuse_frame(RESERVED_BIT)
    if opcode > 10 or 3 <= opcode <= 7:
        refuse_frame(OPCODE_UNKNOWN)
    if first & 0x70 and opcode != 1 and opcode != 2:
        refuse_frame(CONTROL_COMPRESSED)
    if opcode & 0x08 and not first & 0x80:
        refuse_frame(CONTROL_FRAGMENT)
    return 0


cdef inline uint64_t number(Octets p, int octets) noexcept nogil:
    """A number in network order."""
    cdef uint64_t value = 0
    cdef int i
    for i in range(octets):
        value = value << 8 | p[i]
    return value


cdef int parse_length(Octets p, Octets end, Frame* frame) noexcept nogil:
    """Read the length that stands behind two octets; its own octets, -1 if they have not come, -2 or -3 if bad."""
    cdef int octets = 0
    cdef uint64_t length = p[1] & 0x7F
    if length > 125:
        octets = 2 if length == 126 else 8
        if end - p < 2 + octets:
            return -1
        length = number(p + 2, octets)
        if length >> 63:
            return -2
        if length < <uint64_t>(126 if octets == 2 else 0x10000):
            return -3
    frame.length = length
    return octets


cdef int parse(Octets p, Octets end, int reserved, bint masked, Frame* frame) except -1:
    """Parse the head at `p`; 0 if it has not come yet."""
    cdef int octets
    if p >= end:
        return 0
    check_first(p[0], reserved)
    if end - p < 2:
        return 0
    if p[1] >> 7 != masked:
        refuse_frame(MASK_MISSING if masked else MASK_UNWANTED)
    if p[0] & 0x08 and p[1] & 0x7F > 125:
        refuse_frame(CONTROL_LONG)
    octets = parse_length(p, end, frame)
    if octets < -1:
        refuse_frame(LENGTH_HUGE if octets == -2 else LENGTH_NOT_MINIMAL)
    if octets < 0:
        return 0
    frame.first = p[0]
    frame.key = p + 2 + octets
    frame.payload = frame.key + (KEY_SIZE if masked else 0)
    return frame.payload <= end


def parse_frame(bytes data not None, Py_ssize_t at, int reserved, bint masked):
    """See `frame.parse_frame`."""
    cdef Octets base = <Octets>PyBytes_AS_STRING(data)
    cdef Octets end = base + PyBytes_GET_SIZE(data)
    cdef Frame frame
    if not parse(base + at, end, reserved, masked, &frame):
        return None
    key = PyBytes_FromStringAndSize(<const char*>frame.key, frame.payload - frame.key)
    return frame.first, frame.length, key, frame.payload - base


cdef bint is_whole(Octets p, Octets end, Py_ssize_t limit, bint masked, Frame* frame) noexcept nogil:
    """Whether a whole message in one frame, and within the limit, lies at `p`."""
    cdef int octets
    if end - p < 2 or (p[0] != WHOLE_TEXT and p[0] != WHOLE_BINARY) or p[1] >> 7 != masked:
        return False
    octets = parse_length(p, end, frame)
    if octets < 0 or frame.length > limit:
        return False
    frame.key = p + 2 + octets
    frame.payload = frame.key + (KEY_SIZE if masked else 0)
    return frame.payload <= end and end - frame.payload >= frame.length


cdef object take_text(Frame* frame, bint masked):
    """The text of a frame; None if it is not UTF-8."""
    cdef object text
    cdef unsigned char* out
    cdef uint64_t seen = HIGH
    if frame.length == 0:
        return ""
    if masked:
        text = PyUnicode_New(frame.length, 127)
        out = <unsigned char*>PyUnicode_DATA(text)
        seen = copy_masked(out, frame.payload, frame.length, frame.key, 0)
        out[frame.length] = 0
        if not seen & HIGH:
            return text
    else:
        out = <unsigned char*>frame.payload
    try:
        return PyUnicode_DecodeUTF8(<char*>out, frame.length, "strict")
    except UnicodeDecodeError:
        return None


cdef bytes take_octets(Frame* frame, bint masked):
    cdef bytes made
    if not masked:
        return PyBytes_FromStringAndSize(<const char*>frame.payload, frame.length)
    if frame.length == 0:
        return b""
    made = PyBytes_FromStringAndSize(NULL, frame.length)
    copy_masked(<unsigned char*>PyBytes_AS_STRING(made), frame.payload, frame.length, frame.key, 0)
    return made


def read_messages(bytes data not None, Py_ssize_t at, Py_ssize_t limit, bint masked, list found not None):
    """See `frame.read_messages`."""
    cdef Octets base = <Octets>PyBytes_AS_STRING(data)
    cdef Octets end = base + PyBytes_GET_SIZE(data)
    cdef Octets p = base + at
    cdef Frame frame
    while is_whole(p, end, limit, masked, &frame):
        if p[0] == WHOLE_TEXT:
            message = take_text(&frame, masked)
            if message is None:
                break
        else:
            message = take_octets(&frame, masked)
        found.append(message)
        p = frame.payload + frame.length
    return p - base


# -- building -----------------------------------------------------------------------------------------------


cdef bytes build(int first, Octets payload, Py_ssize_t size, Octets key):
    cdef int octets = 0 if size <= 125 else 2 if size <= 0xFFFF else 8
    cdef int masked = 0x80 if key != NULL else 0
    cdef Py_ssize_t head = 2 + octets + (KEY_SIZE if masked else 0)
    cdef bytes made = PyBytes_FromStringAndSize(NULL, head + size)
    cdef unsigned char* out = <unsigned char*>PyBytes_AS_STRING(made)
    cdef int i
    out[0] = first
    out[1] = masked | (size if octets == 0 else 126 if octets == 2 else 127)
    for i in range(octets):
        out[2 + i] = <uint64_t>size >> 8 * (octets - 1 - i) & 0xFF
    if masked:
        memcpy(out + 2 + octets, key, KEY_SIZE)
        copy_masked(out + head, payload, size, key, 0)
    else:
        memcpy(out + head, payload, size)
    return made


def build_frame(int first, bytes payload not None, bytes key not None):
    """See `frame.build_frame`."""
    return build(first, <Octets>PyBytes_AS_STRING(payload), PyBytes_GET_SIZE(payload), four(key))


def build_text(str text not None, bytes key not None):
    """See `frame.build_text`."""
    cdef Py_ssize_t size
    cdef const char* octets = PyUnicode_AsUTF8AndSize(text, &size)
    return build(WHOLE_TEXT, <Octets>octets, size, four(key))
