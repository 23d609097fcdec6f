"""Where a server is spoken to: the control socket, its commands, and the client's end of it.

desk.py      all places where somebody asks, for the supervisor
control.py   the control socket: lines in, lines out
commands.py  what can be asked for, and what that means
servers.py   the other end: which servers run here, and a line to one
"""
