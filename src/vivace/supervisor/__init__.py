"""Processes: what serves an app in one process or several, starts it, watches it and stops it.

    target.py      finds and imports the app, and says what kind it is
    pick.py        which object of the module that is; a factory is called
    failure.py     what is said when user code fails, or is not there
    worker.py      what runs in a process that serves; one process or a worker, the code is the same
    fleet.py       what to do when a worker is ready, dies, or a signal comes: pure, the clock is an argument
    handle.py      what the supervisor knows of one worker
    supervisor.py  the process that owns the sockets, forks workers and does what the fleet decides
    sockets.py     the listening sockets of a configuration, and their end
    report.py      what a worker tells its supervisor
    banner.py      the five lines of the start
    logs.py        where log records go

The supervisor never imports user code when it is started by `vivace run`.
"""
