"""The companions that an app declares, as the supervisor is told of them."""

from types import SimpleNamespace
from typing import TYPE_CHECKING

from vivace.config import Config
from vivace.supervisor.ipc.spec import CompanionSpec
from vivace.supervisor.loading.app_config import app_config
from vivace.supervisor.loading.job import Job
from vivace.supervisor.loading.target import Loaded

if TYPE_CHECKING:
    from vivace.framework.beside import Placed

__all__ = ["NeedsSupervisor", "placed_of", "specs_of"]


class NeedsSupervisor(Exception):
    """An app that was to be served in one process has processes beside its workers."""


def placed_of(loaded: Loaded, config: Config) -> "list[Placed]":
    """The companions of an app, and the process that tells of alarms if anybody is to be told.

    Args:
        loaded: The app.
        config: Complete.

    Raises:
        DeclarationError: Two have one name.
    """
    # Late: a worker that hosts another's app never loads the framework.
    from vivace.framework.alarms.declare import companion
    from vivace.framework.beside import Placed, all_companions

    native = loaded.kind == "native"
    found = list(all_companions(loaded.app)) if native else []
    if config.ALARM or (native and any(one.alarm_functions for one in loaded.app.mounted_apps())):
        found.append(Placed(loaded.app if native else SimpleNamespace(name=loaded.target), companion()))
    return found


def specs_of(job: Job, loaded: Loaded) -> tuple[CompanionSpec, ...]:
    """The companions of an app, and of the apps that are mounted in it.

    Args:
        job: Of the process.
        loaded: The app.

    Raises:
        DeclarationError: Two have one name.
    """
    if loaded.kind != "native" and not job.config.ALARM:
        return ()
    config = app_config(job, loaded)
    placed = placed_of(loaded, config)
    return tuple(
        CompanionSpec(
            one.name,
            one.count(config),
            one.restart,
            config.GRACEFUL_SHUTDOWN_TIMEOUT if one.grace is None else one.grace,
            one.kind,
            one.tells,
            one.early,
            one.keeps,
        )
        for _, one in placed
    )
