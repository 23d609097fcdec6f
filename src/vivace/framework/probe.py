"""What a PostgreSQL really allows: asked at the start and now and then, and compared with the budget.

Rules of this file:

- The driver is the one that the program has: asyncpg, else psycopg; without one nothing is asked.
- Only a limit that is too high stops a start. A database that cannot be asked, or that others use too, is a
  line in the log: the budget holds without it.
- One short connection at a time. Workers take turns, so that one asks every `EVERY` seconds.
"""

import asyncio
import logging
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlsplit

from vivace.config.budget import Plan
from vivace.errors import ConfigError

if TYPE_CHECKING:
    from vivace.framework.budget import Budget

__all__ = ["EVERY", "Found", "ask", "can_ask", "excess", "problem_with", "watch_budget"]

logger = logging.getLogger("vivace")

EVERY: Final = 60.0
"""Seconds from one question to the next, of all workers of a machine together."""
PATIENCE: Final = 5.0
"""Seconds that an answer may take."""
LINGERING: Final = 5.0
"""Seconds that connections above the budget may stay before it is said: a migration comes and goes."""
_SCHEMES: Final = {"postgres", "postgresql"}
_DEFAULT_PORT: Final = 5432
_QUERY: Final = """
    SELECT session_user::text, current_database()::text, r.rolsuper, r.rolconnlimit, d.datconnlimit,
           current_setting('max_connections')::int
           - current_setting('superuser_reserved_connections')::int
           - coalesce(nullif(current_setting('reserved_connections', true), '')::int, 0),
           current_setting('port')::int,
           (SELECT count(*)::int FROM pg_stat_activity
            WHERE usename = session_user AND datid IS NOT NULL AND pid <> pg_backend_pid())
      FROM pg_roles r, pg_database d
     WHERE r.rolname = session_user AND d.datname = current_database()
"""


class Found(NamedTuple):
    """What the database said.

    Attributes:
        role: Who asked.
        database: Where.
        superuser: The limits of role and database do not bind it.
        role_limit: Connections of the role; negative: any number.
        database_limit: Connections to the database; negative: any number.
        server_limit: Connections of the server, less those that it reserves.
        port: Of the server.
        used: Connections of the role, without the one that asked.
    """

    role: str
    database: str
    superuser: bool
    role_limit: int
    database_limit: int
    server_limit: int
    port: int
    used: int

    @property
    def limit(self) -> tuple[int, str]:
        """The connections that are really allowed, and who allows no more."""
        limits = [(self.server_limit, "the server")]
        if not self.superuser and self.role_limit >= 0:
            limits.append((self.role_limit, f"the role {self.role}"))
        if not self.superuser and self.database_limit >= 0:
            limits.append((self.database_limit, f"the database {self.database}"))
        return min(limits)


def can_ask(url: str | None) -> bool:
    """Whether the URL is one of PostgreSQL and there is a driver."""
    return bool(url) and _scheme(str(url)) in _SCHEMES and _driver() is not None


def _scheme(url: str) -> str:
    return url.partition(":")[0].partition("+")[0].lower()


def _driver() -> str | None:
    return next((name for name in ("asyncpg", "psycopg") if find_spec(name) is not None), None)


async def ask(url: str) -> Found:
    """Ask the database.

    Args:
        url: For which `can_ask` says yes.

    Raises:
        OSError: It cannot be asked, or takes longer than `PATIENCE`.
    """
    scheme, colon, rest = url.partition(":")
    plain = scheme.partition("+")[0] + colon + rest
    fetch = _ask_asyncpg if _driver() == "asyncpg" else _ask_psycopg
    try:
        async with asyncio.timeout(PATIENCE):
            return Found(*await fetch(plain))
    except TimeoutError:
        raise OSError(f"no answer within {PATIENCE:g} s") from None
    except Exception as error:  # each driver has a tree of its own
        raise OSError(f"{type(error).__name__}: {error}") from error


async def _ask_asyncpg(url: str) -> Any:
    connection = await import_module("asyncpg").connect(url, statement_cache_size=0)
    try:
        return await connection.fetchrow(_QUERY)
    finally:
        await connection.close()


async def _ask_psycopg(url: str) -> Any:
    connection = await import_module("psycopg").AsyncConnection.connect(url, autocommit=True)
    async with connection:
        return await (await connection.execute(_QUERY)).fetchone()


def _is_direct(url: str, found: Found) -> bool:
    """Whether the server itself listens at the URL: behind a pooler its limits are not the ones that bind."""
    try:
        port = urlsplit(url).port
    except ValueError:  # several hosts
        return True
    return (port or _DEFAULT_PORT) == found.port or "port=" in url


def problem_with(plan: Plan, found: Found) -> str:
    """What is wrong with a budget that shares out more than there is; empty if it does not.

    Args:
        plan: The budget.
        found: What the database said.
    """
    most, whose = found.limit
    if plan.limit <= most:
        return ""
    return (
        f"budget {plan.name} shares out {plan.limit} connections, but {whose} allows {most}: use"
        f" --budget {plan.name}={most}"
    )


def excess(plan: Plan, found: Found) -> str:
    """What to say when more is in use than workers and background processes may take; empty if less is.

    Args:
        plan: The budget.
        found: What the database said.
    """
    shared = plan.limit - plan.reserve
    if found.used <= shared:
        return ""
    machines = plan.instances + plan.surge
    return (
        f"budget {plan.name}: the role {found.role} holds {found.used} connections, of which {shared} are"
        f" shared out; something else uses it too, or there are more machines than {machines}"
    )


def watch_budget(app: Any, budget: "Budget", *, probe: bool) -> None:
    """Let an app refuse to start with a sum that cannot work, and ask the database now and then.

    Args:
        app: The app.
        budget: One of its budgets.
        probe: Ask the database.
    """

    async def check_budget(app: Any) -> None:
        plan, url = budget.plan, budget.url
        budget.verify()
        if not probe or url is None or not can_ask(url):
            return
        if budget.slot in {0, None}:
            await _check(plan, url)
        app.add_task(_watch(budget, url), name=f"vivace-budget-{budget.name}")

    app.before_server_start(check_budget, priority=1 << 30)


async def _check(plan: Plan, url: str) -> None:
    try:
        found = await ask(url)
    except OSError as error:
        logger.warning("budget %s: the database cannot be asked what it allows: %s", plan.name, error)
        return
    problem = problem_with(plan, found)
    if problem and _is_direct(url, found):
        raise ConfigError(problem, key="BUDGETS")
    if problem:
        logger.warning("%s, unless a pooler in between has a limit of its own", problem)


async def _watch(budget: "Budget", url: str) -> None:
    said = False
    turn, turns = (budget.slot or 0) + 1, budget.plan.slots
    await asyncio.sleep(EVERY * turn)
    while True:
        text = await _excess_that_stays(budget, url)
        if text and not said:
            logger.warning("%s", text)
        said = bool(text)
        await asyncio.sleep(EVERY * turns)


async def _excess_that_stays(budget: "Budget", url: str) -> str:
    try:
        text = excess(budget.plan, await ask(url))
        if text:
            await asyncio.sleep(LINGERING)
            text = excess(budget.plan, await ask(url))
    except OSError as error:
        logger.debug("budget %s: the database cannot be asked what is in use: %s", budget.name, error)
        return ""
    return text
