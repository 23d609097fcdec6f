"""What the chat keeps in PostgreSQL: rooms, who is in them, and what was said.

Rules of this file:

- The messages of a room are numbered 1, 2, 3 ... without holes, and are committed in this order: who has seen
  a number and finds the one before it missing knows that there is more to ask for.
- A message has an id that its author's page made. Kept twice, it is the same message.
"""

from datetime import datetime
from typing import Any, Final, Self
from uuid import UUID

import asyncpg  # type: ignore[import-untyped]
import msgspec

__all__ = ["Message", "Store"]

_TABLES: Final = """
SELECT pg_advisory_xact_lock(hashtext('chat'));
CREATE TABLE IF NOT EXISTS rooms (name text PRIMARY KEY, said bigint NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS members (
    room text NOT NULL REFERENCES rooms,
    name text NOT NULL,
    removed boolean NOT NULL DEFAULT false,
    PRIMARY KEY (room, name)
);
CREATE TABLE IF NOT EXISTS messages (
    room text NOT NULL REFERENCES rooms,
    number bigint NOT NULL,
    id uuid NOT NULL UNIQUE,
    author text NOT NULL,
    body text NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (room, number)
)
"""
_MEMBER: Final = """
INSERT INTO members (room, name) VALUES ($1, $2)
ON CONFLICT (room, name) DO UPDATE SET name = excluded.name
RETURNING NOT removed
"""
_FIND: Final = "SELECT room, number, id, author, body, at FROM messages WHERE id = $1"
_KEEP: Final = """
INSERT INTO messages (room, number, id, author, body) VALUES ($1, $2, $3, $4, $5)
RETURNING room, number, id, author, body, at
"""
_AFTER: Final = """
SELECT room, number, id, author, body, at FROM messages WHERE room = $1 AND number > $2
ORDER BY number DESC LIMIT $3
"""


class Message(msgspec.Struct):
    """Something that was said.

    Attributes:
        room: Where.
        number: Of the message in its room, from 1.
        id: Made by the page of its author.
        author: Who.
        text: What.
        at: When.
    """

    room: str
    number: int
    id: UUID
    author: str
    text: str
    at: datetime


class Store:
    """The tables.

    Args:
        pool: Of connections to them.
    """

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    @classmethod
    async def open(cls, url: str, **pool: Any) -> Self:
        """Connect, and make the tables that are missing; several workers may do it at a time.

        Args:
            url: Of the database.
            pool: What asyncpg takes for its pool.
        """
        store = cls(await asyncpg.create_pool(url, **pool))
        async with store._pool.acquire() as connection, connection.transaction():
            await connection.execute(_TABLES)
        return store

    async def close(self) -> None:
        """Give the connections back."""
        await self._pool.close()

    async def enter(self, room: str, name: str) -> bool:
        """Make somebody a member of a room, which is made too; False if they were removed from it."""
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute("INSERT INTO rooms (name) VALUES ($1) ON CONFLICT DO NOTHING", room)
            return bool(await connection.fetchval(_MEMBER, room, name))

    async def is_member(self, room: str, name: str) -> bool:
        """Whether somebody is in a room."""
        query = "SELECT 1 FROM members WHERE room = $1 AND name = $2 AND NOT removed"
        return await self._pool.fetchval(query, room, name) is not None

    async def remove(self, room: str, name: str) -> None:
        """Take somebody out of a room, for good."""
        await self._pool.execute(
            "UPDATE members SET removed = true WHERE room = $1 AND name = $2", room, name
        )

    async def keep(self, room: str, author: str, identity: UUID, text: str) -> Message:
        """Keep a message; if it is here already, give that one."""
        async with self._pool.acquire() as connection, connection.transaction():
            # The row of the room is locked from here on: numbers are committed in their order.
            number = await connection.fetchval(
                "UPDATE rooms SET said = said + 1 WHERE name = $1 RETURNING said", room
            )
            found = await connection.fetchrow(_FIND, identity)
            if found is None:
                found = await connection.fetchrow(_KEEP, room, number, identity, author, text)
            else:
                await connection.execute("UPDATE rooms SET said = said - 1 WHERE name = $1", room)
            return Message(*found.values())

    async def after(self, room: str, number: int, limit: int) -> list[Message]:
        """What was said after a number, oldest first; the newest `limit` messages of it."""
        rows = await self._pool.fetch(_AFTER, room, number, limit)
        return [Message(*row.values()) for row in reversed(rows)]
