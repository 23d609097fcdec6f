# The fields of ServerState as C: connections read its clocks on every request.

from vivace.protocols.events cimport RequestReceived
from vivace.server.access cimport AccessLog

cdef class ServerState:
    cdef object __weakref__
    cdef public AccessLog access
    cdef public RequestReceived noted
    cdef public object _timer, answer, deadlines, leaving, loop, note, refuse, settings, stuck
    cdef public set background, connections
    cdef public bytes date
    cdef public bint cancels, closing, draining, keep_alive, replaced
    cdef public Py_ssize_t active, closes, errors, input_buffer, max_concurrent, served
    cdef public double _flush_due, handler_time, head_time, idle_time, now
