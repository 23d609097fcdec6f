"""A connection to a PostgreSQL: made, named, asked for signs of life; and words for what goes wrong.

Rules of this file:

- asyncpg, without its pool: each of the two connections is made here.
- A connection that does not answer in time is given up.
"""

import logging
from typing import Any, Final

import asyncpg  # type: ignore[import-untyped]

from vivace.hub.engines.postgres_rows import Questions
from vivace.hub.engines.postgres_schema import VERSION, Names, script
from vivace.hub.engines.upkeep import LinkDown, Timing
from vivace.hub.engines.urls import hide_password

__all__ = ["LOST", "connect", "explain", "prepare"]

logger = logging.getLogger("vivace")

LOST: Final = (OSError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError, TimeoutError)
"""What a lost connection raises; and the classes of `_PASSING`."""
_LOCK: Final = 0x7669_7661_6365  # any number of our own

_COMMAND: Final = "python -m vivace.hub.engines.postgres_schema"
_POOLER: Final = (
    "a pooler that shares connections is in between (pgbouncer?): let HUB_URL lead to the server itself"
)
_REMEDIES: Final[tuple[tuple[type[Exception], str], ...]] = (
    (
        asyncpg.TooManyConnectionsError,
        "it has no room for another connection, of the 2 that this machine needs: see pg_stat_activity",
    ),
    (asyncpg.InvalidPasswordError, "it does not accept the user or the password in HUB_URL"),
    (asyncpg.InvalidAuthorizationSpecificationError, "it does not let the user in HUB_URL in"),
    (asyncpg.InvalidCatalogNameError, "it has no database of the name in HUB_URL"),
    (asyncpg.CannotConnectNowError, "it is starting or stopping: wait, it is tried again"),
    (asyncpg.ReadOnlySQLTransactionError, "it is a standby, which cannot be written to: name the primary"),
    (
        asyncpg.InsufficientPrivilegeError,
        f"the role may not create or use the hub's tables: let their owner run the output of {_COMMAND}",
    ),
    (asyncpg.InvalidSQLStatementNameError, _POOLER),
    (asyncpg.DuplicatePreparedStatementError, _POOLER),
    (asyncpg.DiskFullError, "its disk is full"),
    (asyncpg.AdminShutdownError, "it ended the connection: it is restarted, or somebody did"),
    (asyncpg.CrashShutdownError, "it ended the connection: it has crashed, and comes back"),
)


async def connect(url: str, name: str, timing: Timing) -> Any:
    """Make a connection.

    Args:
        url: Of the database.
        name: What ``pg_stat_activity`` calls it.
        timing: How long that may take.

    Raises:
        Exception: It cannot be had; see `explain`.
    """
    options: dict[str, Any] = {
        "timeout": timing.connect_timeout,
        "command_timeout": max(timing.patience, timing.ping_timeout),
        "server_settings": {"application_name": name.encode("ascii", "replace").decode()[:63]},
    }
    return await asyncpg.connect(url, **options)


async def prepare(connection: Any, names: Names, questions: Questions) -> None:
    """Make the tables and functions if they are not there.

    Raises:
        Exception: It cannot be done; see `explain`.
    """
    if await connection.fetchval(questions.version) == VERSION:
        return
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
        if await connection.fetchval(questions.version) != VERSION:
            await connection.execute(script(names))
            logger.info("hub: made the tables %s and %s", names.messages, names.topics)


def explain(error: Exception, url: str) -> str:
    """What was seen and what to do, in one line."""
    shown = hide_password(url).partition("?")[0]
    return f"postgres at {shown}: {_explain(error)}"


def _explain(error: Exception) -> str:
    for kind, words in _REMEDIES:
        if isinstance(error, kind):
            return f"{words} ({error})"
    if isinstance(error, LinkDown):
        return str(error)
    if isinstance(error, TimeoutError):
        return "it did not answer in time: is a firewall in between, or does it hang?"
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there: is it running, is the port right?"
    return f"{type(error).__name__}: {error}"
