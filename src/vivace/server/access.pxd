# The fields of AccessLog as C, and what connections call on every request.

from vivace.server.stream cimport Stream

cdef class AccessLog:
    cdef object __weakref__
    cdef public object _format, _into, _path, _queue, _thread
    cdef public bint _ids
    cdef public list _batch
    cdef public int _file
    cdef public Py_ssize_t dropped, _handed, _taken, _told
    cdef public double _told_at

    cpdef record(self, client, Stream stream, double now)
