"""What ``app.m`` is in a worker: its way to the process that keeps the workers.

Rules of this file:

- A worker asks, and does not wait: the supervisor does it in its own order, as for a signal.
- A restart is that of the server: workers have no names here, and none is left out. It loses no request,
  whether ``zero_downtime`` was asked for or not.
- What a worker knows of others is that they have a supervisor; `vivace ctl workers` shows all of them.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from vivace.errors import SanicException

if TYPE_CHECKING:
    from vivace.framework.running import Runnable

__all__ = ["WorkerMultiplexer", "WorkerState"]

_FIXED: Final = ("server", "state", "pid", "start_at", "starts", "restart_at")


class WorkerState(Mapping[str, Any]):
    """What is known of this worker; a program may add keys of its own, in this process only.

    Args:
        known: To begin with.
    """

    def __init__(self, known: Mapping[str, Any]) -> None:
        self._values = dict(known)

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __setitem__(self, key: str, value: Any) -> None:
        if key in _FIXED:
            raise SanicException(f"{key!r} of a worker's state is kept by the server")
        self._values[key] = value

    def __delitem__(self, key: str) -> None:
        if key in _FIXED:
            raise SanicException(f"{key!r} of a worker's state is kept by the server")
        del self._values[key]

    def update(self, values: Mapping[str, Any]) -> None:
        """Set several keys."""
        for key, value in values.items():
            self[key] = value

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


class WorkerMultiplexer:
    """The server, as one of its workers may command it.

    Args:
        app: That runs in this worker.

    Attributes:
        pid: Of this process.
        state: What is known of it.
    """

    def __init__(self, app: "Runnable") -> None:
        self._app = app
        self.pid = os.getpid()
        self.state = WorkerState(
            {
                "server": True,
                "state": "ACKED",
                "pid": self.pid,
                "start_at": datetime.now(UTC),
                "starts": 1,
                "serving": True,
            }
        )

    @property
    def name(self) -> str:
        """As Sanic names its processes."""
        return f"Sanic-Server-{os.environ.get('VIVACE_SLOT', '0')}-0"

    @property
    def workers(self) -> dict[str, Mapping[str, Any]]:
        """This worker and the process that keeps it, by name."""
        return {"Sanic-Main": {"pid": os.getppid()}, self.name: self.state}

    def restart(self, name: str = "", all_workers: bool = False, zero_downtime: bool = False) -> None:
        """Replace the workers by new ones of the code as it is now.

        Args:
            name: Kept for its name: all are replaced.
            all_workers: The same.
            zero_downtime: The same: there is none.
        """
        self._app.restart()

    reload = restart

    def scale(self, num_workers: int) -> None:
        """Have another number of workers.

        Raises:
            ValueError: Less than one, or more than `vivace.config.workers.MOST_WORKERS`.
        """
        self._app.scale(num_workers)

    def terminate(self, early: bool = False) -> None:
        """End the server, all workers included.

        Args:
            early: Kept for its name: requests in progress are always finished.
        """
        self._app.stop()

    def ack(self) -> None:
        """Nothing: the supervisor knows when a worker serves."""

    def set_serving(self, serving: bool) -> None:
        """Say so in `state`; the server knows it by itself."""
        self.state["serving"] = serving

    def exit(self) -> None:
        """Nothing: the server closes what it opened."""

    def manage(self, ident: str, func: Callable[..., Any], kwargs: dict[str, Any], **options: Any) -> None:
        """Not there.

        Raises:
            SanicException: Always.
        """
        raise SanicException(
            f"{ident}: processes beside the workers come with a later version; until then start them apart"
        )
