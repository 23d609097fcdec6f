"""Words about who may stay in a group: every process of every machine hears each of them, late if need be.

A word is lost where a process is between two connections to its hub, or a machine between two to the engine.
So what was said lately is kept, by the hub and by the process that said it (a hub that is killed forgets),
and is said again to whoever comes back. A process knows what it has heard already.

Rules of this file:

- What hubs tell each other besides words: `_AGAIN` asks the others for theirs, `_SAID` holds many.
- The clock is an argument, and sending is a function of the hub.
"""

from collections.abc import Callable
from typing import Final

from vivace.hub.ledger import Ledger
from vivace.hub.records import ASK_AGAIN, decode_payload, encode_payload
from vivace.hub.station import Client

__all__ = ["Words"]

_SAID: Final = "said"
_AGAIN: Final = encode_payload(["again"])


class Words:
    """What a hub knows of who may stay.

    Args:
        clients: The processes of this machine.
        publish: Tells the other machines.
    """

    def __init__(self, clients: "set[Client]", publish: Callable[[bytes], None]) -> None:
        self._clients = clients
        self._publish = publish
        self._own = Ledger()
        self._all = Ledger()

    def say(self, sender: Client, payload: bytes, now: float) -> None:
        """A process of this machine says a word."""
        if self._own.add(payload, now):
            self._publish(payload)
        self._tell(payload, now, sender)

    def take(self, payload: bytes, now: float) -> None:
        """Another hub says something."""
        kind, *rest = decode_payload(payload)
        if kind == "again":
            self.repeat(now)
        elif kind == _SAID:
            for word in rest[0]:
                self._tell(word, now, None)
        else:
            self._tell(payload, now, None)

    def _tell(self, payload: bytes, now: float, sender: Client | None) -> None:
        if self._all.add(payload, now):
            for client in tuple(self._clients):
                if client is not sender:
                    client.control(payload)

    def greet(self, client: Client, now: float) -> None:
        """A process came, or came back."""
        for payload in self._all.recent(now):
            client.control(payload)

    def repeat(self, now: float) -> None:
        """The other machines may have missed what was said on this one."""
        said = self._own.recent(now)
        if said:
            self._publish(encode_payload([_SAID, said]))

    def missed(self) -> None:
        """This machine may have missed what was said on others: ask them, and ask who can be asked about."""
        self._publish(_AGAIN)
        for client in tuple(self._clients):
            client.control(ASK_AGAIN)
