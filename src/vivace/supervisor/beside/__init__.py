"""Processes beside the workers: companions of the app, the hub, foreign programs, and hooks.

place.py       one process that is to run: its life, its deaths, and how long it waits then: pure
company.py     the companions of a server, over generations of the code: pure
companions.py  their processes: made, heard, buried
folder.py      the private folder with the sockets between the processes of a server
hub.py         the process of the hub, and the socket on which it is found
daemons.py     foreign programs: started in order, kept running
program.py     how one of them is started, and found again by the next server
probes.py      whether it can be used
output.py      what it writes
watched.py     whether files that it watches have changed
hooks.py       commands at stages of the server's life
rows.py        what is shown of a process
retinue.py     all of these for the supervisor, in the order of its life

What runs in the process of a companion is `vivace.supervisor.workers.companion`.
"""
