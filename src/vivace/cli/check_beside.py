"""What `vivace check` says of the processes that would run beside the workers.

Rules of this file: nothing is started; a program that is not there is a problem: it would fail then.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vivace.config import Config
from vivace.config.daemons import Daemon, daemons_of_procfile, parse_daemons
from vivace.config.stages import STAGES, parse_stages

__all__ = ["missing_programs", "names_beside"]


def names_beside(app: Any, config: Config) -> list[str]:
    """Daemons, and what the app declares, such as ``counter (service)`` or ``voucher (pool, 2 processes)``.

    Args:
        app: That is loaded; None: there is none.
        config: The settings.
    """
    from vivace.framework.beside import all_companions

    found = [f"{daemon.name} (daemon)" for daemon in _daemons(config)]
    for placed in all_companions(app):
        count = placed.companion.count(config)
        more = f", {count} processes" if count > 1 else ""
        found += [f"{placed.companion.name} ({placed.companion.kind}{more})"] if count else []
    return found


def missing_programs(config: Config) -> Iterator[str]:
    """What cannot be started, in words."""
    for daemon in _daemons(config):
        if not daemon.shell and not _is_there(daemon.cmd[0], daemon.cwd):
            yield f"daemon {daemon.name}: there is no program {daemon.cmd[0]}"
    stages = parse_stages(config.HOOKS)
    for stage in STAGES:
        for command in stages.at(stage):
            if not _is_there(command[0], ""):
                yield f"{stage} of [hooks]: there is no program {command[0]}"


def _daemons(config: Config) -> list[Daemon]:
    return [*parse_daemons(config.DAEMON), *daemons_of_procfile(config.PROCFILE)]


def _is_there(program: str, folder: str) -> bool:
    return shutil.which(str(Path(folder, program)) if "/" in program else program) is not None
