# The fields of Writer as C.

cdef class Writer:
    cdef object _transport, _waiter
    cdef bint _closed
    cdef Py_ssize_t _flushed, _high_water
    cdef double _flushed_at
    cdef public bint paused, sending_file
    cdef public Py_ssize_t written

    cpdef write(self, bytes data)
