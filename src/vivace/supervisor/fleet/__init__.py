"""Which workers there are to be: pure, the clock is an argument, and the answer is a list of actions.

fleet.py     what to do when a worker is ready or dies, code was loaded, a signal came, time passed
stop.py      how they are stopped
deaths.py    whether so many die that the server should end
patience.py  how long is waited for what
actions.py   what that can be
slots.py     the places of workers, and how long an empty one waits
handle.py    what is known of one worker
scaling.py   how many workers the load needs
"""
