# The fields of Connection as C, and the types behind them: requests begin and end here.

from vivace.server.state cimport ServerState
from vivace.server.stream cimport Stream

cdef class Connection:
    cdef object __weakref__
    cdef ServerState _state
    cdef object _h1, _server, _transport
    cdef Stream _stream, _last
    cdef int _phase
    cdef bint _continue, _eof, _read_paused
    cdef Py_ssize_t _discarded
    cdef public object client, scheme, writer
    cdef public double deadline
