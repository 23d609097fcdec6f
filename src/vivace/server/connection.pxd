# The fields of Connection as C, and the types behind them: requests begin and end here.

from vivace.protocols.events cimport RequestReceived
from vivace.protocols.h1 cimport H1Connection
from vivace.server.flow cimport Writer
from vivace.server.state cimport ServerState
from vivace.server.stream cimport Stream

cdef int IDLE, HEAD, HANDLER, DRAIN, LINGER, CLOSED

cdef class Connection:
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
    cpdef _begin(self, RequestReceived head)
    cpdef _complete(self, Stream stream)
    cpdef send_response(self, Stream stream, int status, fields, bytes body)
