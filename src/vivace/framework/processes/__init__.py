"""Services and pools: functions of an app in processes beside the workers, and how they are spoken to.

words.py    what the two sides tell each other
host.py     the side of the process: a socket, and who is connected there
caller.py   the side of a worker: connections to the processes of a name
service.py  `@app.service`: long-lived, takes messages
pool.py     `@app.pool`: takes calls, gives results
runner.py   what runs in a process of a pool
overdue.py  what goes on there beyond its time
local.py    the same where there is no supervisor: tests, other servers
"""
