# The fields of a queue as C: every request to a WSGI app on the loop's thread goes through it.

cimport cython

from vivace.interfaces.wsgi_call cimport WsgiCall

cdef class InlineQueue:
    cdef object _calls, _loop
    cdef bint _scheduled
    cdef set _tasks

    @cython.locals(call=WsgiCall, done=list, until=double)
    cpdef _run(self)
    cpdef _settle(self, WsgiCall call)
    cpdef submit(self, WsgiCall call)
