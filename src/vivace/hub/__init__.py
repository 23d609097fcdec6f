"""Groups: what is published in one process reaches subscribers in all, on this machine and the others.

Names are imported when they are first used: the hub's own process loads only what it needs.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vivace.hub.hub import Following, Hub
    from vivace.hub.records import Gap, Message, Position
    from vivace.hub.subscription import Subscription

__all__ = ["Following", "Gap", "Hub", "Message", "Position", "Subscription"]

_PLACES = {
    "Following": "hub",
    "Gap": "records",
    "Hub": "hub",
    "Message": "records",
    "Position": "records",
    "Subscription": "subscription",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"vivace.hub.{_PLACES[name]}"), name)
