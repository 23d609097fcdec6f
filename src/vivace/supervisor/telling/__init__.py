"""What a server tells people and the system outside: the log, the start, systemd, the pid file, `ps`.

logs.py     where log records go
banner.py   the five lines of the start
voice.py    what is said to people, and said once
last_words.py  events that nobody heard, when the server ends
service.py  one call for each moment of the server's life, for the three below
notify.py   systemd
pidfile.py  the pid file
title.py    what `ps` and `top` show
"""
