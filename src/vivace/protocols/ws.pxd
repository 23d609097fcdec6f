# The fields of WsConnection as C: a message passes through it each way.

cimport cython

cdef int BINARY, CLOSE, CONTINUATION, FIN, PING, PONG_FRAME, RSV1, TEXT
cdef object build_frame, build_text, decode_text, mask, parse_frame, read_messages

cdef class WsConnection:
    cdef list _answers, _pieces
    cdef bytes _data, _key, _pending
    cdef object _deflate, _new_key
    cdef bint _compressed, _final, _masked
    cdef int _kind, _phase, _reserved
    cdef long long _fragments, _left, _limit, _max_fragments, _max_frame, _max_whole, _size
    cdef public bint close_received, close_sent, failed

    @cython.locals(found=list, at=Py_ssize_t)
    cpdef list receive_data(self, bytes data)
    @cython.locals(at=Py_ssize_t, size=Py_ssize_t, start=Py_ssize_t, length="long long", first=int, payload=bytes)
    cdef Py_ssize_t _read(self, bytes data, list found) except -1
    cdef _begin(self, int first, long long length)
    @cython.locals(end=Py_ssize_t, size=Py_ssize_t, piece=bytes, complete=bint)
    cdef Py_ssize_t _go_on(self, bytes data, Py_ssize_t at, list found) except -1
    cdef _add(self, bytes piece, bint final)
    cpdef bytes take_answers(self)
    cpdef bytes send_text(self, str text)
    cpdef bytes send_bytes(self, bytes data)
