"""Connection budgets of a process: what this worker may open, in the words of each driver's pool.

    budget = app.budget("postgres", limit=20)
    pool = await asyncpg.create_pool(url, **budget.asyncpg())

Rules of this file:

- No driver is imported or patched: a budget gives arguments, and refuses those that are more than the share.
- Numbers are worked out when they are asked for: the app is imported before its process knows its slot. As
  long as it does not, it gets the least share, which is right for every slot.
- A process has one budget of a name.
"""

import os
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

from vivace.config import Config
from vivace.config.budget import Declaration, Plan, name_budget, parse_budgets, refusal
from vivace.errors import ConfigError, DeclarationError
from vivace.framework.lease import Gate, Lease
from vivace.framework.probe import watch_budget

__all__ = ["Budget", "Budgeted", "all_budgets", "bound_by_budgets", "declare", "fit_threads", "forget"]

_SLOT: Final = "VIVACE_SLOT"
_URLS: Final = {"postgres": ("DATABASE_URL",), "redis": ("REDIS_TLS_URL", "REDIS_URL")}
"""Where platforms put the URL of what a budget of this name is about."""
HUB_CONNECTIONS: Final = 2
"""What the hub of a machine holds, whatever goes through it."""
_ENFORCE: Final = ("warn", "recycle")
_declared: dict[str, "Budget"] = {}


class Budget:
    """A budget and this process's share of it.

    Args:
        name: Such as ``postgres``.
        said: What the program says; BUDGETS beats it.
        config: Gives the settings.
        url: Of the resource; None: where BUDGETS says, or where platforms put it.

    Attributes:
        name: In lower case, with ``_``.
        recycle: A worker that holds more than its share is replaced.
        leased: Connections that this machine holds a lease of; None: it needs none, or has none yet.
    """

    def __init__(self, name: str, said: Declaration, config: Callable[[], Config], url: str | None) -> None:
        self.name = name
        self._said = said
        self._config = config
        self._url = url
        self.leased: int | None = None
        self.recycle = False
        self._gate: Gate | None = None
        self._handed = 0

    @property
    def plan(self) -> Plan:
        """Every number of it.

        Raises:
            ConfigError: Nobody said a limit, or the number of machines cannot be read.
        """
        config, said = self._config(), self._all_said
        if said.limit is None:
            raise ConfigError(
                f"budget {self.name} has no limit: give limit=, BUDGET_{self.name.upper()}=20 or"
                f" --budget {self.name}=20",
                key="BUDGETS",
            )
        workers, overlap = _told("WORKERS", config), _told("OVERLAP", config)
        said = said._replace(background=self._with_hub(said.background or ()))
        plan = Plan.of(self.name, said, _count_machines(self.name, said.instances), workers, overlap)
        return plan if self.leased is None else plan.lease(self.leased)

    def _with_hub(self, background: tuple[tuple[str, int], ...]) -> tuple[tuple[str, int], ...]:
        """The hub of this machine is one of the processes that connect, if its engine is this resource."""
        hub_url, url = self._config().HUB_URL, self.url
        if not hub_url or not url:
            return background
        from vivace.hub.engines.urls import same_server

        if not same_server(hub_url, url):
            return background
        return background if "hub" in dict(background) else (*background, ("hub", HUB_CONNECTIONS))

    @property
    def has_limit(self) -> bool:
        """Whether somebody said a limit."""
        return self._all_said.limit is not None

    @property
    def waits(self) -> bool:
        """Whether a pool lets threads wait: it was made with what this gave, or somebody said so."""
        return self._handed > 0 or bool(self._all_said.waits)

    @property
    def _all_said(self) -> Declaration:
        return self._said.under(parse_budgets(self._config().BUDGETS).get(self.name, Declaration()))

    @property
    def url(self) -> str | None:
        """Of the resource; None if nobody said it."""
        if self._url is not None:
            return self._url
        said = self._all_said.url
        names = (said,) if said else _URLS.get(self.name, ())
        return next((os.environ[name] for name in names if os.environ.get(name)), None)

    @property
    def slot(self) -> int | None:
        """The slot of this worker; None as long as the process is none, or does not know it."""
        text = os.environ.get(_SLOT, "")
        return int(text) if text.isascii() and text.isdecimal() else None

    @property
    def machine(self) -> int:
        """The part of this machine."""
        return self.plan.machine

    @property
    def share(self) -> int:
        """The connections that this process may open.

        Raises:
            ConfigError: There is not one for each worker and each of its pools, or none for this process.
        """
        role = os.environ.get(_SLOT, "")
        return self.share_of(self.slot if self.slot is not None else role or None)

    def share_of(self, slot: int | str | None) -> int:
        """The connections that another process may open.

        Args:
            slot: Of a worker; the name of a background process; None: a worker whose slot is not known.

        Raises:
            ConfigError: See `share`.
        """
        plan = self.plan
        problem = refusal(plan)
        if problem:
            config = self._config()
            said = self.name in parse_budgets(config.BUDGETS)
            source = config.sources.get("BUDGETS", "") if said else ""
            raise ConfigError(
                problem + (f"\nIts numbers come from: {source}" if source else ""), key="BUDGETS"
            )
        if isinstance(slot, str):
            return _background_share(plan, slot)
        try:
            return plan.share(slot)
        except ValueError as error:
            raise ConfigError(str(error), key="BUDGETS") from None

    @property
    def pool(self) -> int:
        """The connections of each of its pools in this process: the share, divided by ``aliases``."""
        return max(self.share // self.plan.aliases, 1)

    def asyncpg(self, **more: Any) -> dict[str, Any]:
        """Arguments for ``asyncpg.create_pool``.

        Args:
            more: Others for it; they may be less than the share.

        Raises:
            ConfigError: They are more than the share.
        """
        given = {"min_size": 1, "max_size": self.pool, "max_inactive_connection_lifetime": 60.0, **more}
        self._hand("max_size", given["max_size"])
        self._hand("min_size", given["min_size"])
        return given

    def psycopg(self, **more: Any) -> dict[str, Any]:
        """Arguments for ``ConnectionPool`` and ``AsyncConnectionPool`` of psycopg_pool.

        Args:
            more: Others for it; they may be less than the share.

        Raises:
            ConfigError: They are more than the share.
        """
        given = {"min_size": 1, "max_size": self.pool, "max_idle": 60.0, **more}
        if given["max_size"] is None:  # psycopg_pool means min_size by it
            given["max_size"] = given["min_size"]
        self._hand("max_size", given["max_size"])
        self._hand("min_size", given["min_size"])
        return given

    def django(self, **more: Any) -> dict[str, Any]:
        """The value of ``DATABASES[...]["OPTIONS"]["pool"]``, for Django 5.1 and psycopg.

        Args:
            more: As for `psycopg`.

        Raises:
            ConfigError: They are more than the share.
        """
        return self.psycopg(**more)

    def sqlalchemy(self, **more: Any) -> dict[str, Any]:
        """Arguments for ``create_engine`` and ``create_async_engine``.

        Args:
            more: Others for it; they may be less than the share.

        Raises:
            ConfigError: They are more than the share, or mean no bound at all.
        """
        given = {"pool_size": self.pool - more.get("max_overflow", 0), "max_overflow": 0, **more}
        size, overflow = given["pool_size"], given["max_overflow"]
        if size < 1 or overflow < 0:
            raise ConfigError(f"budget {self.name}: pool_size {size}, max_overflow {overflow} is no bound")
        self._hand("pool_size + max_overflow", size + overflow)
        return given

    def redis(self, **more: Any) -> dict[str, Any]:
        """Arguments for ``BlockingConnectionPool`` of redis-py, sync or asyncio.

        Args:
            more: Others for it; they may be less than the share.

        Raises:
            ConfigError: They are more than the share.
        """
        given = {"max_connections": self.pool, "timeout": 20, **more}
        self._hand("max_connections", given["max_connections"])
        return given

    def lease(self, timeout: float | None = None) -> Lease:
        """Wait until one of the share's connections may be opened: for drivers that have no pool.

        >>> async with budget.lease(): ...
        >>> with budget.lease(): ...

        Args:
            timeout: Seconds to wait; then TimeoutError. None waits for ever.

        Raises:
            ConfigError: See `share`.
        """
        if self._gate is None:
            self._gate = Gate(self.pool)
            self._hand("lease", self.pool)
        return Lease(self._gate, timeout)

    def verify(self) -> None:
        """Make sure that no pool was made too large before this process knew its place.

        Raises:
            ConfigError: One was, or see `share`.
        """
        if self._handed > self.pool:
            raise ConfigError(
                f"budget {self.name}: a pool of {self._handed} connections was made when it was not known yet"
                f" that there are {self.plan.workers} workers, of which this one has {self.pool}: say the"
                " number by --workers, VIVACE_WORKERS or WEB_CONCURRENCY, or make the pool in a"
                " before_server_start listener",
                key="BUDGETS",
            )

    def _hand(self, what: str, count: int) -> None:
        """Remember what a pool was given."""
        most = self.pool
        if count > most:
            whose = "this process" if self.plan.aliases == 1 else f"each of {self.plan.aliases} pools"
            raise ConfigError(
                f"budget {self.name}: {what} {count} is more than the {most} connections of {whose}",
                key="BUDGETS",
            )
        self._handed = max(self._handed, count)

    def __repr__(self) -> str:
        return f"<Budget {self.name}>"


def _told(name: str, config: Config) -> int:
    """A setting that the supervisor knows better than an app that is imported before its options are read."""
    text = os.environ.get(f"VIVACE_{name}", "")
    told = int(text) if text.isascii() and text.isdecimal() else None
    own: int = config[name]
    if told is None:
        return own
    return told if os.environ.get(_SLOT) else max(told, own)


def _count_machines(name: str, said: int | str | None) -> int:
    if not isinstance(said, str):
        return said or 1
    text = os.environ.get(said, "").strip()
    if text and not (text.isascii() and text.isdecimal() and int(text) > 0):
        raise ConfigError(f"budget {name}: {said}={text!r} is no number of machines", key="BUDGETS")
    return int(text or 1)


def _background_share(plan: Plan, role: str) -> int:
    counts = dict(plan.background)
    name, _, processes = role.partition("/")
    try:
        return _part(plan, name, counts[name_budget(name)], int(processes or 1))
    except (KeyError, ValueError):
        known = ", ".join(counts) or "none"
        raise ConfigError(
            f"budget {plan.name} has nothing for {_SLOT}={role!r}; background processes are: {known}",
            key="BUDGETS",
        ) from None


def _part(plan: Plan, role: str, count: int, processes: int) -> int:
    """What one of several processes of a role may open."""
    if count < processes:
        raise ConfigError(
            f"budget {plan.name}: {count} connections for {role}, which are {processes} processes;"
            f" give them at least {processes}: background={role}:{processes}",
            key="BUDGETS",
        )
    return count // processes


def declare(
    name: str,
    *,
    config: Callable[[], Config],
    url: str | None = None,
    limit: int | None = None,
    reserve: int | None = None,
    background: Mapping[str, int] | int | None = None,
    instances: int | str | None = None,
    surge: int | None = None,
    aliases: int | None = None,
    waits: bool | None = None,
) -> Budget:
    """Declare the budget of a name, instead of one that was declared before; see `Budgeted.budget`.

    Args:
        name: The same.
        config: Gives the settings.
        url: The same.
        limit: The same.
        reserve: The same.
        background: The same.
        instances: The same.
        surge: The same.
        aliases: The same.
        waits: The same.

    Raises:
        DeclarationError: Something of it cannot be.
    """
    numbers = {
        "limit": limit,
        "reserve": reserve,
        "background": background,
        "instances": instances,
        "surge": surge,
        "aliases": aliases,
        "waits": waits,
    }
    given = {key: value for key, value in numbers.items() if value is not None}
    try:
        key = name_budget(name)
        said = parse_budgets({key: given})[key] if given else Declaration()
    except (TypeError, ValueError) as error:
        raise DeclarationError(f"budget {name!r}: {given} cannot be used: {error}") from None
    budget = _declared[key] = Budget(key, said, config, url)
    return budget


def forget() -> None:
    """Forget what was declared: for tests and for a program that loads its app anew."""
    _declared.clear()


def all_budgets(config: Config) -> list[Budget]:
    """The budgets of this process: what its code declared, then what only BUDGETS has.

    Args:
        config: For the latter.
    """
    outside = (name for name in parse_budgets(config.BUDGETS) if name not in _declared)
    return [*_declared.values(), *(Budget(name, Declaration(), lambda: config, None) for name in outside)]


def fit_threads(asked: int, budgets: list[Budget], *, explicit: bool) -> tuple[int, str]:
    """As many threads as each budget has connections for, unless its pool lets them wait.

    Args:
        asked: THREADS; 0, which is the worker's own thread, stays.
        budgets: Of this process.
        explicit: Somebody chose the number.

    Returns:
        The number, and what to say of it; empty if it is what was asked for.

    Raises:
        ConfigError: It was chosen and is too large.
    """
    strict = [b for b in budgets if b.has_limit and not b.waits and b.share < asked]
    if not strict:
        return asked, ""
    least = min(strict, key=lambda budget: budget.share)
    why = f"a worker has {least.share} connections of budget {least.name}, and each thread may open one"
    if explicit:
        raise ConfigError(
            f"THREADS is {asked}, but {why}: use --threads {least.share}, or a pool that lets threads wait,"
            f" made with what the budget gives or declared by --budget {least.name}=waits=1",
            key="THREADS",
        )
    return least.share, f"THREADS is {least.share} instead of {asked}: {why}"


def bound_by_budgets(config: Config, *, explicit: bool) -> str:
    """Lower THREADS of a configuration to what the budgets of this process allow.

    Args:
        config: Of the process.
        explicit: Somebody chose THREADS.

    Returns:
        What to say of it; empty if nothing changed.

    Raises:
        ConfigError: It was chosen and is too large.
    """
    threads, text = fit_threads(config.THREADS, all_budgets(config), explicit=explicit)
    if text:
        config.override({"THREADS": threads}, "budget")
    return text


class Budgeted:
    """What an app can say of its connections."""

    __slots__ = ()

    config: Any

    def budget(
        self,
        name: str,
        *,
        url: str | None = None,
        limit: int | None = None,
        reserve: int | None = None,
        background: Mapping[str, int] | int | None = None,
        instances: int | str | None = None,
        surge: int | None = None,
        aliases: int | None = None,
        waits: bool | None = None,
        coordinate: bool = False,
        wait: float = 60.0,
        enforce: Literal["warn", "recycle"] = "warn",
        probe: bool = True,
    ) -> Budget:
        """Share the connections of a database or another resource out among workers and machines.

        What BUDGETS says of the budget (``--budget``, ``BUDGET_<NAME>``, files) beats the arguments.

        Args:
            name: Such as ``postgres``.
            url: Of the resource: what is really allowed is asked there at the start. Default: what the
                variable holds that BUDGETS names, for ``postgres`` DATABASE_URL.
            limit: Connections that it grants to all of us.
            reserve: Kept for people, migrations and cron. Default: a tenth, at least 2.
            background: Other processes per machine, connections by name.
            instances: Machines, or the name of the variable that says how many. Default 1.
            surge: Machines alive beyond that during a deploy. Default 0.
            aliases: Pools that each worker opens. Default 1.
            waits: They let threads wait, so that there may be more threads than connections. Default: if they
                were made with what the budget gives.
            coordinate: Lease this machine's part in the Redis or PostgreSQL of HUB_URL, so that all machines
                together never take more, however many there are. `instances` says what one would like.
            wait: Seconds for which a machine that starts waits for others to give theirs back.
            enforce: What happens to a worker that holds more than its share for a minute: it is named in the
                log, or also replaced.
            probe: Ask a PostgreSQL at the URL what it allows.

        Raises:
            DeclarationError: Something of it cannot be.
        """
        budget = declare(
            name,
            config=lambda: self.config,
            url=url,
            limit=limit,
            reserve=reserve,
            background=background,
            instances=instances,
            surge=surge,
            aliases=aliases,
            waits=waits,
        )
        if enforce not in _ENFORCE:
            raise DeclarationError(f"budget {name!r}: enforce={enforce!r} is none of {', '.join(_ENFORCE)}")
        budget.recycle = enforce == "recycle"
        if coordinate:
            from vivace.framework.leasing import lease_budget  # not on every system, and seldom used

            lease_budget(self, budget, wait)
        watch_budget(self, budget, probe=probe)
        return budget
