# The fields of Dispatcher as C, and the types it meets on every request.

from vivace.framework.router cimport Router

cdef class Dispatcher:
    cdef object _app, _coerce, _json_kind, _plain_kind, _pool, _request_chain, _request_class, _signals
    cdef Router _router
    cdef dict _static
    cdef bint _takes_values, _tracks
