# The fields of Stream as C: one is made for every request.

cdef class Stream:
    cdef object __weakref__
    cdef object _connection
    cdef bytes _pending
    cdef public object body, gone, head, task
    cdef public bint complete, disconnected, response_started, timed_out
    cdef Py_ssize_t _burst
    cdef public Py_ssize_t sent
    cdef public double limit, started_at
    cdef public int status
