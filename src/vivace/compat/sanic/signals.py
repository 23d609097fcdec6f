"""sanic.signals.SignalRouter: the signals of an app, as forgiving as Sanic's.

Rules of this file: only what differs from the signals of the framework.
"""

from vivace.framework import signals

__all__ = ["SignalRouter"]


class SignalRouter(signals.SignalRouter):
    """The signals of one app; an event that nobody hears is an error only where a program waits for it."""

    __slots__ = ()

    def refuse_unheard(self, name: str, inline: bool) -> None:
        """Complain of a dispatch that nobody hears, where it is inline and nobody hears one of its kind.

        Raises:
            SignalNotFound: That is so.
        """
        kind = name.split(".")[:2]
        if inline and all(signal.event.split(".")[:2] != kind for signal in self.routes):
            super().refuse_unheard(name, inline)
