"""Where serving begins: in this process or under a supervisor, or as a template of one.

Rules of this file:

- What can go wrong before anything is served is found here, in this order: certificates, HUB_URL, TASKS_URL,
  the pid file, the sockets.
"""

import logging
import os
import signal
import sys
from functools import partial
from typing import Final, NoReturn

from vivace.config.platform import fit_platform
from vivace.errors import ConfigError, StartupError
from vivace.supervisor.beside.hub import VARIABLE as HUB
from vivace.supervisor.generations.generation import Summons
from vivace.supervisor.generations.template import run_template
from vivace.supervisor.ipc.messages import Report
from vivace.supervisor.listening.activation import hand_over
from vivace.supervisor.listening.sockets import Listeners
from vivace.supervisor.loading.job import Job, with_tls
from vivace.supervisor.supervisor import Supervisor
from vivace.supervisor.system.children import STOPS
from vivace.supervisor.telling.service import Service
from vivace.supervisor.telling.voice import announce
from vivace.supervisor.upgrade import predecessor
from vivace.supervisor.workers.work import work

__all__ = ["launch", "needs_supervisor", "serve_as_template"]

logger = logging.getLogger("vivace")

_VARIABLE: Final = "_VIVACE_SUPERVISED"


def launch(job: Job) -> int:
    """Serve in this process or in several, until a signal ends it; the exit code.

    Raises:
        ConfigError: The certificates, HUB_URL, HUB_JOURNAL or TASKS_URL cannot be used.
        StartupError: The address cannot be used; exit code 4.
    """
    try:
        return _launch(job)
    except (ConfigError, StartupError) as error:
        if job.config.ALARM:
            from vivace.supervisor.telling.last_words import failed_start

            failed_start(job.config, str(error))
        raise


def _launch(job: Job) -> int:
    os.environ.pop(HUB, None)  # of a server that has started this one as a daemon: each has a hub of its own
    fit_platform(job.config, os.environ, os.getpid())
    job = with_tls(job)
    if job.config.HUB_URL or job.config.HUB_JOURNAL:
        from vivace.hub.checks import check_settings

        job.config.warnings.extend(check_settings(job.config))
    if job.config.TASKS_URL:
        from vivace.tasks.spool import check_url as check_tasks_url

        check_tasks_url(job.config.TASKS_URL)
    before = predecessor()
    service = Service(job.config.PID_FILE, before=before.pid if before is not None else 0)
    service.check()
    listeners = Listeners(job.config, job.sock)
    if before is not None:
        listeners.before = before.pid
        service.on_ready = before.tell
    try:
        if needs_supervisor(job, told=service.notifier.active) or before is not None:
            return Supervisor(job, listeners, service).run()
        from vivace.supervisor.loading.declared import NeedsSupervisor
        from vivace.supervisor.workers.worker import run_worker

        try:
            return run_worker(job, listeners, partial(_tell, job, listeners, service))
        except NeedsSupervisor:
            if job.again is None:
                return Supervisor(job, listeners, service).run()
            _begin_again(listeners, service)
    finally:
        listeners.close()
        listeners.remove()
        service.close()


def needs_supervisor(job: Job, *, told: bool) -> bool:
    """Whether one process is not enough.

    Args:
        job: What is to be served.
        told: A manager of services waits for news, and expects a reload to be possible.
    """
    config = job.config
    limits = config.WORKER_MAX_REQUESTS or config.WORKER_MAX_LIFETIME or config.WORKER_MAX_MEMORY
    limits = limits or config.WORKER_MEMORY_LIMIT
    if "LOOP_TIMEOUT" in config.sources:
        limits = limits or config.LOOP_TIMEOUT
    # The first process of a container has orphans to reap, which a worker must not do under its app's hands.
    asked = told or os.getpid() == 1 or config.SUPERVISE == "on" or config.ADMIN_BIND or config.STATS_BIND
    asked = bool(os.environ.pop(_VARIABLE, "")) or asked or config.DAEMON or config.PROCFILE or config.HOOKS
    # Others want to find the hub, or to be told of a crash: there has to be a process that does it.
    asked = asked or config.HUB_SOCKET or config.ALARM or config.TOUCH_RELOAD
    return bool(config.WORKERS > 1 or asked or config.AUTO_RELOAD or limits) and job.signals


def _begin_again(listeners: Listeners, service: Service) -> NoReturn:
    """Run this program again under a supervisor: this process has code of the app in it already."""
    command = [sys.executable, *sys.orig_argv[1:]]
    told = {_VARIABLE: "on", **service.notifier.environ, **hand_over(listeners.handed_on())}
    for number in STOPS:
        signal.signal(number, signal.SIG_DFL)
    os.execve(command[0], command, {**os.environ, **told})  # noqa: S606


def _tell(job: Job, listeners: Listeners, service: Service, report: Report) -> None:
    for warning in dict.fromkeys([*job.config.warnings, *report.warnings]):
        logger.warning("%s", warning)
    announce(report, listeners, job, supervised=False)
    if report.ready:
        service.ready()


def serve_as_template(job: Job, called: Summons) -> int:
    """Be the template of a program that its supervisor has run again; the exit code.

    Args:
        job: What the program wants served.
        called: What the supervisor says.
    """
    fit_platform(job.config, os.environ, called.supervisor)
    listeners = Listeners.adopt(called.sockets, called.plain)
    job = with_tls(job)._replace(generation=called.generation, board=called.board)
    return run_template(job, called.channel, called.supervisor, partial(work, listeners))
