"""The groups of an app: its hub.

Rules of this file:

- Made when it is first asked for; an app that has no groups pays nothing.
"""

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vivace.hub.hub import Hub

__all__ = ["Grouped"]


class Grouped:
    """What an app can say to groups."""

    __slots__ = ()

    _hub: "Hub | None"
    _home: asyncio.AbstractEventLoop | None
    config: Any
    name: str

    @property
    def hub(self) -> "Hub":
        """The groups: publish, subscribe, presence; it begins by itself where it is first used on a loop."""
        if self._hub is None:
            import os
            import socket

            from vivace.hub.hub import Hub
            from vivace.hub.limits import Limits

            name = f"{self.name}@{socket.gethostname()}/hub"
            path = self.config.HUB_SOCKET
            url = f"unix://{os.path.abspath(path)}" if path else None
            self._hub = Hub(url, engine=self.config.HUB_URL or None, limits=Limits.of(self.config), name=name)  # type: ignore[misc]
            self._hub.home = self._home
        return self._hub

    @property
    def groups_up(self) -> bool | None:
        """Whether the hub can be reached, and its engine if it has one; None: nobody has used it."""
        return self._hub.up if self._hub is not None and self._hub.started else None

    @property
    def server_loop(self) -> asyncio.AbstractEventLoop | None:
        """The loop on which the server of this process was started, for threads; None: none was."""
        return self._home

    def enter_groups(self) -> None:
        """The server starts on this loop."""
        self._home = asyncio.get_running_loop()  # type: ignore[misc]
        if self._hub is not None:
            self._hub.home = self._home
            if self._hub.rules_declared:
                self._hub.begin()  # others who publish have to know the rules

    async def leave_groups(self) -> None:
        """End the hub of this process, if there is one: the last thing of a server's life."""
        if self._hub is not None:
            await self._hub.stop()
