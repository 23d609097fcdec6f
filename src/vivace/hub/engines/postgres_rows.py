"""The questions that the hub asks a PostgreSQL, and what the answers mean.

Where a machine is in the stream of all messages is a snapshot (``pg_current_snapshot``): the next question
asks for the rows that this snapshot did not see. So a transaction that commits late is not missed, as it
would be by asking for greater ids, and no row comes twice.

Rules of this file:

- Questions and rows only; no connection.
"""

from typing import Any, Final, NamedTuple

import msgspec

from vivace.hub.engines.envelope import stored_from, unseal
from vivace.hub.engines.postgres_schema import RETENTION, Names
from vivace.hub.records import Past, Position, Roll, Stored

__all__ = ["CHUNK", "Questions", "arguments_of", "past_of", "rolls_of", "stored_of", "went_back"]

CHUNK: Final = 2000
"""Rows that one answer holds at most."""


_COLUMNS: Final = "m.id, m.topic, m.epoch, m.place, m.body, m.json"
_KEPT: Final = (
    "m.topic = t.topic AND m.epoch = t.epoch AND m.place > t.newest - t.history AND m.until > now()"
)
_TEXTS: Final = {
    "version": "SELECT obj_description(to_regclass('{messages}'), 'pg_class')",
    "publish": """
        SELECT s.its_epoch, s.its_place
          FROM unnest($1::text[], $2::bytea[], $3::bool[], $4::int[], $5::float8[], $6::text[], $7::bool[])
            AS u(t, b, o, k, l, f, a),
          LATERAL {store}(u.t, u.b, NULL, u.o, u.k, u.l, u.f, u.a) AS s""",
    "news": """
        SELECT now.seen, {columns}
          FROM (SELECT pg_current_snapshot()::text AS seen) AS now
          LEFT JOIN LATERAL (
            SELECT * FROM {messages}
             WHERE xid >= pg_snapshot_xmin($1::text::pg_snapshot)
               AND NOT pg_visible_in_snapshot(xid, $1::text::pg_snapshot)
               AND ($2::text IS NULL OR pg_visible_in_snapshot(xid, $2::text::pg_snapshot))
               AND id > $3 AND topic = ANY($4::text[])
             ORDER BY id LIMIT {chunk}) AS m ON true""",
    "history": """
        SELECT t.epoch AS known, t.newest, {columns} FROM {topics} AS t
          LEFT JOIN LATERAL (
            SELECT * FROM {messages} AS m
             WHERE {kept} AND m.place > $2 ORDER BY m.place LIMIT $3) AS m ON true
         WHERE t.topic = $1""",
    "newest": """
        SELECT t.epoch AS known, t.newest, {columns} FROM {topics} AS t
          LEFT JOIN LATERAL (
            SELECT * FROM {messages} AS m WHERE {kept} ORDER BY m.place DESC LIMIT $2) AS m ON true
         WHERE t.topic = $1""",
    "keep": "SELECT {keep}($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) AS kept",
    "present": """
        SELECT h.hub, h.version, extract(epoch FROM h.until - clock_timestamp())::float8 AS remaining,
               p.topic, p.key, p.ref, p.meta
          FROM {hubs} AS h LEFT JOIN {present} AS p ON p.hub = h.hub
         WHERE h.until > clock_timestamp() ORDER BY h.hub""",
    "ended": "DELETE FROM {hubs} WHERE until < clock_timestamp()",
    "expired": """
        DELETE FROM {messages} WHERE id IN
          (SELECT id FROM {messages} WHERE until < now() ORDER BY until LIMIT 5000)""",
    "surplus": """
        DELETE FROM {messages} AS m USING {topics} AS t
         WHERE m.topic = t.topic AND m.place <= t.newest - t.history
           AND m.made < now() - interval '{retention} seconds'""",
    "forgotten": """
        DELETE FROM {topics}
         WHERE ttl > 0 AND used < now() - greatest(86400, 10 * ttl) * interval '1 second'""",
}


class Questions(NamedTuple):
    """The SQL, with names put in.

    Attributes:
        version: Whether the tables are there; the answer is their version.
        publish: Stores a batch, given as one array per argument.
        news: What a snapshot has not seen of some topics, and the snapshot that has; see `CHUNK`.
        history: What came after an offset.
        newest: The newest messages, newest first.
        keep: Writes down what changed of whom a hub speaks for; see `arguments_of`.
        present: All who are present, by their hubs.
        ended: Deletes hubs that have not been heard of.
        expired: Deletes what is not to be kept any longer.
        surplus: Deletes what is more than its topic's history.
        forgotten: Deletes topics that have not been used for long.
    """

    version: str
    publish: str
    news: str
    history: str
    newest: str
    keep: str
    present: str
    ended: str
    expired: str
    surplus: str
    forgotten: str

    @classmethod
    def of(cls, names: Names) -> "Questions":
        """Those for some tables."""
        values = {
            "messages": names.messages,
            "topics": names.topics,
            "store": names.store,
            "hubs": names.hubs,
            "present": names.present,
            "keep": names.keep,
            "columns": _COLUMNS,
            "kept": _KEPT,
            "chunk": CHUNK,
            "retention": RETENTION,
        }
        return cls(**{name: text.format(**values) for name, text in _TEXTS.items()})


def went_back(before: str, after: str) -> bool:
    """Whether a server is at an earlier point than it has been: it was restored, or is another one."""
    return int(after.split(":")[1]) < int(before.split(":")[1])


def stored_of(row: Any) -> Stored:
    """The message of a row.

    Raises:
        msgspec.MsgspecError: It is none of the hub's.
    """
    position = None if row["place"] is None else Position(row["epoch"], row["place"])
    if row["body"] is not None:
        return stored_from(row["topic"], position, unseal(row["body"]))
    payload = msgspec.msgpack.encode(msgspec.json.decode(row["json"]))
    return Stored(row["topic"], payload, position, f"sql-{row['id']}", "sql")


def arguments_of(roll: Roll) -> list[Any]:
    """The arguments of `Questions.keep`; what the server cannot take in a text is left out."""
    joins = [join for join in roll.joins if not any("\0" in text for text in join[:3])]
    leaves = [place for place in roll.leaves if not any("\0" in text for text in place)]
    columns = [[join[number] for join in joins] for number in range(4)]
    gone = [[place[number] for place in leaves] for number in range(3)]
    return [roll.hub, roll.version, roll.whole, roll.kept, *columns, *gone]


def rolls_of(rows: list[Any]) -> list[Roll]:
    """What the rows of `Questions.present` mean."""
    rolls: dict[str, Roll] = {}
    for row in rows:
        hub = row["hub"]
        roll = rolls.get(hub)
        if roll is None:
            roll = rolls[hub] = Roll(hub, row["version"], [], [], True, row["remaining"])
        if row["topic"] is not None:
            roll.joins.append((row["topic"], row["key"], row["ref"], row["meta"]))
    return list(rolls.values())


def past_of(rows: list[Any], since: Position | None, limit: int) -> Past:
    """What the rows of `Questions.history` or `Questions.newest` mean.

    Args:
        rows: One at least if the topic is known.
        since: What was asked for.
        limit: The most messages; one more was asked for if there is a `since`.
    """
    if not rows:
        return Past([], since is None, None)
    position = Position(rows[0]["known"], rows[0]["newest"])
    messages = [stored_of(row) for row in rows if row["id"] is not None]
    if since is None:
        return Past(messages[::-1][:limit], True, position)
    first = messages[0].pos.offset if messages and messages[0].pos else position.offset + 1
    if since.epoch != position.epoch or len(messages) > limit or first != since.offset + 1:
        return Past([], False, position)
    return Past(messages, True, position)
