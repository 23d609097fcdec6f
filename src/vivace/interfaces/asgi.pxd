# The fields of an exchange as C: one is made for every request to an ASGI app.

cimport cython

from vivace.protocols.events cimport RequestReceived

cdef int AWAITED, STARTED, SENDING, TRAILERS, DONE, REFUSED
cdef int READING, EMPTY, READ
cdef object COMPLETED

cdef class AsgiInterface:
    cdef object _address, _app, _lifespan, _max_size, _request_seconds
    cdef str _prefix
    cdef bytes _raw_prefix
    cdef dict _extensions, _scope, _state
    cdef int _threads
    cdef public bint cancels
    cdef public int socket_threads

    @cython.locals(head=RequestReceived)
    cpdef begin(self, Exchange exchange, stream)
    @cython.locals(scope=dict, extensions=dict, memo=tuple, path=bytes)
    cdef dict _describe(self, stream, RequestReceived head)

cdef class Exchange:
    cdef public RequestReceived head
    cdef AsgiInterface _interface
    cdef object _stream, _fields, _trailers
    cdef int _body, _state, _status, _unheard
    cdef long long _left

    @cython.locals(message=dict)
    cpdef send(self, message)
    cpdef _start(self, dict message)
