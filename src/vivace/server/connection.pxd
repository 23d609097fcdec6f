# Requests begin and end here: what is called for each of them as C.

from vivace.protocols.events cimport RequestReceived
from vivace.server.intake cimport Intake
from vivace.server.stream cimport Stream

cdef int IDLE, HEAD, HANDLER, DRAIN, LINGER, CLOSED

cdef class Connection(Intake):
    cpdef _begin(self, RequestReceived head)
    cpdef _complete(self, Stream stream)
    cpdef send_response(self, Stream stream, int status, fields, bytes body)
