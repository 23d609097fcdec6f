"""Who is present, in a Redis: a hash for each hub, which ends by itself, and the list of hubs.

The sorted set ``PREFIX:{present}:hubs`` has the name of each hub, with the time at which it ends in
milliseconds of the server's clock. In the hash ``PREFIX:{present}:HUB`` is a field for each entry: the JSON
``["TOPIC","KEY","REF"]``, whose value is the MessagePack of what is said of it; and the field ``version``.

Rules of this file:

- What is read and what is written is one step each.
"""

from typing import Any, Final

import msgspec

from vivace.hub.engines.redis_scripts import Names, Script
from vivace.hub.records import Roll

__all__ = ["KEEP", "READ_ALL", "keep_words", "read_all_words", "rolls_of"]

_VERSION: Final = "version"

KEEP: Final = Script.of("""
local hubs, entries = KEYS[1], KEYS[2]
local hub, version, whole = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local kept, joins = tonumber(ARGV[4]), tonumber(ARGV[5])
if whole == '1' then
  redis.call('DEL', entries)
  if kept == 0 then
    redis.call('ZREM', hubs, hub)
    return 1
  end
else
  local old = tonumber(redis.call('HGET', entries, 'version') or -1)
  if old ~= version and old ~= version - 1 then
    return 0
  end
end
local first = 6 + 2 * joins
for i = 6, first - 1, 2 do
  redis.call('HSET', entries, ARGV[i], ARGV[i + 1])
end
for i = first, #ARGV do
  redis.call('HDEL', entries, ARGV[i])
end
redis.call('HSET', entries, 'version', version)
redis.call('PEXPIRE', entries, kept)
local clock = redis.call('TIME')
redis.call('ZADD', hubs, clock[1] * 1000 + math.floor(clock[2] / 1000) + kept, hub)
redis.call('PEXPIRE', hubs, math.max(kept, redis.call('PTTL', hubs)))
return 1
""")

READ_ALL: Final = Script.of("""
local clock = redis.call('TIME')
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', clock[1] * 1000 + math.floor(clock[2] / 1000))
local found = {}
for i, hub in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  local entries = ARGV[1] .. hub
  found[i] = {hub, redis.call('PTTL', entries), redis.call('HGETALL', entries)}
end
return found
""")


def keep_words(names: Names, roll: Roll) -> list[str | bytes | int]:
    """The command that writes down what changed of a hub."""
    words: list[str | bytes | int] = ["EVALSHA", KEEP.sha, 2, names.hubs, names.present + roll.hub]
    words += [roll.hub, roll.version, int(roll.whole), int(roll.kept * 1000), len(roll.joins)]
    for *place, meta in roll.joins:
        words += [_field(place), meta]
    words += [_field(place) for place in roll.leaves]
    return words


def read_all_words(names: Names) -> list[str | bytes | int]:
    """The command that asks for all that is written down."""
    return ["EVALSHA", READ_ALL.sha, 1, names.hubs, names.present]


def rolls_of(answer: Any) -> list[Roll]:
    """What an answer to it means."""
    rolls = []
    for hub, left, flat in answer:
        entries = dict(zip(flat[::2], flat[1::2], strict=True))
        version = entries.pop(_VERSION.encode(), None)
        if version is not None:
            joins = [(*_place(field), meta) for field, meta in entries.items()]
            rolls.append(Roll(hub.decode(), int(version), joins, [], True, left / 1000))
    return rolls


def _field(place: Any) -> bytes:
    return msgspec.json.encode(place)


def _place(field: bytes) -> tuple[str, str, str]:
    return msgspec.json.decode(field, type=tuple[str, str, str])
