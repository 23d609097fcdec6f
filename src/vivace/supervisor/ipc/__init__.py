"""What the processes of one server tell each other: messages on channels, and a piece of shared memory.

messages.py    the messages, and a channel of them
spec.py        what a message says of a companion
channels.py    the channels that a supervisor hears, on its one selector
scoreboard.py  shared memory in which workers say how they fare, read without their help
totals.py      what they have done in all, which stands there too
"""
