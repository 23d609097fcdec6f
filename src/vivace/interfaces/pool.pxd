# The fields of a pool as C: every request to a WSGI app in a thread goes through it twice.

cdef class ThreadPool:
    cdef object __weakref__
    cdef bint _called, _closed, _handing, _nudged
    cdef object _done, _jobs
    cdef list _idle, _threads
    cdef str _name
    cdef Py_ssize_t _size
    cdef set _tasks
    cdef public object loop
    cdef public int users

    cpdef post(self, item)
    cpdef submit(self, job)
    cpdef _wake_one(self)

cdef class _Worker:
    cdef public object job, lock, thread
