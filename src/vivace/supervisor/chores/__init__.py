"""What the supervisor does from time to time: it looks, and the fleet decides.

rota.py          chores in turn, and what happens when one fails
housekeeping.py  the small ones, and what a chore is
files.py         changed files of the app
touched.py       files whose touch restarts the app
recycling.py     old and large workers, replaced while they serve
limits.py        hard limits of a blocked loop and of memory: who is over them is killed
stuck.py         workers whose threads do not come back, replaced while they serve
blocked.py       whether a worker is blocked: pure
adaptive.py      more or fewer workers by load
backlog.py       full queues of listening sockets
retelling.py     events that nobody heard yet
"""
