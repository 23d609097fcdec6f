# The fields of Dispatcher as C, and the types it meets on every request.

from vivace.framework.router cimport Router

cdef class Dispatcher:
    cdef object _app, _pool, _request_chain, _request_class, _signals
    cdef Router _router
    cdef dict _static
    cdef bint _tracks
