"""The companions that an app declares, as the supervisor is told of them."""

from vivace.supervisor.app_config import app_config
from vivace.supervisor.beside.spec import CompanionSpec
from vivace.supervisor.job import Job
from vivace.supervisor.target import Loaded

__all__ = ["NeedsSupervisor", "specs_of"]


class NeedsSupervisor(Exception):
    """An app that was to be served in one process has processes beside its workers."""


def specs_of(job: Job, loaded: Loaded) -> tuple[CompanionSpec, ...]:
    """The companions of an app, and of the apps that are mounted in it.

    Args:
        job: Of the process.
        loaded: The app.

    Raises:
        DeclarationError: Two have one name.
    """
    if loaded.kind != "native":
        return ()
    from vivace.framework.beside import all_companions  # a worker that hosts another's app never loads it

    placed = list(all_companions(loaded.app))
    if not placed:
        return ()
    config = app_config(job, loaded)
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
