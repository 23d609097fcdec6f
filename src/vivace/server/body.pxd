# The fields of Body as C.

cdef class Body:
    cdef public object chunks, error, waiter
    cdef public bint complete
    cdef public Py_ssize_t buffered, limit, received
    cdef public double deadline, patience
    cdef Py_ssize_t _received_before
    cdef double _progress, _since
