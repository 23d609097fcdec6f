"""The stats document in the shape that uWSGI's has, so that `uwsgitop` and the like show our workers.

Rules of this file:

- The names are uWSGI's; the figures are ours. What we do not measure is 0: octets sent, kills.
- No request is shown, no variable: the original shows both, and cookies with them.
- A stats socket has no password, so it is for this machine only.
- Follows uWSGI's page "The uWSGI Stats Server".
"""

import ipaddress
import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from vivace.errors import StartupError
from vivace.supervisor.listening.answering import Client, Listening
from vivace.supervisor.system.procfs import address_space, processor_time

__all__ = ["StatsSocket", "uwsgi_shape"]

_STATUS: Final = {"ready": "idle", "unready": "pause", "backoff": "cheap", "booting": "cheap"}


def uwsgi_shape(
    server: Mapping[str, Any], workers: Sequence[Mapping[str, Any]], beside: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """The document.

    Args:
        server: As `Status.server` gives it.
        workers: As `Status.workers` gives them.
        beside: What runs beside them.
    """
    waiting = {one["address"]: one["queue"] for one in server["queues"]}
    return {
        "version": f"vivace-{server['version']}",
        "listen_queue": sum(waiting.values()),
        "listen_queue_errors": sum(one["dropped"] for one in server["queues"]),
        "signal_queue": 0,
        "load": sum(one.get("active") or 0 for one in workers),
        "pid": server["pid"],
        "uid": os.geteuid(),
        "gid": os.getegid(),
        "cwd": _folder(),
        "locks": [],
        "sockets": [
            {"name": one, "proto": "http", "queue": waiting.get(one, 0)} for one in server["addresses"]
        ],
        "daemons": [_daemon(one) for one in beside],
        "workers": [_worker(one) for one in workers],
        "spoolers": [],
    }


def _folder() -> str:
    """The working folder; empty: a deploy has removed it."""
    try:
        return os.getcwd()
    except OSError:
        return ""


def _worker(one: Mapping[str, Any]) -> dict[str, Any]:
    active = one.get("active") or 0
    status = "busy" if active or one["state"] == "blocked" else _STATUS.get(one["state"], "busy")
    served = one.get("served") or 0
    pid = one.get("pid") or 0
    return {
        "id": one["worker"],
        "pid": pid,
        "accepting": int(one["state"] == "ready"),
        "requests": served,
        "delta_requests": served,
        "exceptions": one.get("errors") or 0,
        "harakiri_count": 0,
        "signals": 0,
        "signal_queue": 0,
        "status": status,
        "rss": one.get("rss") or 0,
        "vsz": (address_space(pid) or 0) if pid else 0,
        "running_time": int(((processor_time(pid) or 0.0) if pid else 0.0) * 1_000_000),
        "last_spawn": int(time.time() - one["uptime"]) if pid else 0,
        "respawn_count": one["restarts"] + int(bool(pid)),
        "tx": 0,
        "avg_rt": _mean(one.get("durations")),
        "apps": [],
        "cores": [{"id": 0, "requests": served, "in_request": int(active > 0), "vars": []}],
    }


def _mean(durations: Mapping[str, Any] | None) -> int:
    """How long a request took on average, in microseconds."""
    count = sum(durations["counts"]) if durations else 0
    return int(durations["seconds"] / count * 1_000_000) if durations and count else 0


def _daemon(one: Mapping[str, Any]) -> dict[str, Any]:
    return {"cmd": one["name"], "pid": one["pid"], "respawns": one["restarts"]}


class StatsSocket(Listening):
    """Gives the document to whoever connects, and closes.

    Args:
        place: STATS_BIND; empty: nobody is answered.
        mode: UNIX_MODE, where it is the path of a socket.
        selector: What waits for clients.
        document: Gives the document.
    """

    def __init__(self, place: str, mode: int, selector: Any, document: Callable[[], object]) -> None:
        super().__init__(place, mode, selector, "STATS_BIND")
        self._document = document

    def check(self, listener: socket.socket) -> None:
        """Refuse what other machines can reach.

        Raises:
            StartupError: They can reach this.
        """
        if listener.family == socket.AF_UNIX or ipaddress.ip_address(listener.getsockname()[0]).is_loopback:
            return
        seen = listener.getsockname()[0]
        raise StartupError(
            f"STATS_BIND is {seen}, which other machines can reach, and whoever connects is told everything:"
            " use 127.0.0.1:PORT or unix:/path here; for other machines there is ADMIN_BIND with ADMIN_TOKEN,"
            " and uwsgitop reads http://HOST:PORT/stats?format=uwsgi",
            stage="bind",
            exit_code=4,
        )

    def answer(self, client: Client) -> bytes:
        """The document; nothing has to be said for it."""
        del client
        return msgspec.json.encode(self._document())
