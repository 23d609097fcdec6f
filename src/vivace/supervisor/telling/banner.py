"""What is said at the start: five lines, so that nobody wonders what runs, where and how."""

import os
import platform
import sys
from collections.abc import Sequence

import vivace
from vivace._build import PURE, compiled_modules
from vivace.config import Config
from vivace.config.workers import show_workers
from vivace.supervisor.ipc.messages import Report

__all__ = ["banner", "describe_build"]


def describe_build() -> str:
    """Which Python runs, and which build of Vivace as far as it is loaded."""
    compiled = compiled_modules()
    build = f"compiled build ({len(compiled)} modules)" if compiled else "pure Python build"
    if PURE:
        build += " (VIVACE_PURE=1)"
    python = platform.python_version()
    return f"{platform.python_implementation()} {python}, Vivace {vivace.__version__}, {build}"


def banner(
    report: Report, addresses: Sequence[str], config: Config, *, supervised: bool = False
) -> list[str]:
    """The lines of the start.

    Args:
        report: Of the first worker that serves.
        addresses: Where it listens.
        config: Of the process.
        supervised: A supervisor keeps the workers.
    """
    several = supervised and config.WORKERS != 1
    who = f"1 process (pid {os.getpid()})"
    if supervised:
        many = "worker process" if config.WORKERS == 1 else "worker processes"
        who = f"{show_workers(config.WORKERS)} {many}, supervisor pid {os.getpid()}"
    stop = "stop it with Ctrl-C" if sys.stderr is not None and sys.stderr.isatty() else "stop it with SIGTERM"
    threads = f"up to {report.threads} threads" if report.threads else "no threads: what blocks runs inline"
    mode = "debug mode, " if config.DEBUG else ""
    return [
        *(config.LOGO or "").splitlines(),
        f"Serving {report.text}",
        *(f"Mounted at {mount}" for mount in report.mounts),
        *report.budgets,
        f"Listening on {', '.join(addresses)}",
        f"{who}, {'each ' if several else ''}1 event loop ({report.loop}) and {threads}",
        report.build,
        f"{mode.capitalize()}one server for development and production; {stop}"
        if mode
        else f"One server for development and production; {stop}",
    ]
