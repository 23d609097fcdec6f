"""What the supervisor does about connection budgets: tells each process its share, and says it at the start.

Rules of this file:

- Before the app is imported only BUDGETS is known; what its code declares is known in its process alone. So
  the variables of a worker hold what BUDGETS says, and the process works out the rest.
- A budget that cannot work stops the start.
"""

import os
from collections.abc import Callable, MutableMapping, Sequence

from vivace.config import Config
from vivace.config.budget import PREFIX, SHARE, describe, parse_budgets
from vivace.errors import ConfigError
from vivace.framework.budget import Budget, all_budgets, bound_by_budgets
from vivace.supervisor.loading.target import Loaded
from vivace.supervisor.system.usage import Place, Watched, count_open, places_of

__all__ = [
    "bind_threads",
    "budget_lines",
    "enter_slot",
    "load_with_budgets",
    "place_background",
    "place_process",
    "refuse_budgets",
    "refuse_early_connections",
    "watched_budgets",
]


def place_process(
    config: Config, slot: int | str | None, environ: MutableMapping[str, str] | None = None
) -> None:
    """Tell a process, or the one that is about to be started, its place: before the app is imported.

    Args:
        config: Of the process, complete; WORKERS is the greatest number that there may ever be.
        slot: Of a worker; the name of a background process; None for the template, whose workers say later.
        environ: Of the process; that of this one if None.

    Raises:
        ConfigError: There is no such slot, or a budget cannot work.
    """
    environ = os.environ if environ is None else environ
    environ["VIVACE_WORKERS"] = str(int(config.WORKERS))
    environ["VIVACE_OVERLAP"] = str(config.OVERLAP)
    if config.BUDGETS:
        environ["VIVACE_BUDGETS"] = config.BUDGETS
    for name, said in parse_budgets(config.BUDGETS).items():
        variable = PREFIX + name.upper()
        if variable in environ:  # it may have been overruled; in the process it must not win again
            environ[variable] = str(said.limit or environ[variable])
    enter_slot(config, slot, environ)


def enter_slot(
    config: Config, slot: int | str | None, environ: MutableMapping[str, str] | None = None
) -> None:
    """Tell a process its slot and its share of each budget: right after the fork, or before it is started.

    Args:
        config: Of the process.
        slot: See `place_process`.
        environ: The same.

    Raises:
        ConfigError: There is no such slot, or a budget cannot work.
    """
    environ = os.environ if environ is None else environ
    if slot is None:
        environ.pop("VIVACE_SLOT", None)
    else:
        environ["VIVACE_SLOT"] = str(slot)
    for budget in _with_limit(config):
        environ[f"{PREFIX}{budget.name.upper()}{SHARE}"] = str(budget.share_of(slot))


def place_background(config: Config, names: Sequence[str], processes: int) -> None:
    """Tell a process beside the workers its part of each budget: of what is set aside for the background.

    Args:
        config: Of the process, complete.
        names: Under which budgets may know it; the first that one of them knows counts.
        processes: How many share what they know.
    """
    budgets = _with_limit(config)
    known = {name for budget in budgets for name, _ in budget.plan.background}
    name = next((name for name in names if name.lower().replace("-", "_") in known), names[0])
    os.environ["VIVACE_SLOT"] = f"{name}/{processes}" if processes > 1 else name
    for budget in budgets:
        variable = f"{PREFIX}{budget.name.upper()}{SHARE}"
        try:
            os.environ[variable] = str(budget.share)
        except ConfigError:  # it has nothing for this process, and says so to who asks for it
            os.environ.pop(variable, None)


def _with_limit(config: Config) -> list[Budget]:
    """Those that have a limit: what BUDGETS says of one that the program declares later may have none."""
    return [budget for budget in all_budgets(config) if budget.has_limit]


def load_with_budgets(load: Callable[[], Loaded], config: Config) -> Loaded:
    """Import the app in a process that knows the numbers, and let THREADS follow the budgets.

    Args:
        load: Imports it.
        config: Of the process.

    Raises:
        ConfigError: A budget cannot work.
    """
    known = config.WORKERS > 1 or config.BUDGETS or "OVERLAP" in config.sources
    if known and "VIVACE_SLOT" not in os.environ:
        place_process(config, None)
    loaded = load()
    refuse_budgets(config)
    own = getattr(loaded.app, "config", None)
    told = own if isinstance(own, Config) else config
    told.warnings.extend(bind_threads(config))
    return loaded


def refuse_budgets(config: Config) -> None:
    """Refuse to start with a budget that cannot work, or with a pool that was made too large at the import.

    Raises:
        ConfigError: There is one; says its table and the ways out.
    """
    for budget in _with_limit(config):
        budget.verify()


def refuse_early_connections(config: Config) -> None:
    """Refuse to fork a process that has connections already: its workers would speak on one of them at once.

    Args:
        config: Of the process, once the app is imported. Names in URLs are looked up.

    Raises:
        ConfigError: There are some.
    """
    for budget in _with_limit(config):
        url = budget.url
        for count in count_open([os.getpid()], places_of(url)).values() if url else ():
            if count:
                raise ConfigError(
                    f"budget {budget.name}: importing the app opened {count} of its connections, which the"
                    " workers would share: open them in a before_server_start listener",
                    key="BUDGETS",
                )


def budget_lines(config: Config) -> list[str]:
    """One line per budget for the message of the start, once the app is imported."""
    return [describe(budget.plan) for budget in _with_limit(config)]


def watched_budgets(config: Config) -> tuple[Watched, ...]:
    """What a worker tells its supervisor, who knows no code of the app: each budget, and where to look.

    Args:
        config: Of the process, once the app is imported. Names in URLs are looked up.
    """
    budgets = _with_limit(config)
    return tuple(Watched(b.plan, places_of(b.url) if b.url else Place(), b.recycle) for b in budgets)


def bind_threads(config: Config) -> list[str]:
    """Lower THREADS to the connections that a worker has, unless a pool lets threads wait; what to say of it.

    Args:
        config: Of the process, once the app is imported.

    Raises:
        ConfigError: THREADS was chosen and is too large.
    """
    text = bound_by_budgets(config, explicit="THREADS" in config.sources)
    return [text] if text else []
