"""Names that programs import and Vivace does not fill yet: they can be named, and say so when they are used.

Rules of this file:

- A class here may stand in an annotation or an ``isinstance``; making an object of it raises, with the
  nearest thing. So a program that only mentions it runs.
"""

from typing import Any, ClassVar, NoReturn

__all__ = [
    "ASGIApp",
    "Http",
    "Inspector",
    "Reloader",
    "Worker",
    "WorkerManager",
    "WorkerProcess",
]

_PROCESSES = "workers are kept by vivace.supervisor; app.restart(), app.scale() and `vivace ctl` command it"


class _Later:
    """What is not there yet."""

    nearest: ClassVar[str] = ""

    def __init__(self, *_: Any, **__: Any) -> None:
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise NotImplementedError(f"{type(self).__name__} is not in Vivace: {self.nearest}")


class Http(_Later):
    """A connection of HTTP/1.1."""

    nearest = "connections belong to the server; the nearest is request.transport"


class ASGIApp(_Later):
    """An app under another server."""

    nearest = "an app is an ASGI callable by itself"


class Inspector(_Later):
    """Answers questions about the server."""

    nearest = "`vivace ctl` asks and commands a server that runs"


class WorkerManager(_Later):
    """Keeps the workers."""

    nearest = _PROCESSES
    THRESHOLD: ClassVar[int] = 300


class WorkerProcess(_Later):
    """One process of a worker."""

    nearest = _PROCESSES


class Worker(_Later):
    """A worker, as the manager sees it."""

    nearest = _PROCESSES


class Reloader(_Later):
    """Restarts when a file changes."""

    nearest = "AUTO_RELOAD restarts the app when a file changes"
