# The fields of a call as C: one is made for every request to a WSGI app.

cimport cython

cdef class HostedApp:
    cdef public object app, context, pool
    cdef public Py_ssize_t buffer_size

cdef class WsgiCall:
    cdef HostedApp _hosted
    cdef object _context, _iterator, _pool, _result, _sender
    cdef bint _closed
    cdef public bytes body, first
    cdef public dict environ
    cdef public list fields, written
    cdef public object done, input, stream, upload
    cdef public tuple failure, stretch
    cdef public long long length
    cdef public bint open, sent
    cdef public int status

    cpdef answer(self)
    cpdef begin(self)
    cpdef release(self)
