# The fields of ServerState as C: connections read its clocks on every request. Tally counts every request.

cimport cython

from vivace.protocols.events cimport RequestReceived
from vivace.server.access cimport AccessLog
from vivace.server.stream cimport Stream

cdef tuple _BOUNDS

cdef class Tally:
    cdef public list answers, took
    cdef public double seconds

    @cython.locals(kind=int)
    cpdef answered(self, int status)
    @cython.locals(bound=double, index=Py_ssize_t)
    cpdef add(self, int status, double seconds)

cdef class ServerState:
    cdef object __weakref__
    cdef public AccessLog access
    cdef public Tally tally
    cdef public RequestReceived noted
    cdef public object _timer, answer, deadlines, leaving, loop, note, refuse, settings, stuck
    cdef public set background, connections
    cdef public bytes date
    cdef public bint cancels, closing, draining, keep_alive, replaced, timed
    cdef public Py_ssize_t active, closes, errors, input_buffer, max_concurrent, served
    cdef public double _flush_due, handler_time, head_time, idle_time, now

    cpdef record(self, client, Stream stream)
