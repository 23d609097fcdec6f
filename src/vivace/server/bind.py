"""Making listening sockets, with errors that say what to do.

Rules of this file:

- A socket is bound before any worker exists and is shared by descriptor; no SO_REUSEPORT socket per worker is
  made (those lose queued connections).
- A Unix socket is made under another name and moved to its own when it listens with its mode and owner: a
  client meets the old server, or the new one, and never nobody or one that it may not talk to.
- A stale Unix socket is replaced, a live one refused.
- Follows ip(7), unix(7).
"""

import errno
import grp
import os
import pwd
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from vivace.errors import StartupError
from vivace.server.occupant import find_occupant

__all__ = ["ListeningSocket", "bind_tcp", "bind_unix"]

LONGEST_PATH: Final = 107
"""Octets of the path of a Unix socket (unix(7), without the zero at its end)."""
_NO_FAMILY: Final = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT)


class ListeningSocket(socket.socket):
    """A socket to accept from.

    Attributes:
        proxied: Connections begin with a header of the PROXY protocol; None: as PROXY_PROTOCOL says.
    """

    proxied: bool | None = None


def bind_tcp(host: str, port: int, backlog: int, option: str = "") -> list[socket.socket]:
    """Listen on every address that `host` stands for; port 0 takes a free one, the same for all.

    Args:
        host: An address or a name; empty: every address of the machine, of IPv6 if there is any.
        port: The port.
        backlog: Connections that wait in the kernel.
        option: What chooses the address, for messages; empty: ``--host`` and ``--port`` do.

    Raises:
        StartupError: In use, not permitted or not an address; the message names it. Exit code 4.
    """
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError) as error:
        raise StartupError(f"cannot resolve the host {host!r}: {error}", stage="bind", exit_code=4) from error
    sockets: list[socket.socket] = []
    missing: OSError | None = None
    try:
        for family, kind, protocol, _, address in dict.fromkeys(found):
            chosen = sockets[0].getsockname()[1] if sockets else port
            where = (address[0], chosen, *address[2:])
            try:
                sockets.append(_listen_tcp(family, kind, protocol, where, backlog))
            except OSError as error:
                # Of "every address" those of a family that this machine does without are none.
                if host or error.errno not in _NO_FAMILY:
                    raise
                missing = error
        if missing is not None and not sockets:
            raise missing
    except OSError as error:
        for made in sockets:
            made.close()
        raise StartupError(_why_not(host, port, error, option), stage="bind", exit_code=4) from error
    return sockets


def _listen_tcp(
    family: int, kind: int, protocol: int, address: tuple[object, ...], backlog: int
) -> socket.socket:
    listener = ListeningSocket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
        listener.listen(backlog)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


def _why_not(host: str, port: int, error: OSError, option: str) -> str:
    where = f"[{host}]:{port}" if ":" in host else f"{host or '*'}:{port}"
    if error.errno == errno.EADDRINUSE:
        occupant = find_occupant(port)
        by = f" by {occupant}" if occupant else ""
        return (
            f"cannot listen on {where}: the port is in use{by}."
            f" Stop what uses it, or choose another with {option or '--port'}."
        )
    if error.errno == errno.EACCES:
        return (
            f"cannot listen on {where}: ports below 1024 need the right to bind them"
            f" (CAP_NET_BIND_SERVICE). Choose a higher port with {option or '--port'}."
        )
    if error.errno == errno.EADDRNOTAVAIL:
        instead = option or "--host"
        return f"cannot listen on {where}: this machine has no such address. Choose another with {instead}."
    return f"cannot listen on {where}: {error.strerror or error}"


def bind_unix(path: str, mode: int, backlog: int, owner: str = "") -> socket.socket:
    """Listen on a Unix socket; a stale one is replaced, a live one refused.

    Args:
        path: Where; at most `LONGEST_PATH` octets.
        mode: Its permission bits; it has them, and its owner, before the first client can connect.
        backlog: Connections that wait in the kernel.
        owner: ``user``, ``user:group`` or ``:group``, names or numbers; empty: whoever runs this.

    Raises:
        StartupError: Somebody answers there, it is not a socket, or it cannot be made. Exit code 4.
    """
    if len(os.fsencode(path)) > LONGEST_PATH:
        text = f"the path of the Unix socket {path} is longer than {LONGEST_PATH} octets"
        raise StartupError(text, stage="bind", exit_code=4)
    ids = _find_owner(owner)
    listener = ListeningSocket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _refuse_live(path)
        _place(listener, path, mode, backlog, ids)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        message = f"cannot listen on the Unix socket {path}: {error.strerror or error}"
        raise StartupError(message, stage="bind", exit_code=4) from error
    except BaseException:
        listener.close()
        raise
    return listener


def _place(listener: socket.socket, path: str, mode: int, backlog: int, ids: tuple[int, int]) -> None:
    folder, name = os.path.split(path)
    with _open_folder(folder or ".") as directory:
        # A name of its own, short enough by the way over /proc where the folder's path is long.
        made = f".{os.getpid():x}.{name}"
        short = os.path.join(folder, made)
        if len(os.fsencode(short)) > LONGEST_PATH:
            short = f"/proc/self/fd/{directory}/.{os.getpid():x}"
            made = os.path.basename(short)
        with suppress(FileNotFoundError):
            os.unlink(made, dir_fd=directory)
        before = os.umask(0o177)
        try:
            listener.bind(short)
        finally:
            os.umask(before)
        try:
            if ids != (-1, -1):
                os.chown(made, *ids, dir_fd=directory)
            os.chmod(made, mode, dir_fd=directory)
            listener.listen(backlog)
            os.rename(made, name, src_dir_fd=directory, dst_dir_fd=directory)
        except BaseException:
            os.unlink(made, dir_fd=directory)
            raise


@contextmanager
def _open_folder(folder: str) -> Iterator[int]:
    directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield directory
    finally:
        os.close(directory)


def _find_owner(owner: str) -> tuple[int, int]:
    """The ids of a user and a group, -1 for what stays as it is."""
    user, _, group = owner.partition(":")
    try:
        return (
            -1 if not user else int(user) if user.isdecimal() else pwd.getpwnam(user).pw_uid,
            -1 if not group else int(group) if group.isdecimal() else grp.getgrnam(group).gr_gid,
        )
    except KeyError as error:
        text = f"the owner {owner!r} of the Unix socket is not known here: {error.args[0]}"
        raise StartupError(text, stage="bind", exit_code=4) from None


def _refuse_live(path: str) -> None:
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise StartupError(f"{path} exists and is not a socket", stage="bind", exit_code=4)
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            return
        except OSError as error:
            raise StartupError(f"cannot tell who owns {path}: {error}", stage="bind", exit_code=4) from error
    raise StartupError(f"another server answers on {path}", stage="bind", exit_code=4)
