# The fields of EnvironMaker as C: an environ is made for every request to a WSGI app.

cimport cython

from vivace.protocols.events cimport RequestReceived

cdef class EnvironMaker:
    cdef dict _common
    cdef str _mount

    @cython.locals(memo=tuple, environ=dict, path=bytes)
    cpdef dict make(self, stream, RequestReceived head)
