# The fields of TlsTransport as C: it stands between every octet of an encrypted connection and its socket.

from vivace.server.connection cimport Connection

cdef int HANDSHAKE, OPEN, SHUT

cdef class TlsTransport:
    cdef object __weakref__
    cdef Connection _connection
    cdef object _incoming, _object, _outgoing, _raw
    cdef int _state
    cdef bint _ended, _paused, _seen

    cpdef _read(self)
    cpdef _flush(self)
    cpdef write(self, bytes data)
