"""Sockets that the supervisor listens on: opened once, handed to workers, shut and removed at the end.

sockets.py     the listening sockets of a configuration
activation.py  those that somebody opened before us: systemd, the supervisor before
door.py        the way out: barred, emptied, shut
answering.py   an address of the supervisor's own that answers one question a connection
secured.py     TLS around the clients of such an address
socketfile.py  the file of a Unix socket, removed only while it is ours
spare.py       accepting where no descriptor is left
"""
