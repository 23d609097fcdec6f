"""Logs on their way out: one schema, secrets masked, and places that never hold up a request.

schema.py   a record as fields, a line of JSON or a line of text; whose process it is
redact.py   the values of secrets are masked
whose.py    the request that running code belongs to
shipper.py  lines wait here for a place: bounded, written by a thread, counted when dropped
places.py   standard output, files
direct.py   standard error without LOG_TO: at once, as long as that holds nobody up
udp.py      datagrams to one receiver
syslog.py   syslog over UDP, TCP and TLS
sealed.py   sealed datagrams, and how they are opened
journald.py the journal of systemd
otlp.py     OpenTelemetry's protocol over HTTP
handler.py  the handler of `logging` that all of this hangs on
"""
