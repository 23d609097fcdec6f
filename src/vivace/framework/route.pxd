# The fields of Route as C: the dispatcher reads some of them on every request.

cdef class Route:
    cdef public object blueprint, ctx, error_format, handler, hosts, methods, name, names, path, uri
    cdef public object request_middleware, response_middleware, segments, source, timeout
    cdef public str single
    cdef public int kind
    cdef public bint buffered, plain, static, stream, strict, unquote, websocket
