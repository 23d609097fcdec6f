# A table from field names, in any case, to objects that are made once: inline functions only, `known.py` has
# the names. A module that uses it declares `cdef Known[SLOTS] TABLE` and fills it when it is imported; it is
# only read from then on, so what a client sends never changes it.

from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF

from vivace.wire.octets cimport Octets, same

cdef enum:
    SLOTS = 256

cdef struct Known:
    const char* name
    Py_ssize_t size
    PyObject* value


cdef inline unsigned int slot_of(Octets p, Py_ssize_t n) noexcept nogil:
    """Where to begin to look for the `n` octets at `p`: nearly every name of the list has a slot to itself."""
    return <unsigned int>(n * 30 + (p[0] | 0x20) * 115 + (p[n - 1] | 0x20) * 54 + (p[n >> 1] | 0x20) * 71)


cdef inline PyObject* known(Known* table, Octets p, Py_ssize_t n) noexcept nogil:
    """What the table holds for the token at `p`; NULL if nothing."""
    cdef unsigned int slot
    cdef Known* entry
    if n == 0:
        return NULL
    slot = slot_of(p, n)
    while True:
        entry = &table[slot & (SLOTS - 1)]
        if entry.value == NULL:
            return NULL
        if entry.size == n and same(p, entry.name, n):
            return entry.value
        slot += 1


cdef inline void learn(Known* table, bytes name, object value):
    """Put `value` into the table for good; `name` is one of `known.NAMES`, which live as long."""
    cdef unsigned int slot = slot_of(<Octets><const char*>name, len(name))
    while table[slot & (SLOTS - 1)].value != NULL:
        slot += 1
    table[slot & (SLOTS - 1)] = Known(<const char*>name, len(name), <PyObject*>value)
    Py_INCREF(value)
