"""Alarms: an app and its operator are told of what happens to the server, from a process beside it.

declare.py  what an app has for them
book.py     what is told, and how often: pure
targets.py  how it is told: functions, commands, webhooks, apprise
keeper.py   the process that hears of events
"""
