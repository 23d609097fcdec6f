# The fields of H1Connection as C, and the methods that the server calls on every request.

cimport cython

from vivace.protocols.events cimport RequestReceived

cdef int ABSOLUTE, CHUNKED, EXPECT_CONTINUE, KEEP_ALIVE, RARE, UPGRADE
cdef dict STATUS_LINES, _WITHOUT_CONTENT
cdef int CLOSE, WITH_CHUNKS, WITH_LENGTH, WITH_LENGTH_OF_GET, WITH_NO_END
cdef int IDLE, COUNTED, CHUNK_LINE, CHUNK_DATA, CHUNK_END, TRAILERS, COMPLETE, FAILED
cdef int AWAITED, SENDING_NOTHING, SENDING_COUNTED, SENDING_CHUNKS, SENDING_TO_END

cdef class H1Connection:
    cdef bytes _data
    cdef Py_ssize_t _at, _left, _received, _extensions, _to_send, _trailer_size
    cdef int _ours, _theirs
    cdef bint _eof, _expecting, _head_only, _old
    cdef object _error, _limits
    cdef list _trailers
    cdef public bint keep_alive

    cpdef receive_data(self, bytes data)
    cdef _next_request(self)
    @cython.locals(
        at=Py_ssize_t, method=str, target=bytes, path=bytes, query=bytes, minor=int, flags=int, length=Py_ssize_t,
        host=bytes, block=bytes, has_body=bint, head=RequestReceived,
    )
    cdef RequestReceived _begin(self, tuple parsed)
    cpdef next_event(self)
    cpdef bint next_cycle(self) except -1
    @cython.locals(connection=int, framing=int, size=Py_ssize_t, closes=bint)
    cpdef bytes send_response(self, int status, fields, bytes body, bytes date)
