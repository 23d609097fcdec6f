"""Measurements, and the trials that come before them. Each says on top of its file how it is called.

Requests, beside other servers:

    run.py           microseconds of server CPU for each, and the ratio to nginx
    cases.py         which server runs which app: cases.toml, apps/
    duties.py        what a server owes before it is measured
    measure.py       the measurements
    report.py        tables and the chart
    router.py        what routes cost
    telemetry.py     what it costs to be watched
    downloads.py     what slow downloads cost everybody else
    advice.py        threads against processes

When things go wrong:

    matrix.py        what happens to a site, by server
    restarts.py      restarts lose nothing
    crowd.py         clients that keep their connections and count what goes wrong
    stage.py         an app that can be changed while it serves, and every process that came of it

Groups and tasks:

    broadcast.py     what a message to many costs
    hub.py           how long one takes to another worker
    interest.py      what one costs all machines
    sockets.py       very many WebSocket clients
    tasks.py         how fast tasks go in and out, and what is left when everybody is killed

All of them:

    proc.py          what a tree of processes costs, as the kernel counts it
    plot.py          a line chart
"""
