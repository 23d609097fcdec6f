"""Apps that travel: to another process by pickle, or to a file.

Rules of this file:

- What was declared travels. What is compiled from it, or belongs to a running server, is made anew.
"""

from collections.abc import Iterator
from copy import copy
from typing import TYPE_CHECKING, Any, Final, cast

from vivace.framework.dispatch import Dispatcher
from vivace.framework.request import Request

if TYPE_CHECKING:
    from vivace.framework.app import Vivace

__all__ = ["Pickled"]

_ANEW: Final[dict[str, Any]] = {
    "_claims": None,
    "_clients": {},
    "_guest": None,
    "_home": None,
    "_router": None,
    "_running": False,
    "response_chain": (),
    "stopper": None,
}
_CONNECTED: Final = ("_dispatcher", "answer_stream", "handle_stream", "refuse_stream")


class Pickled:
    """An app that can be pickled, as long as its handlers can be imported by name."""

    __slots__ = ()

    if TYPE_CHECKING:
        request_class: type[Request]

    def _connect(self, request_class: type[Request]) -> None:
        """Let a new dispatcher answer the requests."""
        dispatcher = self._make_dispatcher(request_class)
        connected = (dispatcher, dispatcher.answer, dispatcher.handle, dispatcher.refuse)
        for name, value in zip(_CONNECTED, connected, strict=True):
            setattr(self, name, value)

    def _make_dispatcher(self, request_class: type[Request]) -> Dispatcher:
        return Dispatcher(cast("Vivace[Any, Any]", self), request_class)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in _values(self) if name not in (*_ANEW, *_CONNECTED)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in (_ANEW | state).items():
            object.__setattr__(self, name, copy(value) if name in _ANEW else value)
        self._connect(self.request_class)


def _values(app: object) -> Iterator[tuple[str, Any]]:
    yield from getattr(app, "__dict__", {}).items()
    for kind in type(app).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if not name.startswith("__") and hasattr(app, name):
                yield name, getattr(app, name)
