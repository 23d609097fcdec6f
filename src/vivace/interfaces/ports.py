"""Several apps of one server, each at a port of its own.

Rules of this file:

- The first app is served as if it were alone: its settings are those of connections and processes.
- The others start after it, in order, and stop before it, in reverse; when one cannot start, none is served.
- Which app answers is decided by the port at which the request arrived. That costs nothing where there is
  one app: there is no such interface then.
"""

from collections.abc import Coroutine, Mapping
from typing import Any

from vivace.config import Config
from vivace.interfaces.choose import make_interface
from vivace.interfaces.mounts import MountedInterface, Mounts, as_cancelled
from vivace.protocols.stream import Stream
from vivace.server.interface import Interface

__all__ = ["PortsInterface"]


class _Neighbours(Mounts):
    """The apps beside the first one."""

    __slots__ = ("_ports",)

    def __init__(self, apps: Mapping[int, Any], config: Config) -> None:
        super().__init__((), config)
        self._ports = list(apps)
        self._interfaces += [
            (f"port {port}", make_interface(app, "native", config)) for port, app in apps.items()
        ]

    def by_port(self, *, cancels: bool) -> dict[int, Any]:
        """What answers at which port."""
        interfaces = [interface for _label, interface in self._interfaces]
        return {port: as_cancelled(one, cancels) for port, one in zip(self._ports, interfaces, strict=True)}


class PortsInterface(MountedInterface):
    """The interface of an app with neighbours.

    Args:
        main: Answers at every port that is no neighbour's.
        apps: The neighbours by their ports.
        config: The settings to serve with.
    """

    __slots__ = ("_by_port",)

    def __init__(self, main: Interface, apps: Mapping[int, Any], config: Config) -> None:
        neighbours = _Neighbours(apps, config)
        super().__init__(main, neighbours)
        self._by_port = neighbours.by_port(cancels=self.cancels)

    def __call__(self, stream: Stream) -> Coroutine[Any, Any, None] | None:
        """Answer one request."""
        server = stream.server
        answer = self._by_port.get(server[1], self._answer) if server is not None else self._answer
        given: Coroutine[Any, Any, None] | None = answer(stream)
        return given
