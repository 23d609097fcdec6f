# The fields of TlsTransport as C: it stands between every octet of an encrypted connection and its socket.

cdef int HANDSHAKE, OPEN, SHUT

cdef class TlsTransport:
    cdef object __weakref__
    cdef object _connection, _incoming, _object, _outgoing, _raw
    cdef int _state
    cdef bint _ended, _paused, _seen

    cpdef _read(self)
    cpdef _flush(self)
    cpdef write(self, bytes data)
