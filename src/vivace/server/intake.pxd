# The fields of a connection as C, and the types behind them.

from vivace.protocols.h1 cimport H1Connection
from vivace.server.flow cimport Writer
from vivace.server.state cimport ServerState
from vivace.server.stream cimport Stream

cdef int CLOSED, DRAIN, HANDLER, IDLE

cdef class Intake:
    cdef object __weakref__
    cdef H1Connection _h1
    cdef object _server, _transport
    cdef Stream _last
    cdef bint _continue, _eof
    cdef Py_ssize_t _discarded
    cdef public object client, memo, scheme, slot
    cdef public ServerState state
    cdef public Stream stream
    cdef public int phase
    cdef public bint read_paused
    cdef public Writer writer
    cdef public double deadline

    cpdef _advance(self)
    cpdef _feed(self, Stream stream, body)
    cpdef _pause_reading(self)
    cpdef _resume_reading(self)
