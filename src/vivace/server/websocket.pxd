# The fields of a WebSocket as C: a message passes through it each way.

from vivace.protocols.ws cimport WsConnection
from vivace.server.flow cimport Writer
from vivace.server.state cimport ServerState

cdef int OPEN, ENDING, CLOSING, SHUT, CLOSED, OWN
cdef object COMPLETED

cdef class WebSocket:
    cdef object __weakref__
    cdef WsConnection _ws
    cdef object _deflate, _gone, _last, _limit, _listener, _pings, _queue, _reader, _settings, _transport
    cdef object _waiter, _watcher
    cdef list _batch
    cdef long long _queued
    cdef Py_ssize_t _discarded, _gathered
    cdef bint _wrote
    cdef double _expires, _heard, _pinged
    cdef public object client, close_reason, slot, stream, subprotocol, task
    cdef public ServerState state
    cdef public Writer writer
    cdef public double deadline
    cdef public int close_code, phase
    cdef int _variant
    cdef public bint read_paused

    cdef _take_in(self, list events)
    cdef _note(self, event)
    cdef _call(self, listener, message)
    cdef _wake(self)
    cpdef _read_on(self)
    cdef _pause_reading(self)
    cpdef _take(self)
    cpdef bint _is_over(self) except -1
    cpdef _await_message(self)
    cpdef _conclude(self)
    cpdef _closed_error(self)
    cpdef _write(self, bytes data)
    cpdef _flush(self)
    cpdef send(self, message)
    cpdef push(self, broadcast)
    cdef _tell_ended(self)

cdef class _Reader:
    cdef WebSocket _socket
