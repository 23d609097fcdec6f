"""What there is to tell of a server, from what the supervisor knows: no worker is asked.

status.py       the server and its workers, as plain values
memory.py       the memory report
metrics.py      the same for Prometheus
uwsgi_stats.py  the same in the shape of uWSGI's stats
health.py       the address for probes, which shows these
"""
