"""What the supervisor asks of the operating system: processes, signals, memory, connections.

children.py  how a process is forked, and ends with its parent
reaper.py    how processes ended
groups.py    the programs that a worker started end with it
signals.py   signals, as something that a selector waits for
procfs.py    what is known of a process: time of processors, memory, a debugger
cgroup.py    what the control group says of memory
usage.py     how many connections a process holds to a resource
queues.py    how often the queue of a listening socket was full
home.py      the folder of the code, which a symbolic link may change
"""
