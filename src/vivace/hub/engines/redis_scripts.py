"""What the hub keeps in a Redis, and the scripts that do each step at once.

Of a topic there are two keys: a stream of its last messages, whose ids are their offsets, and a hash with the
epoch ``e`` and the offset ``o`` of the newest one. They share a hash tag. Of a ``fast`` topic there are none.

On a channel goes ``EPOCH:OFFSET``, empty for a ``fast`` topic, a line feed, and the message.

Rules of this file:

- A script is named by its SHA-1, so that a call is short.
- Times are milliseconds.
"""

import hashlib
from typing import Any, Final, NamedTuple

from vivace.hub.engines.envelope import stored_from, unseal
from vivace.hub.records import Past, Position, Stored

__all__ = ["PUBLISH", "READ", "Names", "Script", "read_answer", "read_head"]


class Script(NamedTuple):
    """A script of Redis.

    Attributes:
        text: In Lua.
        sha: Its name.
    """

    text: str
    sha: str

    @classmethod
    def of(cls, text: str) -> "Script":
        """Name a text."""
        return cls(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


# A topic remembers where it was for a day at least, after its messages have expired.
PUBLISH: Final = Script.of("""
local stream, meta = KEYS[1], KEYS[2]
local channel, message, history, ttl, fresh, again = unpack(ARGV)
local epoch = redis.call('HGET', meta, 'e')
if epoch and again == '1' then
  for _, kept in ipairs(redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1000)) do
    if kept[2][2] == message then
      return {epoch, tonumber(string.match(kept[1], '%d+'))}
    end
  end
end
if not epoch then
  epoch = fresh
  redis.call('DEL', stream)
  redis.call('HSET', meta, 'e', epoch)
end
local offset = redis.call('HINCRBY', meta, 'o', 1)
if tonumber(history) > 0 then
  redis.call('XADD', stream, 'MAXLEN', history, offset .. '-1', 'm', message)
end
if tonumber(ttl) > 0 then
  redis.call('PEXPIRE', stream, ttl)
  redis.call('PEXPIRE', meta, math.max(10 * ttl, 86400000))
end
redis.call('PUBLISH', channel, epoch .. ':' .. offset .. '\\n' .. message)
return {epoch, offset}
""")

READ: Final = Script.of("""
local stream, meta = KEYS[1], KEYS[2]
local since, offset, count = unpack(ARGV)
local kept = redis.call('HMGET', meta, 'e', 'o')
if not kept[1] then
  return {'', 0, {}}
end
local entries = {}
if since == '' then
  entries = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', count)
elseif since == kept[1] then
  entries = redis.call('XRANGE', stream, (offset + 1) .. '-0', '+', 'COUNT', count)
end
return {kept[1], tonumber(kept[2]), entries}
""")


def read_head(octets: bytes) -> tuple[Position | None, bytes]:
    """The position in what came on a channel, and the message.

    Raises:
        ValueError: It is something else.
    """
    head, _, message = octets.partition(b"\n")
    if not head:
        return None, message
    position = Position.parse(head.decode())
    if position is None:
        raise ValueError(head)
    return position, message


class Names:
    """The names of channels and keys.

    Args:
        prefix: Of all of them.
        database: Its number: channels are the same in all databases of a server, unlike keys.
    """

    def __init__(self, prefix: str, database: int) -> None:
        self._prefix = prefix
        self._channel = f"{prefix}/{database}/"

    def channel(self, topic: str) -> bytes:
        """Where a topic's messages go."""
        return (self._channel + topic).encode()

    def keys(self, topic: str) -> tuple[str, str]:
        """A topic's stream and hash."""
        return f"{self._prefix}:{{{topic}}}:messages", f"{self._prefix}:{{{topic}}}:position"

    @property
    def hubs(self) -> str:
        """The key of the list of hubs."""
        return f"{self._prefix}:{{present}}:hubs"

    @property
    def present(self) -> str:
        """What begins the key of whom a hub speaks for."""
        return f"{self._prefix}:{{present}}:"

    @property
    def probe(self) -> str:
        """A key that is written to find out whether writing works."""
        return f"{self._prefix}:probe"


def read_answer(topic: str, since: Position | None, limit: int, answer: Any) -> Past:
    """What an answer of `READ` means.

    Args:
        topic: Which was asked for.
        since: The same.
        limit: The most messages; one more was asked for if there is a `since`.
        answer: Of Redis.
    """
    epoch, newest, entries = answer[0].decode(), int(answer[1]), answer[2]
    if not epoch:
        return Past([], since is None, None)
    position = Position(epoch, newest)
    messages = [_stored(topic, epoch, entry) for entry in entries]
    if since is None:
        return Past(messages[::-1], True, position)
    if since.epoch != epoch or since.offset > newest or len(messages) > limit:
        return Past([], False, position)
    first = _offset(entries[0]) if entries else newest + 1
    if first != since.offset + 1:
        return Past([], False, position)
    return Past(messages, True, position)


def _offset(entry: Any) -> int:
    return int(entry[0].partition(b"-")[0])


def _stored(topic: str, epoch: str, entry: Any) -> Stored:
    return stored_from(topic, Position(epoch, _offset(entry)), unseal(entry[1][1]))
