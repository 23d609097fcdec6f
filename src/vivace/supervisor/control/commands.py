"""What a client of the control socket can ask for, and what that means.

Rules of this file:

- A request is ``{"command": name, ...}``; the answer has ``ok``, and if that is false ``error`` and ``code``,
  which is the exit code of `vivace ctl`: 1 not possible, 2 not understood, 3 the restart was given up.
- Nothing waits here: an answer that takes time is given when what it waits for has happened.
- What it costs a worker to be asked is told at each command; most never ask one.
"""

import logging
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from vivace.config.workers import MOST_WORKERS, is_possible
from vivace.supervisor.control.control import Reply
from vivace.supervisor.fleet.actions import Action, Done
from vivace.supervisor.fleet.fleet import Fleet
from vivace.supervisor.fleet.handle import State, WorkerHandle
from vivace.supervisor.generations.workforce import send_signal
from vivace.supervisor.ipc.messages import Order, Told
from vivace.supervisor.stats.memory import weigh
from vivace.supervisor.stats.status import Status
from vivace.supervisor.stats.uwsgi_stats import uwsgi_shape

__all__ = ["ABORTED", "LEVELS", "Commands"]

logger = logging.getLogger("vivace")

ABORTED: Final = 3
"""The exit code of a restart that was given up."""
LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
DUMP_PATIENCE: Final = 1.0
"""Seconds that a worker has to show its stacks; then its interpreter is asked to write them to its log."""


class _Refusal(Exception):
    """What was asked is not done."""

    def __init__(self, why: str, code: int = 1) -> None:
        super().__init__(why)
        self.code = code


class _Dump:
    """Stacks, or requests in progress, that are waited for."""

    def __init__(self, what: str, workers: Mapping[int, WorkerHandle], reply: Reply, until: float) -> None:
        self.what = what
        self.missing = {pid: worker.slot + 1 for pid, worker in workers.items()}
        self.found: list[dict[str, Any]] = []
        self.reply = reply
        self.until = until


class Commands:
    """Does what clients ask for. It is a chore too: who waits for stacks does not wait for ever.

    Args:
        fleet: Decides about workers.
        do: Does what the fleet says.
        send: Sends an order to a worker, by process id.
        restart: Restarts with settings by name.
        stop: Stops, by force if it is called with True.
        status: Tells what there is.
        why: Gives the last complaint of a process that could not be started.
        tell_others: Sends an order to all that runs beside the workers.

    Attributes:
        due: See `vivace.supervisor.chores.housekeeping.Chore`.
        level: What `log_level` has set; empty: nothing.
    """

    def __init__(
        self,
        fleet: Fleet,
        do: Callable[[Sequence[Action]], None],
        send: Callable[[int, Order], bool],
        restart: Callable[[Mapping[str, Any]], None],
        stop: Callable[[bool], None],
        status: Status,
        why: Callable[[], str],
        tell_others: Callable[[Order], object] = lambda _: None,
    ) -> None:
        self.due = float("inf")
        self.level = ""
        self._fleet = fleet
        self._do = do
        self._send = send
        self._restart_server = restart
        self._stop_server = stop
        self._status = status
        self._why = why
        self._tell_others = tell_others
        self._waiting: list[tuple[int, Reply]] = []
        self._dumps: list[_Dump] = []
        self._commands: dict[str, Callable[[Mapping[str, Any], Reply], None]] = {
            "status": self._tell_status,
            "workers": self._tell_workers,
            "stats": self._tell_stats,
            "memory": self._tell_memory,
            "restart": self._restart,
            "reload": self._restart,
            "stop": self._stop,
            "scale": self._scale,
            "dump": self._dump,
            "requests": self._dump,
            "recycle": self._recycle,
            "log-level": self._set_level,
        }

    def answer(self, request: Mapping[str, Any], reply: Reply) -> None:
        """Do what a request says, and answer it."""
        name = request.get("command")
        command = self._commands.get(name) if isinstance(name, str) else None
        try:
            if command is None:
                raise _Refusal(f"there is no command {name!r}; there are {', '.join(self._commands)}", 2)
            command(request, reply)
        except _Refusal as refusal:
            reply({"ok": False, "error": str(refusal), "code": refusal.code})

    # Telling

    def _tell_status(self, _request: Mapping[str, Any], reply: Reply) -> None:
        now = time.monotonic()
        server, workers = self._status.server(now), self._status.workers(now)
        reply({"ok": True, "server": server, "workers": workers, "beside": self._status.beside(now)})

    def _tell_workers(self, _request: Mapping[str, Any], reply: Reply) -> None:
        reply({"ok": True, "workers": self._status.workers(time.monotonic())})

    def _tell_stats(self, request: Mapping[str, Any], reply: Reply) -> None:
        form = request.get("format", "vivace")
        if form not in ("vivace", "uwsgi"):
            raise _Refusal(f"format is vivace or uwsgi, not {form!r}", 2)
        reply({"ok": True, **self.document(str(form), weigh=True)})

    def document(self, form: str = "", *, weigh: bool = False) -> dict[str, Any]:
        """All figures as one document.

        Args:
            form: ``uwsgi`` is the shape of that server's; anything else is ours.
            weigh: The proportional memory too; it costs milliseconds for a large process.
        """
        now = time.monotonic()
        uwsgi = form == "uwsgi"
        workers = self._status.workers(now, weigh=weigh and not uwsgi)
        server, beside = self._status.server(now), self._status.beside(now)
        if uwsgi:
            return uwsgi_shape(server, workers, beside)
        return {
            "server": server,
            "totals": self._status.totals(workers),
            "counters": self._status.counters(),
            "workers": workers,
            "beside": beside,
        }

    def _tell_memory(self, _request: Mapping[str, Any], reply: Reply) -> None:
        reply({"ok": True, "processes": self.memory()})

    def memory(self) -> list[dict[str, Any]]:
        """What each process takes."""
        now = time.monotonic()
        return weigh(self._status.workers(now), self._status.beside(now))

    # Restart, stop, number

    def _restart(self, request: Mapping[str, Any], reply: Reply) -> None:
        wait = _flag(request, "wait")
        self._check_serving()
        generation = self._fleet.newest + 1
        if wait:
            self._waiting.append((generation, reply))
        self._restart_server({})
        if not wait:
            reply({"ok": True, "generation": generation})

    def done(self, action: Done) -> None:
        """A restart is over: tell those who wait for it."""
        over = [reply for generation, reply in self._waiting if generation == action.generation]
        self._waiting = [pair for pair in self._waiting if pair[0] != action.generation]
        for reply in over:
            if action.good:
                reply({"ok": True, "generation": action.generation, "text": action.text})
            else:
                reply({"ok": False, "error": action.text, "why": self._why(), "code": ABORTED})

    def stopping(self) -> None:
        """The server stops: nobody waits for a restart any more."""
        waiting, self._waiting = self._waiting, []
        for _, reply in waiting:
            reply({"ok": False, "error": "the server stops", "code": ABORTED})

    def _check_serving(self) -> None:
        if self._fleet.leaving:
            raise _Refusal("the server is stopping")
        if not self._fleet.booted:
            raise _Refusal("the server has not started yet: its first workers are not ready")

    def _stop(self, request: Mapping[str, Any], reply: Reply) -> None:
        force = _flag(request, "force")
        logger.info("a client of the control socket asks for a stop%s", " by force" if force else "")
        reply({"ok": True, "server": self._status.server(time.monotonic())})
        self._stop_server(force)

    def _scale(self, request: Mapping[str, Any], reply: Reply) -> None:
        number = request.get("workers")
        if not isinstance(number, int) or not is_possible(number):
            raise _Refusal(f"workers is a whole number from 1 to {MOST_WORKERS}, not {number!r}", 2)
        self._check_serving()
        before = self._fleet.size
        self._do(self._fleet.resize(number, time.monotonic()))
        reply({"ok": True, "workers": number, "before": before})

    # What workers are asked for

    def _dump(self, request: Mapping[str, Any], reply: Reply) -> None:
        """A thread of each worker formats stacks, or lists requests: some milliseconds of its time."""
        what = str(request["command"])
        asked = request.get("worker")
        workers = {
            pid: worker
            for pid, worker in self._fleet.workers.items()
            if worker.state is not State.STARTING and (asked is None or asked == worker.slot + 1)
        }
        if not workers:
            which = "no worker" if asked is None else f"no worker {asked!r}"
            raise _Refusal(f"there is {which} that serves")
        dump = _Dump(what, workers, reply, time.monotonic() + DUMP_PATIENCE)
        self._dumps.append(dump)
        self.due = min(self.due, dump.until)
        for pid in workers:
            self._send(pid, Order(what))

    def told(self, pid: int, told: Told) -> None:
        """A worker shows its stacks."""
        for dump in self._dumps:
            if pid in dump.missing and dump.what == told.what:
                dump.found.append({"worker": dump.missing.pop(pid), "pid": pid, "text": told.text})
        self._finish_dumps(0.0)

    def look(self, now: float) -> None:
        """Who does not show its stacks has them written by its interpreter, in C."""
        for dump in self._dumps:
            if dump.until > now:
                continue
            for pid, worker in dump.missing.items():
                text = "[]"
                if dump.what == "dump":
                    send_signal(pid, signal.SIGUSR2)
                    text = f"no answer within {DUMP_PATIENCE:g} s: its stacks go to its standard error"
                dump.found.append({"worker": worker, "pid": pid, "text": text})
            dump.missing = {}
        self._finish_dumps(now)

    def _finish_dumps(self, now: float) -> None:
        over = [dump for dump in self._dumps if not dump.missing or dump.until <= now]
        self._dumps = [dump for dump in self._dumps if dump not in over]
        self.due = min((dump.until for dump in self._dumps), default=float("inf"))
        for dump in over:
            found = sorted(dump.found, key=lambda one: one["worker"])
            if dump.what == "requests":
                for one in found:
                    one["requests"] = msgspec.json.decode(one.pop("text"))
            dump.reply({"ok": True, ("dumps" if dump.what == "dump" else "workers"): found})

    def _recycle(self, request: Mapping[str, Any], reply: Reply) -> None:
        asked = request.get("worker")
        ready = [one for one in self._fleet.workers.values() if one.state is State.READY]
        worker = next((one for one in ready if one.slot + 1 == asked), None)
        if worker is None:
            raise _Refusal(f"there is no worker {asked!r} that serves")
        reason = "a client of the control socket asks for it"
        self._do(self._fleet.recycle(worker.pid, reason, time.monotonic()))
        reply({"ok": True, "worker": asked, "pid": worker.pid})

    def _set_level(self, request: Mapping[str, Any], reply: Reply) -> None:
        level = request.get("level")
        if not isinstance(level, str) or level.upper() not in LEVELS:
            raise _Refusal(f"level is one of {', '.join(LEVELS)}, not {level!r}", 2)
        self.level = level.upper()
        for name in ("vivace", None):
            logging.getLogger(name).setLevel(self.level)
        for pid in self._fleet.workers:
            self.welcome(pid)
        self._tell_others(Order("log-level", names=(self.level,)))
        reply({"ok": True, "level": self.level})

    def welcome(self, pid: int) -> None:
        """A worker that comes later has the level of the others."""
        if self.level:
            self._send(pid, Order("log-level", names=(self.level,)))


def _flag(request: Mapping[str, Any], name: str) -> bool:
    value = request.get(name, False)
    if not isinstance(value, bool):
        raise _Refusal(f"{name} is true or false, not {value!r}", 2)
    return value
