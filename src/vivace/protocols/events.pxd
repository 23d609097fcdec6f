# The fields of the events as C: one RequestReceived is made for every request.

cdef class RequestReceived:
    cdef bytes _block
    cdef list _fields
    cdef public str http_version, method
    cdef public bytes host, path, query, scheme, target
    cdef public Py_ssize_t content_length
    cdef public bint chunked, expect_continue, has_body, keep_alive, upgrade

cdef class DataReceived:
    cdef public bytes data

cdef class EndOfMessage:
    cdef public list trailers
