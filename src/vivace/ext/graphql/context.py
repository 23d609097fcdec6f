"""What resolvers get as ``info.context`` unless the program makes its own.

Rules of this file:

- It is an object and a mapping at a time: programs of strawberry write ``info.context.request``, those of
  ariadne ``info.context["request"]``.
- One per HTTP request, one per WebSocket: what is set on it is there for the operations that follow.
"""

from collections.abc import Iterator, MutableMapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vivace.framework.app import Vivace
    from vivace.framework.request import Request
    from vivace.framework.websocket import Websocket

__all__ = ["Context", "find_user"]


class Context(MutableMapping[str, Any]):
    """The surroundings of an operation; anything can be added to it.

    Attributes:
        request: The request; of a WebSocket, that of its handshake.
        payload: What the client of a WebSocket introduced itself with; empty elsewhere.
        user: Who asks: the ``user`` of ``request.ctx`` if there is one, until somebody sets it.
        websocket: The connection; None: it is none.
    """

    request: "Request"
    payload: dict[str, Any]
    user: Any
    websocket: "Websocket | None"

    def __init__(
        self,
        request: "Request",
        payload: dict[str, Any] | None = None,
        websocket: "Websocket | None" = None,
    ) -> None:
        self.__dict__.update(request=request, payload=payload or {}, websocket=websocket)
        self.user = getattr(request.ctx, "user", None)

    @property
    def app(self) -> "Vivace[Any, Any]":
        """The app."""
        return self.request.app

    if TYPE_CHECKING:  # whatever the program adds

        def __getattr__(self, name: str) -> Any: ...

        def __setattr__(self, name: str, value: Any) -> None: ...

    def __getitem__(self, key: str) -> Any:
        return self.__dict__[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self.__dict__[key] = value

    def __delitem__(self, key: str) -> None:
        del self.__dict__[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.__dict__)

    def __len__(self) -> int:
        return len(self.__dict__)

    def __hash__(self) -> int:
        return id(self)

    def __eq__(self, other: object) -> bool:
        return self is other

    def __repr__(self) -> str:
        return f"<Context of {self.request!r}>"


def find_user(context: Any) -> Any:
    """Who an operation belongs to, as it can be compared: the ``id`` or ``pk`` of a user, or the user."""
    user = context.get("user") if isinstance(context, dict) else getattr(context, "user", None)
    for name in ("id", "pk"):
        key = getattr(user, name, None)
        if key is not None:
            return key
    return user
