# The fields of ServerState as C: connections read its clocks on every request.

cdef class ServerState:
    cdef object __weakref__
    cdef public object _timer, access, deadlines, interface, loop, settings
    cdef public set background, connections
    cdef public bytes date
    cdef public bint draining
    cdef public Py_ssize_t active
    cdef public double handler_time, head_time, idle_time, now
