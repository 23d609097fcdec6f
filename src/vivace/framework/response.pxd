# The fields of the responses as C: one is made for every request.

cdef class HTTPResponse:
    cdef public object _cookies, _headers, body, content_type, sender, status

cdef class JSONResponse(HTTPResponse):
    cdef public object _dumps, _encoded, _options, _raw_body
