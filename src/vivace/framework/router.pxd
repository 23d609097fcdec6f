# The fields of the tree as C: the walk reads them for every segment.

from vivace.framework.route cimport Route

cdef class Node:
    cdef public dict exact, literals, slashed
    cdef public list dynamic

cdef class Router:
    cdef list _patterns
    cdef Node _root
    cdef dict _prefixes
    cdef public object automatic, routes
    cdef public dict static

    cpdef tuple resolve(self, bytes path, str method, bytes host)
