"""The sizes and times of a hub, as its settings give them.

Rules of this file:

- Values only; each has the default of its setting.
"""

from typing import Any, NamedTuple

__all__ = ["Limits"]


class Limits(NamedTuple):
    """See `vivace.config.table_hub`."""

    queue: int = 256
    max_message: int = 1_048_576
    outbox: int = 1000
    timeout: float = 5.0
    ping_interval: float = 15.0
    ping_timeout: float = 5.0
    linger: float = 2.0
    history_size: int = 67_108_864
    buffer: int = 8_388_608
    journal: str = ""
    prefix: str = "vivace"
    presence_ttl: float = 30.0

    @classmethod
    def of(cls, config: Any) -> "Limits":
        """Those of a configuration."""
        return cls(
            queue=config.HUB_QUEUE,
            max_message=config.HUB_MAX_MESSAGE,
            outbox=config.HUB_OUTBOX,
            timeout=config.HUB_TIMEOUT,
            ping_interval=config.HUB_PING_INTERVAL,
            ping_timeout=config.HUB_PING_TIMEOUT,
            linger=config.HUB_LINGER,
            history_size=config.HUB_HISTORY_SIZE,
            buffer=config.HUB_BUFFER,
            journal=config.HUB_JOURNAL,
            prefix=config.HUB_PREFIX,
            presence_ttl=config.HUB_PRESENCE_TTL,
        )
