# The fields of Request as C: one is made for every request.

cdef class Request:
    cdef object __weakref__
    cdef public object _body, _ctx, _form, _headers, _memo, _response, _transport
    cdef public object app, head, match_info, route
    cdef public bint request_middleware_ran, response_middleware_ran
