"""How runners hear at once that there is work, and how one knows that a runner of this machine is gone.

Each runner binds a datagram socket in one folder; whoever enqueues sends an octet to all of them.

Rules of this file:

- A bell is no promise: what is missed is found by looking, every few seconds.
- A socket file that nobody listens at is that of a process that died: the kernel says so, at once and surely.
- The folder has an identity: workers of other machines, which share only the database, are not judged here.
"""

import contextlib
import os
import secrets
import socket
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from vivace.tasks.state import make_folder

__all__ = ["Bell", "Bells"]

_SUFFIX: Final = ".bell"
_PLACE: Final = "place"
_LONGEST: Final = 100
"""Octets of a path that every system takes as the address of a socket."""


class Bells:
    """The bells of one machine.

    Args:
        folder: Where they hang; made if it is not there.

    Raises:
        OSError: It cannot be made or read.
    """

    def __init__(self, folder: Path) -> None:
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True, mode=0o700)
        self._folder = folder
        self.place = self._identity()
        self._sender = _datagram()
        self._descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)

    def _identity(self) -> str:
        path = self._folder / _PLACE
        draft = path.with_name(f"{_PLACE}-{secrets.token_hex(8)}")
        draft.write_text(secrets.token_hex(6))
        try:
            os.link(draft, path)  # the first one decides
        except FileExistsError:
            pass
        finally:
            draft.unlink()
        return path.read_text()

    def hang(self) -> "Bell":
        """A bell of this process."""
        worker = f"{self.place}-{os.getpid()}-{secrets.token_hex(3)}"
        bell = _datagram()
        with self._address(worker + _SUFFIX) as address:
            bell.bind(address)
        return Bell(worker, bell, self._folder / (worker + _SUFFIX))

    def ring(self) -> int:
        """Wake every runner of this machine; how many there were."""
        count = 0
        with contextlib.suppress(OSError):
            for name in os.listdir(self._descriptor):
                count += name.endswith(_SUFFIX) and self._touch(name)
        return count

    def gone(self, workers: Collection[str]) -> set[str]:
        """Of these workers, those of this machine whose process has ended."""
        ours = {worker for worker in workers if worker.startswith(f"{self.place}-")}
        return {worker for worker in ours if not self._touch(worker + _SUFFIX)}

    def _touch(self, name: str) -> bool:
        """Ring one bell; whether somebody may hear it."""
        try:
            with self._address(name) as address:
                self._sender.sendto(b"!", address)
        except BlockingIOError:
            return True  # it has not heard the last ones yet
        except ConnectionRefusedError:
            with contextlib.suppress(OSError):
                (self._folder / name).unlink()
            return False
        except FileNotFoundError:
            return False
        except OSError:
            return True  # who cannot be judged is not taken for dead: its lease will tell
        return True

    @contextmanager
    def _address(self, name: str) -> Iterator[str]:
        """The address of a bell, also where the path of the folder is too long for one."""
        path = str(self._folder / name)
        if len(os.fsencode(path)) <= _LONGEST:
            yield path
        else:
            yield f"/proc/self/fd/{self._descriptor}/{name}"

    def close(self) -> None:
        """Let go of the folder."""
        self._sender.close()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __del__(self) -> None:
        if hasattr(self, "_descriptor"):  # else it could not be made
            self.close()


class Bell:
    """The bell of one runner.

    Attributes:
        worker: The name of the runner, on all machines.
    """

    def __init__(self, worker: str, bound: socket.socket, path: Path) -> None:
        self.worker = worker
        self._socket = bound
        self._path = path

    def fileno(self) -> int:
        """Readable when it rings."""
        return self._socket.fileno()

    def hush(self) -> None:
        """Take what has been rung so far."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self._socket.recv(16)

    def close(self) -> None:
        """Take it down: this runner does nothing any more."""
        self._socket.close()
        with contextlib.suppress(OSError):
            self._path.unlink()


def _datagram() -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    made.setblocking(False)
    return made
