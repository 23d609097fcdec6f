"""`/metrics`: what a supervisor knows, as Prometheus and OpenMetrics scrapers read it.

Rules of this file:

- It is made from what `vivace.supervisor.stats.status` and the scoreboard tell: no worker is asked.
- Counters go on over the workers of a place, and so never fall while the server runs.
- What is not known has no line. Base units: seconds and octets.
- Follows the text format of Prometheus, version 0.0.4.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from itertools import accumulate
from math import inf
from typing import Any, Final

from vivace.server.durations import CLASSES, DURATIONS
from vivace.supervisor.ipc.totals import NOTHING, Totals
from vivace.supervisor.system.usage import Usage

__all__ = ["CONTENT_TYPE", "render_metrics"]

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_STATES: Final = ("booting", "ready", "blocked", "unready", "retiring", "draining", "backoff")
_BY_WORKER: Final = (
    ("in_progress", "active", "Requests in progress."),
    ("connections", "connections", "Open connections."),
    ("background", "background", "Handlers at work after their response."),
    ("threads_busy", "threads_busy", "Threads that work for a request."),
    ("late_seconds", "late", "Time since the event loop turned last."),
    ("resident_memory_bytes", "rss", "Resident memory."),
    ("uptime_seconds", "uptime", "Age of the process."),
)
_BESIDE: Final = (
    ("resident_memory_bytes", "rss", "gauge", "Resident memory."),
    ("cpu_seconds_total", "cpu_seconds", "counter", "Processor time of the process."),
    ("exits_total", "restarts", "counter", "Processes of this place that have ended."),
)

_Sample = tuple[Mapping[str, object], float | int | None]


def render_metrics(
    server: Mapping[str, Any],
    workers: Sequence[Mapping[str, Any]],
    beside: Sequence[Mapping[str, Any]],
    counts: Mapping[int, Totals],
    usages: Iterable[Usage] = (),
) -> bytes:
    """All that there is to tell, as the body of a response.

    Args:
        server: As `Status.server` gives it.
        workers: As `Status.workers` gives them.
        beside: What runs beside them.
        counts: What was done in each slot, as `Scoreboard.counts` gives them.
        usages: Connections that workers hold of budgets.
    """
    lines: list[str] = []
    _of_server(lines, server, workers, counts)
    _of_workers(lines, workers, counts)
    _of_others(lines, beside, list(usages))
    return "\n".join([*lines, ""]).encode("utf-8", "replace")


def _of_server(
    lines: list[str],
    server: Mapping[str, Any],
    workers: Sequence[Mapping[str, Any]],
    counts: Mapping[int, Totals],
) -> None:
    def say(name: str, kind: str, text: str, *samples: _Sample) -> None:
        _family(lines, f"vivace_{name}", kind, text, samples)

    about = {"name": server["name"], "version": server["version"]}
    done = reduce(Totals.plus, counts.values(), NOTHING)
    states = Counter(one["state"] for one in workers)
    say("info", "gauge", "What runs.", (about, 1))
    say("uptime_seconds", "gauge", "Age of the supervisor.", ({}, server["uptime"]))
    say("generation", "gauge", "How often the code was loaded.", ({}, server["generation"]))
    say("requests_total", "counter", "Requests that arrived, at all workers.", ({}, done.served))
    say("server_errors_total", "counter", "Responses with a status of 500 or more.", ({}, done.errors))
    classes = zip(CLASSES, done.answers, strict=True)
    say("responses_total", "counter", "By class of the status.", *(({"class": c}, n) for c, n in classes))
    _histogram(lines, "vivace_request_duration_seconds", "From a request's head to its response's end.", done)
    say("log_lines_dropped_total", "counter", "Lines that no log took.", ({}, done.lost_lines))
    for name, key in (("requests_in_progress", "active"), ("connections", "connections")):
        text = f"{name.replace('_', ' ').capitalize()}, at all workers."
        say(name, "gauge", text, ({}, sum(one.get(key) or 0 for one in workers)))
    queues = [({"address": one["address"]}, one) for one in server["queues"]]
    text = "Clients that wait to be accepted."
    say("listen_queue", "gauge", text, *((mark, one["queue"]) for mark, one in queues))
    text = "What the system did not let into the queue of a listening socket."
    say("listen_dropped_total", "counter", text, *((mark, one["dropped"]) for mark, one in queues))
    say("workers_wanted", "gauge", "Workers that there should be.", ({}, server["wanted"]))
    say("workers", "gauge", "Workers by state.", *(({"state": one}, states[one]) for one in _STATES))
    say("supervisor_resident_memory_bytes", "gauge", "Of the supervisor.", ({}, server["memory"]))


def _of_workers(lines: list[str], workers: Sequence[Mapping[str, Any]], counts: Mapping[int, Totals]) -> None:
    def say(name: str, kind: str, text: str, samples: Iterable[_Sample]) -> None:
        _family(lines, f"vivace_worker_{name}", kind, text, samples)

    marks = [{"worker": one["worker"]} for one in workers]
    slots = [({"worker": slot + 1}, done) for slot, done in counts.items()]
    say("requests_total", "counter", "Requests that arrived.", ((m, done.served) for m, done in slots))
    say(
        "server_errors_total", "counter", "Responses of 500 or more.", ((m, done.errors) for m, done in slots)
    )
    classes = [
        ({**mark, "class": name}, count)
        for mark, done in slots
        for name, count in zip(CLASSES, done.answers, strict=True)
    ]
    say("responses_total", "counter", "By class of the status.", classes)
    took = [(mark, round(done.seconds, 6)) for mark, done in slots]
    say("request_seconds_total", "counter", "How long requests took.", took)
    exits = [one["restarts"] for one in workers]
    say("exits_total", "counter", "Processes of this place that have ended.", zip(marks, exits, strict=True))
    for name, key, text in _BY_WORKER:
        say(name, "gauge", text, zip(marks, [one.get(key) for one in workers], strict=True))
    delays = [
        ({**mark, "quantile": quantile}, one.get(key))
        for mark, one in zip(marks, workers, strict=True)
        for quantile, key in (("0.5", "delay_p50"), ("0.95", "delay_p95"))
    ]
    say("delay_seconds", "gauge", "Wait for a turn of the event loop, over the last minute.", delays)
    ages = [(one.get("oldest") or {}).get("age") for one in workers]
    say("oldest_request_seconds", "gauge", "Age of the oldest request.", zip(marks, ages, strict=True))


def _of_others(lines: list[str], beside: Sequence[Mapping[str, Any]], usages: Sequence[Usage]) -> None:
    marks = [{"name": one["name"], "kind": one["kind"], "index": one["index"]} for one in beside]
    up = [int(bool(one["pid"])) for one in beside]
    _family(lines, "vivace_process_up", "gauge", "Beside the workers.", zip(marks, up, strict=True))
    for name, key, kind, text in _BESIDE:
        values = [one.get(key) for one in beside]
        _family(lines, f"vivace_process_{name}", kind, text, zip(marks, values, strict=True))
    for name, text in (("open", "Connections that a worker holds."), ("share", "Those that it may hold.")):
        samples = [({"budget": u.budget, "worker": u.slot + 1}, int(getattr(u, name))) for u in usages]
        _family(lines, f"vivace_budget_connections_{name}", "gauge", text, samples)


def _histogram(lines: list[str], name: str, text: str, done: Totals) -> None:
    lines += [f"# HELP {name} {text}", f"# TYPE {name} histogram"]
    for bound, count in zip(DURATIONS, accumulate(done.took), strict=True):
        lines.append(f'{name}_bucket{{le="{"+Inf" if bound == inf else bound}"}} {count}')
    lines += [f"{name}_sum {round(done.seconds, 6)}", f"{name}_count {sum(done.took)}"]


def _family(lines: list[str], name: str, kind: str, text: str, samples: Iterable[_Sample]) -> None:
    """The lines of a metric; none if nothing is known."""
    known = [(labels, value) for labels, value in samples if value is not None]
    if known:
        lines += [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]
        lines += [f"{name}{_labels(labels)} {value}" for labels, value in known]


def _labels(labels: Mapping[str, object]) -> str:
    shown = ",".join(f'{name}="{_escape(str(value))}"' for name, value in labels.items())
    return f"{{{shown}}}" if shown else ""


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
