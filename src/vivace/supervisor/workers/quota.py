"""How many requests a worker serves before another takes its place.

Rules of this file:

- Counting costs a request nothing more: the server counts anyway, and is looked at ten times a second.
- Workers that began together do not end together: each adds a random part of its own.
"""

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from vivace.config import Config

if TYPE_CHECKING:
    import asyncio

    from vivace.server import Server

__all__ = ["Spread", "watch_requests"]

_EVERY: Final = 0.1


class Spread:
    """Adds a random part to a limit.

    Args:
        chance: Where it comes from.
        part: The greatest part, as a fraction.
    """

    __slots__ = ("_chance", "_part")

    def __init__(self, chance: random.Random, part: float = 0.1) -> None:
        self._chance = chance
        self._part = part

    def over(self, limit: float, most: float | None = None) -> float:
        """`limit` and at most `most` more; None stands for the fraction."""
        return limit + self._chance.uniform(0.0, limit * self._part if most is None else most)


def watch_requests(
    server: "Server", config: Config, ask: Callable[[], object]
) -> "asyncio.Task[None] | None":
    """Call `ask` once when a server has served WORKER_MAX_REQUESTS; None if there is no such limit.

    Args:
        server: Whose requests count.
        config: Names the limit and WORKER_MAX_REQUESTS_JITTER.
        ask: Asks for a replacement.
    """
    if not config.WORKER_MAX_REQUESTS:
        return None
    # Of its own: the app may have seeded the common one, and workers are forked from one state.
    spread = Spread(random.SystemRandom())
    limit = spread.over(config.WORKER_MAX_REQUESTS, config.WORKER_MAX_REQUESTS_JITTER)
    import asyncio

    return asyncio.get_running_loop().create_task(_watch(server, limit, ask), name="vivace-quota")


async def _watch(server: "Server", limit: float, ask: Callable[[], object]) -> None:
    import asyncio

    while server.served < limit:  # noqa: ASYNC110 - an event would cost every request something
        await asyncio.sleep(_EVERY)
    ask()
