"""Sockets that somebody opened before us: systemd by its protocol, anybody else by number.

Rules of this file:

- The variables of the protocol are for the process with the id LISTEN_PID and for nobody else. They are
  always removed, so that no child takes them for its own. What is not meant for us, or means nothing, is said
  in one line at level DEBUG and never stops a start.
- A supervisor hands its sockets over to the next one, or has systemd keep them, by the same protocol: the
  name of a descriptor is then the address of BIND, percent-encoded.
- Follows sd_listen_fds(3).
"""

import fcntl
import logging
import os
import resource
import socket
import stat
from collections.abc import Iterator, MutableMapping, Sequence
from typing import Final, NamedTuple
from urllib.parse import quote, unquote

from vivace.errors import StartupError
from vivace.server.bind import ListeningSocket

__all__ = ["FIRST", "Inherited", "adopt", "encode_name", "hand_over", "take_inherited"]

logger = logging.getLogger("vivace")

FIRST: Final = 3
"""The number of the first descriptor that is handed over."""
_VARIABLES: Final = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID")
_NAMELESS: Final = "unknown"


class Inherited(NamedTuple):
    """A descriptor that was handed over.

    Attributes:
        number: Of the descriptor.
        name: As the unit says (FileDescriptorName), or ``unknown``.
    """

    number: int
    name: str

    @property
    def address(self) -> str:
        """The address of BIND if a supervisor handed it over or had it kept; else empty."""
        return unquote(self.name) if "%3A" in self.name else ""


def take_inherited(environ: MutableMapping[str, str]) -> list[Inherited]:
    """The descriptors that were handed over to this process; the variables that say so are removed.

    Args:
        environ: Usually `os.environ`.
    """
    given = {name: environ.pop(name) for name in _VARIABLES if name in environ}
    if not given:
        return []
    count, why = _count(given.get("LISTEN_PID", ""), given.get("LISTEN_FDS", ""))
    if why:
        logger.debug("no sockets are taken over: %s", why)
        return []
    names = given.get("LISTEN_FDNAMES", "").split(":")
    if len(names) != count:
        names = [_NAMELESS] * count
    return [Inherited(FIRST + i, name or _NAMELESS) for i, name in enumerate(names)]


def _count(pid: str, number: str) -> tuple[int, str]:
    """How many descriptors are ours, or why none is."""
    if pid.strip() != str(os.getpid()):
        return 0, f"LISTEN_PID is {pid!r}, and this is process {os.getpid()}"
    text = number.strip()
    if not (text.isascii() and text.isdecimal()) or int(text[:9]) == 0:
        return 0, f"LISTEN_FDS is {number!r}"
    count = int(text[:9])
    if FIRST + count > resource.getrlimit(resource.RLIMIT_NOFILE)[0]:
        return 0, f"LISTEN_FDS is {number!r}, more than may be open"
    for fd in range(FIRST, FIRST + count):
        try:
            os.set_inheritable(fd, False)
        except OSError:
            return 0, f"LISTEN_FDS is {number!r}, but {fd} is not open"
    return count, ""


def adopt(number: int, backlog: int) -> ListeningSocket:
    """Make a listening socket of a descriptor.

    Args:
        number: Of a stream socket that is bound; it need not listen yet.
        backlog: Connections that wait in the kernel, if it does not listen yet.

    Raises:
        StartupError: It is not open, or is something else. Exit code 4.
    """
    try:
        if not stat.S_ISSOCK(os.fstat(number).st_mode):
            raise _unfit(number, "it is no socket")
        os.set_inheritable(number, False)
        listener = ListeningSocket(fileno=number)
    except OSError as error:
        raise _unfit(number, error.strerror or str(error)) from error
    try:
        if listener.type != socket.SOCK_STREAM or listener.family not in _FAMILIES:
            raise _unfit(number, "it is no stream socket of TCP or of the Unix kind")
        if not listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            listener.listen(backlog)
        listener.setblocking(False)
    except OSError as error:
        listener.detach()
        raise _unfit(number, error.strerror or str(error)) from error
    except StartupError:
        listener.detach()
        raise
    return listener


_FAMILIES: Final = (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX)


def _unfit(number: int, why: str) -> StartupError:
    return StartupError(f"cannot listen on the descriptor {number}: {why}", stage="bind", exit_code=4)


def encode_name(address: str) -> str:
    """An address of BIND as the name of a descriptor: such names have no colon."""
    return quote(address, safe="/[]*+")


def hand_over(named: Sequence[tuple[str, socket.socket]]) -> dict[str, str]:
    """Put sockets where the next program of this process finds them; called before ``exec``.

    The descriptors from 3 on are overwritten; the sockets themselves stay open till the ``exec``.

    Args:
        named: Addresses as BIND has them, and the sockets (`Listeners.named`).

    Returns:
        The variables that the next program needs.
    """
    beyond = FIRST + len(named)
    # Copies first: a socket may lie where another has to go.
    copies = [fcntl.fcntl(one.fileno(), fcntl.F_DUPFD_CLOEXEC, beyond) for _, one in named]
    for target, copy in enumerate(copies, FIRST):
        os.dup2(copy, target, inheritable=True)
    return dict(_describe([name for name, _ in named]))


def _describe(names: Sequence[str]) -> Iterator[tuple[str, str]]:
    yield "LISTEN_PID", str(os.getpid())
    yield "LISTEN_FDS", str(len(names))
    yield "LISTEN_FDNAMES", ":".join(map(encode_name, names))
