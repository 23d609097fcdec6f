"""What an engine is: the way from the hub of this machine to the hubs of the others.

The hub of a machine owns one engine, made by `vivace.hub.engines.make_engine(url, prefix=, name=)` from
HUB_URL. Without a URL there is none: the hub itself keeps orders and histories. Only the hub's process
(or the one process of a server, or a script with ``Hub("redis://...")``) speaks with the server behind it.

The contract:

- Everything is called on the hub's loop, and `Sink` is called on it too. Nothing here blocks the loop.
- **At most two connections** to the server at any time, whatever is followed and published.
- `start` returns at once and connects in the background, for ever, with full jitter between 0.1 s and 5 s.
  An unreachable server is no error: `sink.state(False, why)` says it, once for each change. `why` says what
  was seen and what to do. `sink.state(True, "")` says that it is back.
- `follow` and `unfollow` say what this machine wants (its 0 -> 1 and 1 -> 0). They return at once; they are
  queued and batched. `followed` waits until one took effect at the server: a process that joins is answered
  then. What is followed stays followed over reconnections. Other topics are not delivered.
- A `fast` message (`outgoing.rule.ordered` is false) is published at most once and has no position. The
  engine may deliver it back to the machine that sent it: the hub knows its own by `origin`. When messages may
  have been lost (the connection broke), the engine says `sink.gap(topic, reason)` once for each followed
  `fast` topic and outage, after it follows the topic again.
- An ordered message (`resume`, `latest`) gets its offset from the server: the same for all machines, from 1
  on, always rising within an epoch (holes are allowed). It is stored (the newest `rule.history`, for
  `rule.ttl` seconds) in the same step. It **must be delivered back** to the machine that sent it if that
  follows the topic. `publish` returns its position as soon as it is stored; the delivery may come before or
  after.
- Each followed ordered topic is delivered in the order of its offsets, and none is left out. After a lost
  connection the engine reads what it missed by itself (it remembers the last offset that it delivered of each
  followed topic); if that is no longer kept, or the epoch changed, it says `sink.gap` and goes on with what
  is live. It begins with what is published after `follow` took effect: the past is asked for with `history`.
- **`history` of a followed topic is read after its `follow` took effect** at the server: what is read and
  what is delivered from then on overlap or meet, with no hole between. (A message may come by both ways.)
- A message that is stored twice because its publishing was retried may be delivered twice: the hub drops it
  by its `id`.
- While the server is away, `publish` waits in an outbox of at most 1000 messages and 5 s, in order. A message
  that finds it full, or has waited for 5 s, raises `HubUnavailable`.
- `exclude`, `id` and `origin` travel with the payload, unchanged. A payload is opaque.
- Names of topics are UTF-8 of up to 200 octets without control characters (`$control` and the like are the
  hub's own, and `fast`). What the server cannot take in a name, the engine encodes.
- Who is present is written down at the server, if it can keep anything (`mirrors`): one `Roll` for each hub,
  which ends `roll.kept` seconds after it was last renewed. `keep_present` takes what changed since the
  version before, in one step, and gives false where it does not have that version (it has ended, another
  server answers): then it is given the whole. `present` gives what holds, with the seconds that are left. An
  engine that keeps nothing says `mirrors = False`, and the hubs ask each other.
- `stop` publishes what is still in the outbox for up to 1 s, closes both connections, and returns.
"""

from collections.abc import Iterable, Mapping
from typing import Protocol

from vivace.hub.records import Outgoing, Past, Position, Roll, Rule, Stored

__all__ = ["Engine", "Sink"]


class Sink(Protocol):
    """The hub, as an engine sees it; nothing here raises or waits."""

    def deliver(self, stored: Stored) -> None:
        """Take a message of a followed topic."""
        ...

    def gap(self, topic: str, reason: str) -> None:
        """Messages of a followed topic were lost: ``engine: the connection to redis was lost for 2.1 s``."""
        ...

    def state(self, up: bool, why: str) -> None:
        """The server became reachable, or is away."""
        ...


class Engine(Protocol):
    """The way to the other machines.

    Attributes:
        mirrors: Whether who is present is written down at its server.
    """

    mirrors: bool

    @property
    def up(self) -> bool:
        """Whether the server can be reached."""
        ...

    @property
    def connections(self) -> int:
        """How many connections to the server are open: at most 2."""
        ...

    def rename(self, name: str) -> None:
        """Say the name of the connections, if it was not known when this was made."""
        ...

    async def start(self, sink: Sink) -> None:
        """Begin to connect, and return at once."""
        ...

    async def stop(self) -> None:
        """Send what waits, disconnect, and forget everything."""
        ...

    def follow(self, topics: Mapping[str, Rule]) -> None:
        """This machine wants these topics from now on."""
        ...

    def unfollow(self, topics: Iterable[str]) -> None:
        """This machine does not want these topics any more."""
        ...

    async def followed(self, topic: str) -> None:
        """Return when `follow` took effect at the server: what is published from then on comes.

        It returns at once if the topic is not followed.

        Raises:
            HubUnavailable: The server has been away, or has not answered, for too long.
        """
        ...

    async def publish(self, outgoing: Outgoing) -> Position | None:
        """Send a message; give its position if its topic is ordered.

        Raises:
            HubUnavailable: The server has been away for too long.
        """
        ...

    async def keep_present(self, roll: Roll) -> bool:
        """Write down whom a hub speaks for; see above.

        Raises:
            HubUnavailable: The server has been away for too long, or does not take it.
        """
        ...

    async def present(self) -> list[Roll]:
        """Whom all hubs speak for.

        Raises:
            HubUnavailable: The same.
        """
        ...

    async def history(self, topic: str, rule: Rule, since: Position | None, limit: int) -> Past:
        """What is kept of an ordered topic, oldest first.

        Args:
            topic: Which one.
            rule: What holds for it.
            since: Give what came after this position; None: the newest `limit` messages.
            limit: The most messages; more than that since the position means that it is not complete.

        Returns:
            `complete` is false, and there are no messages, if something after `since` is no longer kept, or
            the epoch is another one.

        Raises:
            HubUnavailable: The server has been away for too long.
        """
        ...
