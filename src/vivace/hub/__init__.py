"""Groups: what is published in one process reaches subscribers in all, on this machine and the others.

Names are imported when they are first used: the hub's own process loads only what it needs.

In a process that uses it:

    hub, people, background              what programs call; without an event loop too
    station, link, inside, places        the way to the hub: a process beside, or an object here
    local, subscription, tail            what is followed here

The hub itself:

    process, exchange, broker            its process; the hub of a machine; its core
    words                                what was said about who may stay, for who was away
    presence, census, journal            who is there, here and elsewhere; what outlives it
    engine, engines/, joining            the way to other machines
    checks                               whether it can be as its settings say

Both:

    records, ledger, rules, limits       what goes through and was said, how, and how much
    wire, shapes, outlet                 frames between them
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
