"""What runs in a process that serves, or in one of a companion: made here, and never in the supervisor.

work.py       how a process becomes one of these: all that they need is imported there
worker.py     import, start, serve, stop; the only process or one of several, the code is the same
serve.py      the server's part of that
stop.py       how a serving process is asked to stop
pulse.py      how a worker writes into the scoreboard
dump.py       what a worker is doing, in words
quota.py      how many requests it serves before another takes its place
companion.py  the same for a companion: the app is imported, its function is called
"""
