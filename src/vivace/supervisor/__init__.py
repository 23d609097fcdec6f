"""Processes: what serves an app in one process or several, starts it, watches it and stops it.

    launch.py      where serving begins: in one process or under a supervisor
    supervisor.py  the process that owns the sockets and does what the fleet decides; its one loop
    upgrade.py     a supervisor that is replaced by a new one, on the same sockets
    beside/        what runs beside the workers: companions of the app, the hub, foreign programs, hooks
    control/       where a server is spoken to: the control socket and its commands
    stats/         what there is to tell of it: status, metrics, probes
    chores/        what is done from time to time: changed files, old, blocked and large workers, the load
    generations/   processes by the code that they run: templates and the workers made of them
    workers/       what runs in a process that serves
    telling/       the log, the start, systemd, the pid file, the title
    loading/       the app: found, imported, configured
    fleet/         which workers there are to be: pure, the clock is an argument
    ipc/           what processes tell each other: messages, shared memory
    system/        what is asked of the operating system: processes, signals, memory
    listening/     sockets to listen on

Who stands higher in this list may import who stands lower, never the other way round.

The supervisor never imports user code when it is started by `vivace run`.
"""
