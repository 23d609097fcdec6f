"""Tokens that machines lease of one number: who holds how many stands in a Redis or a PostgreSQL.

A lease ends by itself `TTL` seconds after its holder was last heard, so a machine that is lost gives back
what it held. The sum of all leases never exceeds the number, unless a holder that could not be heard for so
long comes back and still uses what it had: then it counts again, and nobody gets more until that fits.

Rules of this file:

- Every question is one step at the server: two machines cannot both get the last token.
- A connection is made for each question and closed after it: a lease takes none for good.
"""

import asyncio
from typing import Final, Protocol

from vivace.errors import ConfigError
from vivace.hub.engines.postgres_schema import plain_name
from vivace.hub.engines.upkeep import LinkDown, Timing
from vivace.hub.engines.urls import hide_password, parse_address, resolve_url

__all__ = ["TTL", "LeaseBook", "open_book"]

TTL: Final = 30.0
"""Seconds for which a lease holds without a word of its holder."""

_SCRIPT: Final = """
local key, holder = KEYS[1], ARGV[1]
local held, want, total, ttl = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local others, all = 0, redis.call('HGETALL', key)
for i = 1, #all, 2 do
  local tokens, till = string.match(all[i + 1], '(%d+):(%d+)')
  if tonumber(till) < now then
    redis.call('HDEL', key, all[i])
  elseif all[i] ~= holder then
    others = others + tonumber(tokens)
  end
end
local granted = math.max(held, math.min(want, total - others), 0)
if granted > 0 then
  redis.call('HSET', key, holder, granted .. ':' .. string.format('%.0f', now + ttl))
  redis.call('PEXPIRE', key, ttl)
else
  redis.call('HDEL', key, holder)
end
return granted
"""
_TABLE: Final = """
CREATE TABLE IF NOT EXISTS {table} (
  budget text NOT NULL, holder text NOT NULL, tokens integer NOT NULL, until timestamptz NOT NULL,
  PRIMARY KEY (budget, holder))"""
_LOCK: Final = "SELECT pg_advisory_xact_lock(hashtext($1))"
_EXPIRE: Final = "DELETE FROM {table} WHERE budget = $1 AND until < clock_timestamp()"
_OTHERS: Final = "SELECT coalesce(sum(tokens), 0)::int FROM {table} WHERE budget = $1 AND holder <> $2"
_HOLD: Final = """
INSERT INTO {table} VALUES ($1, $2, $3, clock_timestamp() + $4 * interval '1 second')
ON CONFLICT (budget, holder) DO UPDATE SET tokens = EXCLUDED.tokens, until = EXCLUDED.until"""
_DROP: Final = "DELETE FROM {table} WHERE budget = $1 AND holder = $2"


class LeaseBook(Protocol):
    """Where leases stand."""

    async def renew(self, budget: str, holder: str, *, held: int, want: int, total: int) -> int:
        """Keep what is held, and take more if there is more.

        Args:
            budget: Whose tokens.
            holder: Names this machine.
            held: What it uses already: that is never refused.
            want: What it would like to have.
            total: What all may have together.

        Returns:
            What it holds now, from `held` to `want`.

        Raises:
            OSError: The server cannot be asked; says why.
        """
        ...

    async def release(self, budget: str, holder: str) -> None:
        """Give everything back.

        Raises:
            OSError: The server cannot be asked; says why.
        """
        ...


def open_book(
    url: str, *, prefix: str = "vivace", name: str = "vivace", timing: Timing | None = None
) -> LeaseBook:
    """The book at a URL.

    Args:
        url: A value of HUB_URL.
        prefix: Of the names at the server.
        name: Of the connections.
        timing: How long what may take.

    Raises:
        ConfigError: No leases can stand there.
    """
    whole, timing = resolve_url(url), timing or Timing()
    scheme = whole.partition("://")[0].lower()
    if scheme.startswith(("redis", "valkey")):
        return _RedisBook(whole, prefix, name, timing)
    if scheme.startswith("postgres"):
        return _PostgresBook(whole, prefix, name, timing)
    raise ConfigError(f"HUB_URL {hide_password(whole)}: leases need a Redis or a PostgreSQL", key="HUB_URL")


class _RedisBook:
    def __init__(self, url: str, prefix: str, name: str, timing: Timing) -> None:
        self._address = parse_address(url)
        self._prefix = prefix
        self._name = name
        self._timing = timing

    async def renew(self, budget: str, holder: str, *, held: int, want: int, total: int) -> int:
        """See `LeaseBook.renew`."""
        ttl = int(TTL * 1000)
        return int(await self._call("EVAL", _SCRIPT, 1, self._key(budget), holder, held, want, total, ttl))

    async def release(self, budget: str, holder: str) -> None:
        """See `LeaseBook.release`."""
        await self._call("HDEL", self._key(budget), holder)

    def _key(self, budget: str) -> str:
        return f"{self._prefix}:leases:{budget}"

    async def _call(self, *words: str | int) -> int:
        import hiredis

        from vivace.hub.engines.remedies import explain
        from vivace.hub.engines.resp import connect

        try:
            connection = await connect(self._address, self._name, self._timing)
            try:
                async with asyncio.timeout(self._timing.ping_timeout):
                    answer: int = await connection.call(*words)
                    return answer
            finally:
                connection.close("it was made for one question")
        except (OSError, hiredis.ReplyError) as error:
            raise LinkDown(explain(error, self._address)) from error


class _PostgresBook:
    def __init__(self, url: str, prefix: str, name: str, timing: Timing) -> None:
        self._url = url
        self._table = f'"{plain_name(prefix)}_leases"'
        self._name = name
        self._timing = timing

    async def renew(self, budget: str, holder: str, *, held: int, want: int, total: int) -> int:
        """See `LeaseBook.renew`."""
        return await self._step(budget, holder, held, want, total)

    async def release(self, budget: str, holder: str) -> None:
        """See `LeaseBook.release`."""
        await self._step(budget, holder, 0, 0, 0)

    async def _step(self, budget: str, holder: str, held: int, want: int, total: int) -> int:
        from vivace.hub.engines.postgres_link import connect, explain

        try:
            connection = await connect(self._url, self._name, self._timing)
            try:
                async with connection.transaction():
                    await connection.execute(_LOCK, self._table)
                    await connection.execute(self._put(_TABLE))
                    await connection.execute(self._put(_EXPIRE), budget)
                    others = await connection.fetchval(self._put(_OTHERS), budget, holder)
                    granted: int = max(held, min(want, total - others), 0)
                    if granted:
                        await connection.execute(self._put(_HOLD), budget, holder, granted, TTL)
                    else:
                        await connection.execute(self._put(_DROP), budget, holder)
                    return granted
            finally:
                connection.terminate()
        except Exception as error:  # a driver has a tree of its own
            raise LinkDown(explain(error, self._url)) from error

    def _put(self, text: str) -> str:
        return text.format(table=self._table)
