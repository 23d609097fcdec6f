"""Joining groups: what WebSockets and event streams have in common.

Rules of this file:

- The server pumps: what is published to a group reaches its clients without any code of the program.
- A client that joins nothing costs nothing: what is needed for it is imported and made with the first join.
- To join twice is to leave twice; the end of the connection leaves everything.
"""

import os
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any

from vivace.errors import DeclarationError

if TYPE_CHECKING:
    from vivace.framework.groups.admission import Allow
    from vivace.framework.groups.encoding import Form
    from vivace.framework.groups.fanout import Joined
    from vivace.framework.groups.outlet import Client, OnSlow, Outlet
    from vivace.framework.request import Request
    from vivace.hub.records import Message, Position

__all__ = ["Joins"]


class Joins:
    """What a connection can do with groups."""

    __slots__ = ("_outlet", "_request", "_user")

    _outlet: "Outlet | None"
    _request: "Request"
    _user: Any

    @property
    def id(self) -> str:
        """Names this connection in ``hub.publish(..., exclude=ws.id)``."""
        return self._find_outlet().id

    @property
    def user(self) -> Any:
        """Who it is: what was set here, or ``request.ctx.user`` (its ``id``, or ``pk``, if it has one)."""
        if self._user is not None:
            return self._user
        found = getattr(self._request.ctx, "user", None)
        for name in ("id", "pk"):
            if hasattr(found, name):
                return getattr(found, name)
        return found

    @user.setter
    def user(self, user: Any) -> None:
        self._user = user

    @property
    def groups(self) -> tuple[str, ...]:
        """The topics that it is in."""
        return () if self._outlet is None else tuple(self._outlet.members)

    async def join(
        self,
        topic: str,
        *,
        allow: "Allow | None" = None,
        recheck: float = 0.0,
        recheck_grace: float | None = None,
        user: Any = None,
        history: int = 0,
        since: "Position | str | None" = None,
        on_slow: "OnSlow" = "disconnect",
        key: "Callable[[Message], Hashable] | None" = None,
        max_queue: int | None = None,
        max_bytes: int | None = None,
        on_revoke: str | Callable[[str], object] = "close",
        **form: Any,
    ) -> "Joined":
        """Have what is published to a topic sent to this client, from now on and by itself.

        Args:
            topic: The group.
            allow: Asked with the connection and the topic whether it may; plain or a coroutine function.
                False, or an exception with a status below 500, refuses.
            recheck: Seconds after which it is asked again, give or take a tenth; 0: only when
                ``hub.recheck`` says so. One answer stands for all connections of a user.
            recheck_grace: Seconds for which a check may fail by an exception before the client is taken
                out; default: GROUP_RECHECK_GRACE.
            user: Who it is, for ``hub.revoke(user=...)`` and the checks; default: `user`.
            history: Send that many of the newest messages first.
            since: A position, or its text: send what came after it first.
            on_slow: When too much waits for the client: ``disconnect`` (1013), ``drop_oldest`` (and say so by
                a gap), ``conflate`` (keep the newest of each key).
            key: For ``conflate``: gives the key of a message; default: the topic.
            max_queue: Messages that may wait; default: HUB_QUEUE.
            max_bytes: Octets that may wait; default: GROUP_BUFFER_SIZE.
            on_revoke: When it may not be there any more: ``close`` the connection (4403), ``leave`` the group
                only, or a function that gets the topic.
            form: How messages look to the client; see the connection.

        Raises:
            InvalidTopic: No topic can have this name, which mostly comes from the client: 400, or 1008.
            Forbidden: It may not join.
            DeclarationError: An option is none.
        """
        from vivace.framework.groups.fanout import JoinOptions, fanout_of

        _check_policies(on_slow, on_revoke)
        config = self._request.app.config
        since, form = self._resume(topic, since, form)
        options = JoinOptions(
            self._form(form),
            allow=allow,
            recheck=recheck,
            grace=config.GROUP_RECHECK_GRACE if recheck_grace is None else recheck_grace,
            user=self.user if user is None else user,
            history=history,
            since=since,
            on_slow=on_slow,
            key=key,
            max_queue=config.HUB_QUEUE if max_queue is None else max_queue,
            max_bytes=config.GROUP_BUFFER_SIZE if max_bytes is None else max_bytes,
            on_revoke=on_revoke,
        )
        joined = await fanout_of(self._request.app.hub).join(self._find_outlet(), topic, options)
        self._joined()
        return joined

    async def leave(self, topic: str) -> bool:
        """Leave a group; whether it is out of it now: who joined twice leaves twice."""
        if self._outlet is None:
            return True
        from vivace.framework.groups.fanout import fanout_of

        return fanout_of(self._request.app.hub).leave(self._outlet, topic)

    def _find_outlet(self) -> "Outlet":
        """What it joins by, made when it is first asked for."""
        if self._outlet is None:
            from vivace.framework.groups.outlet import Outlet

            client = self._client()
            self._outlet = Outlet(client, self, os.urandom(9).hex())
            self._watch(self._outlet)
        return self._outlet

    def _leave_groups(self) -> None:
        """The connection is at its end."""
        if self._outlet is not None:
            self._outlet.ended()

    def _resume(self, topic: str, since: Any, form: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Where to go on in a topic, and the form of its messages."""
        return since, form

    def _joined(self) -> None:
        """It is in a group."""

    def _client(self) -> "Client":
        raise NotImplementedError

    def _watch(self, outlet: "Outlet") -> None:
        raise NotImplementedError

    def _form(self, given: dict[str, Any]) -> "Form":
        """How messages look, as `join` was told."""
        raise NotImplementedError


def _check_policies(on_slow: str, on_revoke: object) -> None:
    from vivace.framework.groups.outlet import POLICIES

    if on_slow not in POLICIES:
        raise DeclarationError(f"on_slow={on_slow!r}: expected one of {', '.join(POLICIES)}", key="on_slow")
    if on_revoke not in ("close", "leave") and not callable(on_revoke):
        raise DeclarationError(
            f"on_revoke={on_revoke!r}: expected close, leave or a function", key="on_revoke"
        )
