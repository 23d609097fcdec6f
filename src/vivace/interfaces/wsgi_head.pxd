# What is called for every response of a WSGI app, as C.

cimport cython

cdef dict _statuses, _names, _fields
cdef bytes _LENGTH
cdef frozenset _STEADY

cpdef int read_status(status) except -1

@cython.locals(fields=list, length="long long", field=tuple)
cpdef tuple read_fields(headers)
cdef tuple _read_field(pair)
cdef long long _read_length(bytes content, long long before) except -1
