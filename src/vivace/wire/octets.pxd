# The octets of the grammar, for the compiled leaves: inline functions only, there is no module behind it.

from libc.stdint cimport uint64_t
from libc.string cimport memcpy

ctypedef const unsigned char* Octets


cdef inline bint is_in(unsigned char octet, uint64_t low, uint64_t high) noexcept nogil:
    """Whether the bit of an ASCII octet is set in two masks, of 0 to 63 and of 64 to 127."""
    return octet < 128 and ((low if octet < 64 else high) >> (octet & 63)) & 1


cdef inline bint is_tchar(unsigned char octet) noexcept nogil:
    """A token character: !#$%&'*+-.^_`|~, digits, letters (RFC 9110 section 5.6.2)."""
    return is_in(octet, <uint64_t>0x3FF6CFA00000000, <uint64_t>0x57FFFFFFC7FFFFFE)


cdef inline bint is_host(unsigned char octet) noexcept nogil:
    """What ordinary host names consist of: hyphen, dot, underscore, digits, letters."""
    return is_in(octet, <uint64_t>0x3FF600000000000, <uint64_t>0x7FFFFFE87FFFFFE)


cdef inline bint is_uri(unsigned char octet) noexcept nogil:
    """What may stand in a request target: visible ASCII without the number sign."""
    return 0x21 <= octet <= 0x7E and octet != 0x23


cdef inline bint is_text(unsigned char octet) noexcept nogil:
    """What may stand in a field value: HTAB, SP, visible ASCII and obs-text (RFC 9110 section 5.5)."""
    return octet == 9 or (octet >= 0x20 and octet != 0x7F)


cdef inline bint is_blank(unsigned char octet) noexcept nogil:
    return octet == 0x20 or octet == 9


cdef inline bint is_digit(unsigned char octet) noexcept nogil:
    return 0x30 <= octet <= 0x39


cdef inline Octets skip_text(Octets p, Octets end) noexcept nogil:
    """The first octet that may not stand in a field value; eight at a time where none is below SP or DEL."""
    cdef uint64_t word, low, delete
    cdef Octets next_word
    while end - p >= 8:
        memcpy(&word, p, 8)
        low = (word - <uint64_t>0x2020202020202020) & ~word
        delete = word ^ <uint64_t>0x7F7F7F7F7F7F7F7F
        delete = (delete - <uint64_t>0x0101010101010101) & ~delete
        next_word = p + 8
        if (low | delete) & <uint64_t>0x8080808080808080:
            while p < next_word:
                if not is_text(p[0]):
                    return p
                p += 1
        p = next_word
    while p < end and is_text(p[0]):
        p += 1
    return p


cdef inline Octets skip_tchars(Octets p, Octets end) noexcept nogil:
    while p < end and is_tchar(p[0]):
        p += 1
    return p


cdef inline void trim(Octets* p, Octets* end) noexcept nogil:
    """Leave out optional white space on both sides."""
    while p[0] < end[0] and is_blank(p[0][0]):
        p[0] += 1
    while end[0] > p[0] and is_blank((end[0] - 1)[0]):
        end[0] -= 1


cdef inline bint same(Octets p, const char* lower, Py_ssize_t size) noexcept nogil:
    """Whether the octets at `p`, none of them a control octet, are letters, digits and hyphens, in any case."""
    cdef Py_ssize_t i
    for i in range(size):
        if (p[i] | 0x20) != <unsigned char>lower[i]:
            return False
    return True
