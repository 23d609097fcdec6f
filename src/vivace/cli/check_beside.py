"""What `vivace check` says of the processes that would run beside the workers, and of logs and alarms.

Rules of this file: nothing is started, and nothing sent; a program that is not there is a problem: it would
fail then.
"""

import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vivace.config import Config
from vivace.config.alarms import parse_alarms
from vivace.config.daemons import Daemon, daemons_of_procfile, parse_daemons
from vivace.config.places import parse_places
from vivace.config.stages import STAGES, parse_stages
from vivace.errors import ConfigError

__all__ = ["missing_programs", "names_beside", "unusable_places"]


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


def unusable_places(config: Config) -> Iterator[str]:
    """Places of LOG_TO and targets of ALARM that cannot be used, in words."""
    from vivace.framework.alarms.targets import targets_of
    from vivace.server.logs.places import make_place

    for place in parse_places(config.LOG_TO.split()):
        try:
            if place.scheme != "file":  # which would be made
                make_place(place, "vivace", config.LOG_KEY).close()
        except ConfigError as error:
            yield str(error)
    for rule in parse_alarms(config.ALARM):
        try:
            targets_of(rule)
        except ConfigError as error:
            yield str(error)
        for target in rule.to:
            program = shlex.split(target[5:])[0] if target.startswith("exec:") else ""
            if program and not _is_there(program, ""):
                yield f"ALARM: there is no program {program}"


def _daemons(config: Config) -> list[Daemon]:
    return [*parse_daemons(config.DAEMON), *daemons_of_procfile(config.PROCFILE)]


def _is_there(program: str, folder: str) -> bool:
    return shutil.which(str(Path(folder, program)) if "/" in program else program) is not None
