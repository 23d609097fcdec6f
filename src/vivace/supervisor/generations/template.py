"""The process that imports the app, once per generation of the code, and forks the workers.

Rules of this file:

- It imports, answers orders, and serves nothing. It is the app's main process: listeners of
  ``main_process_...`` run here, and what they make is shared with the workers.
- A worker is forked twice over, so that it becomes a child of the supervisor: a template may end before the
  workers that were made of it.
- It is safe to fork as long as there is one thread and no socket of the app's; if there is more it says so,
  and the workers import the app for themselves.
- What was imported is frozen for the garbage collector, so that workers go on sharing its pages.
"""

import gc
import logging
import os
import signal
import socket
from collections.abc import Callable
from typing import Any

from vivace.supervisor.ipc.messages import Channel, Declared, Made, Order, Report, failed
from vivace.supervisor.ipc.spec import CompanionSpec
from vivace.supervisor.loading.failure import describe_failure
from vivace.supervisor.loading.job import Job
from vivace.supervisor.loading.main_process import (
    imported_files,
    open_sockets,
    run_main_listeners,
    why_unsafe,
)
from vivace.supervisor.loading.target import Loaded
from vivace.supervisor.system.children import fork, noted, tie_to
from vivace.supervisor.telling.logs import attach_logging, detach_logging, reopen_files
from vivace.supervisor.telling.title import set_title
from vivace.supervisor.workers.work import prepare

__all__ = ["MakeWorker", "run_template"]

logger = logging.getLogger("vivace")

MakeWorker = Callable[[Job, Channel, int, str], int]
"""Runs a worker with its job, its channel and its slot, or a companion with its role; gives the exit code."""


class Template:
    """What a template process does.

    Args:
        job: What to load.
        channel: To the supervisor.
        supervisor: Its process id.
        make_worker: Runs in each worker.
    """

    def __init__(self, job: Job, channel: Channel, supervisor: int, make_worker: MakeWorker) -> None:
        self._job = job
        self._channel = channel
        channel.takes = True
        self._supervisor = supervisor
        self._make_worker = make_worker
        self._app: Any = None
        self._last_stages: tuple[str, ...] = ()
        self._declared: tuple[CompanionSpec, ...] = ()

    def run(self) -> int:
        """Load the app, then do as is ordered until told to end; the exit code."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):  # the supervisor's to heed
            signal.signal(number, noted)
        before = open_sockets()
        self._show_title("vivace")
        try:
            loaded = self._load()
        except Exception as error:  # noqa: BLE001 - the app's code may raise anything
            text, code = describe_failure(error)
            self._channel.send(failed(text, code))
            return code
        unsafe = why_unsafe(open_sockets() - before)
        self._job = self._job._replace(load=lambda: loaded)
        self._show_title(str(getattr(loaded.app, "name", loaded.target)))
        self._freeze()
        self._channel.send(self._report(loaded, unsafe))
        self._obey()
        run_main_listeners(self._app, *self._last_stages, "main_process_stop")
        return 0

    def _load(self) -> Loaded:
        from vivace.supervisor.loading.budgets import place_process, refuse_early_connections

        detach_logging()
        gc.disable()
        prepare()
        place_process(self._job.config, None)
        loaded = self._job.load()
        self._app = loaded.app if loaded.kind == "native" else None
        attach_logging(self._job.config, "template")
        if self._job.config.PRELOAD == "on":
            refuse_early_connections(self._job.config)
        run_main_listeners(self._app, "main_process_start")
        return loaded

    def _show_title(self, name: str) -> None:
        """A fork of the supervisor would go on under its title, with numbers that are old."""
        set_title(f"{name}: template gen {self._job.generation}")

    def _freeze(self) -> None:
        gc.collect()
        gc.freeze()
        gc.enable()

    def _report(self, loaded: Loaded, unsafe: str) -> Report:
        config = self._job.config
        files = tuple(sorted(imported_files())) if config.AUTO_RELOAD else ()
        self._declared = self._find_companions(loaded)
        return Report(True, loaded.target, unsafe=unsafe, files=files, companions=self._declared)

    def _find_companions(self, loaded: Loaded) -> tuple[CompanionSpec, ...]:
        from vivace.supervisor.loading.declared import specs_of  # not for the supervisor's memory

        return specs_of(self._job, loaded)

    def _obey(self) -> None:
        while (orders := self._channel.receive()) is not None:
            for order in orders:
                if not isinstance(order, Order):
                    continue
                if order.what == "end":
                    return
                self._do(order)

    def _do(self, order: Order) -> None:
        if order.what == "fork":
            self._fork_worker(order.slot, self._channel.take_descriptor(), order.role)
        elif order.what == "reopen":
            reopen_files()
        elif order.what == "ready":
            self._on_ready()
        elif order.what == "serves":
            run_main_listeners(self._app, "main_process_ready")
            self._declare()
        elif order.what == "changed":
            run_main_listeners(self._app, "before_reload_trigger")
            run_main_listeners(self._app, "after_reload_trigger", changed=order.names)

    def _on_ready(self) -> None:
        run_main_listeners(self._app, "main_process_ready")
        if self._find_companions(self._job.load()) != self._declared:  # Sanic's programs do it there
            self._declare()
        if self._job.config.AUTO_RELOAD:
            run_main_listeners(self._app, "reload_process_start")
            self._last_stages = ("reload_process_stop",)

    def _declare(self) -> None:
        self._declared = self._find_companions(self._job.load())
        self._channel.send(Declared(self._declared))

    def _fork_worker(self, slot: int, descriptor: int, role: str) -> None:
        told, tell = os.pipe()
        try:
            between = fork(lambda: self._go_between(slot, descriptor, told, tell, role))
            os.close(tell)
            pid = int(os.read(told, 32) or b"0")
            os.waitpid(between, 0)
            made = Made(slot, pid, "" if pid else "the process between could not fork", role)
        except OSError as error:
            os.close(tell)
            made = Made(slot, 0, error.strerror or str(error), role)
        os.close(told)
        os.close(descriptor)
        self._channel.send(made)

    def _go_between(self, slot: int, descriptor: int, told: int, tell: int, role: str) -> int:
        """Fork the worker and leave at once: nothing that the app registered runs here."""
        os.close(told)
        us = os.getpid()
        pid = fork(lambda: self._become_worker(slot, descriptor, tell, us, role))
        os.write(tell, b"%d" % pid)
        os._exit(0)

    def _become_worker(self, slot: int, descriptor: int, tell: int, between: int, role: str) -> int:
        os.close(tell)
        self._channel.close()
        tie_to(self._supervisor, between)
        return self._make_worker(self._job, Channel(socket.socket(fileno=descriptor)), slot, role)


def run_template(job: Job, channel: Channel, supervisor: int, make_worker: MakeWorker) -> int:
    """Be a template until told to end; the exit code.

    Args:
        job: What to load.
        channel: To the supervisor.
        supervisor: Its process id.
        make_worker: Runs in each worker.
    """
    tie_to(supervisor)
    return Template(job, channel, supervisor, make_worker).run()
