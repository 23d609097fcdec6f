# The fields of WsgiInterface as C: it is called for every request.

from vivace.interfaces.environ cimport EnvironMaker
from vivace.interfaces.wsgi_call cimport HostedApp
from vivace.protocols.events cimport RequestReceived

cdef class WsgiInterface:
    cdef EnvironMaker _environs
    cdef HostedApp _hosted
    cdef object _max_size, _queue, _request_seconds, _spool_size
    cdef int _threads
    cdef public bint cancels

    cpdef _serve(self, stream, RequestReceived head)
