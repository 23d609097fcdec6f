"""Processes: what serves an app in one process or several, starts it, watches it and stops it.

    target.py      finds and imports the app, and says what kind it is
    pick.py        which object of the module that is; a factory is called
    failure.py     what is said when user code fails, or is not there
    launch.py      where serving begins: in one process or under a supervisor
    worker.py      what runs in a process that serves; one process or a worker, the code is the same
    stop.py        how a serving process is asked to stop
    fleet.py       what to do when a worker is ready, dies, or a signal comes: pure, the clock is an argument
    slots.py       the places of workers, and how long an empty one waits
    handle.py      what the supervisor knows of one worker
    actions.py     what the fleet can ask for
    supervisor.py  the process that owns the sockets and does what the fleet decides; its one loop
    workforce.py   the worker processes: made, heard, buried
    generations.py the generations of the code and their templates: the same
    generation.py  one of them, and how a program is run again
    template.py    the process that imports the app and forks workers
    channels.py    what the supervisor hears, on its one selector
    signals.py     signals, on the same selector
    reaper.py      how processes ended
    home.py        the folder of the code, which a symbolic link may change
    children.py    how a process is forked, and ends with its parent
    beside/        what runs beside the workers: companions of the app, the hub, foreign programs, hooks
    app_config.py  the configuration that an app is served with
    messages.py    what processes tell each other
    scoreboard.py  shared memory in which workers say how they fare, read without their help
    pulse.py       how a worker writes there
    housekeeping.py  what is done from time to time, and when next
    chores.py      changed files, old and large workers
    service.py     what systemd, the pid file and the process title are told
    sockets.py     the listening sockets of a configuration, and their end
    banner.py      the five lines of the start
    voice.py       what is said to people, and said once
    logs.py        where log records go

The supervisor never imports user code when it is started by `vivace run`.
"""
