"""The listening sockets of a configuration: opened once, before any worker, and cleaned up at the end.

Rules of this file:

- One descriptor per address, shared by all workers; a worker that leaves never closes it for the others.
- What systemd, or the supervisor before this one, hands over is used: by its number or name where BIND says
  ``fd://``, by its address where BIND names that, and all of it where nothing says BIND.
- The file of a Unix socket is removed only while it is still the one that was made here; never if somebody
  else made it.
"""

import os
import socket
from collections.abc import MutableMapping, Sequence
from contextlib import suppress

from vivace.config import Config
from vivace.config.binds import Bind, binds_of, chooses_binds
from vivace.errors import StartupError
from vivace.server import bind_tcp, bind_unix
from vivace.server.last_call import bar, count_waiting
from vivace.supervisor.listening.activation import Inherited, adopt, take_inherited

__all__ = ["Listeners"]


class Listeners:
    """The sockets that BIND asks for, or UNIX, or HOST and PORT.

    Args:
        config: Of the process.
        given: A bound socket to listen on, instead.
        environ: From which LISTEN_* are taken, and removed; that of the process if None.

    Attributes:
        sockets: Listening and non-blocking.
        plain: Those of TLS_REDIRECT_PORT, likewise.
        before: The process id of the supervisor that this one replaces: while it lives they are its own too.
        dropped: Names of descriptors that were kept for us and are not needed any more (`Notifier.forget`).

    Raises:
        StartupError: An address cannot be used; exit code 4.
    """

    def __init__(
        self,
        config: Config,
        given: socket.socket | None = None,
        environ: MutableMapping[str, str] | None = None,
    ) -> None:
        self._config = config
        self.dropped: list[str] = []
        self.before = 0
        self._own: list[socket.socket] = []
        self._files: list[tuple[str, tuple[int, int] | None]] = []
        self._named: list[tuple[str, socket.socket]] = []
        self.plain: list[socket.socket] = []
        self._inherited = take_inherited(os.environ if environ is None else environ)
        try:
            if given is not None:
                given.listen(config.BACKLOG)
                given.setblocking(False)
                self._add("sock", given)
            elif not chooses_binds(config) and not all(one.address for one in self._inherited):
                self._take_all()
            else:
                for bind in binds_of(config):
                    self._open(bind)
            if config.TLS_REDIRECT_PORT:
                self._open_plain(f"redirect:{config.HOST}:{config.TLS_REDIRECT_PORT}")
        except BaseException:
            self.close()
            self.remove()
            raise
        self.sockets = [one for _, one in self._named]
        self._let_go()

    @classmethod
    def adopt(cls, sockets: Sequence[socket.socket], plain: Sequence[socket.socket]) -> "Listeners":
        """Those that another process has opened and cleans up."""
        made = cls.__new__(cls)
        made.dropped = []
        made.before = 0
        made._own = []
        made._files = []
        made._named = [("", one) for one in sockets]
        made.sockets = list(sockets)
        made.plain = list(plain)
        return made

    def addresses(self, *, secure: bool = False) -> list[str]:
        """Where it can be reached, as one would type it; `secure`: by HTTPS."""
        scheme = "https" if secure else "http"
        return [_url(name, one, scheme) for name, one in self._named]

    def named(self) -> list[tuple[str, socket.socket]]:
        """The open sockets with their addresses as BIND has them, or the names under which they came."""
        return list(self._named)

    def handed_on(self) -> list[tuple[str, socket.socket]]:
        """What the next supervisor gets (`activation.hand_over`)."""
        plain = f"redirect:{self._config.HOST}:{self._config.TLS_REDIRECT_PORT}"
        return [*self._named, *((plain, one) for one in self.plain)]

    def storable(self) -> list[tuple[str, socket.socket]]:
        """Those that systemd may keep over a restart: of TCP, and not its own already."""
        return [(name, one) for name, one in self._named if ":" in name and one.family != socket.AF_UNIX]

    def bar(self) -> None:
        """Let no new client into the queues of those that end with this server: the stop begins."""
        if not self._shared():
            for one in self._own:
                bar(one)
            self.remove()

    def count_waiting(self) -> int:
        """Clients in the queues of those."""
        return sum(count_waiting(one) for one in self._own)

    def shut(self) -> None:
        """Close, and refuse clients even while other processes have those still open."""
        for one in self._own if not self._shared() else ():
            if one.family != socket.AF_UNIX:
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
        self.close()

    def _shared(self) -> bool:
        return self.before > 0 and os.getppid() == self.before

    def close(self) -> None:
        """Close this process's part; clients are refused once the workers have closed theirs too."""
        for one in (*(one for _, one in self._named), *self.plain):
            one.close()
        self.plain = []
        self._named = []
        self._own = []
        self.sockets = []

    def remove(self) -> None:
        """Remove the files of Unix sockets that are still ours."""
        for path, made in self._files if not self._shared() else ():
            if made is not None and _identity(path) == made:
                os.unlink(path)
        self._files = []

    def leave_tcp(self) -> None:
        """The system may keep the sockets of TCP: they do not end with this server."""
        self._own = [one for one in self._own if one.family == socket.AF_UNIX]

    def leave_files(self) -> None:
        """The sockets go on in another process: nothing of them is removed or ends here any more."""
        self._files = []
        self._own = []

    def _add(self, name: str, *made: socket.socket) -> None:
        self._named.extend((name, one) for one in made)

    def _take_all(self) -> None:
        for one in [one for one in self._inherited if not one.address]:
            self._add(one.name, adopt(one.number, self._config.BACKLOG))
            self._inherited.remove(one)
        vain = [name for name in ("HOST", "PORT", "UNIX") if self._config.sources.get(name, "")]
        if vain and self._config.sources.get("PORT") != "environment PORT":
            text = f"{', '.join(vain)}: not used, for the sockets were handed over (LISTEN_FDS)"
            self._config.warnings.append(text)

    def _open(self, bind: Bind) -> None:
        handed = self._matching(bind)
        for one in handed:
            self._adopt(one.number, bind, ours=bool(one.address))
        if handed:
            return
        if bind.kind == "fd":
            self._adopt(_number(bind.name), bind, ours=False)
        elif bind.kind == "unix":
            config = self._config
            made = bind_unix(bind.name, config.UNIX_MODE, config.BACKLOG, config.UNIX_OWNER)
            _mark(made, bind)
            self._add(str(bind), made)
            self._own.append(made)
            self._note_file(bind.name)
        else:
            sockets = bind_tcp(bind.name, bind.port, self._config.BACKLOG)
            for made in sockets:
                _mark(made, bind)
            self._add(str(bind), *sockets)
            self._own.extend(sockets)

    def _open_plain(self, name: str) -> None:
        handed = [one for one in self._inherited if one.address == name]
        self._inherited = [one for one in self._inherited if one.address != name]
        config = self._config
        self.plain = [adopt(one.number, config.BACKLOG) for one in handed]
        if not handed:
            option = "--tls-redirect-port"
            host = "" if config.HOST == "*" else config.HOST
            self.plain = list(bind_tcp(host, config.TLS_REDIRECT_PORT, config.BACKLOG, option))
            self._own.extend(self.plain)

    def _adopt(self, number: int, bind: Bind, *, ours: bool) -> None:
        listener = adopt(number, self._config.BACKLOG)
        _mark(listener, bind)
        self._add(str(bind), listener)
        if ours:
            self._own.append(listener)
        if ours and bind.kind == "unix":
            self._note_file(bind.name)

    def _note_file(self, name: str) -> None:
        path = os.path.abspath(name)
        self._files.append((path, _identity(path)))

    def _matching(self, bind: Bind) -> list[Inherited]:
        """What was handed over for an address; it is not offered to the next one."""
        found = [one for one in self._inherited if _fits(one, bind)]
        self._inherited = [one for one in self._inherited if one not in found]
        return found

    def _let_go(self) -> None:
        """Close what was handed over and is asked for by nobody: its clients would wait for ever."""
        for one in self._inherited:
            os.close(one.number)
            if one.address:
                self.dropped.append(one.name)
            else:
                text = f"the descriptor {one.number} ({one.name}) was handed over, and BIND does not name it"
                self._config.warnings.append(text)
        self._inherited = []


def _fits(one: Inherited, bind: Bind) -> bool:
    if one.address:
        return one.address == str(bind)
    if bind.kind == "fd":
        return bind.name in (str(one.number), one.name)
    return _address(one.number) in _addresses(bind)


def _address(number: int) -> object:
    """Where a descriptor listens: host and port, or a path; None if it is no such socket."""
    try:
        probe = socket.socket(fileno=os.dup(number))
    except OSError:
        return None
    with probe:
        found = probe.getsockname()
        return found[:2] if probe.family in (socket.AF_INET, socket.AF_INET6) else found


def _addresses(bind: Bind) -> list[object]:
    if bind.kind == "unix":
        return [bind.name, os.path.abspath(bind.name)]
    try:
        found = socket.getaddrinfo(
            bind.name or None, bind.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (OSError, UnicodeError):
        return []
    return [address[:2] for *_, address in found]


def _number(name: str) -> int:
    if name.isdecimal():
        return int(name)
    text = f"nobody handed over a descriptor named {name}: LISTEN_FDNAMES does not name it"
    raise StartupError(text, stage="bind", exit_code=4)


def _mark(listener: socket.socket, bind: Bind) -> None:
    if bind.proxied is not None:
        listener.proxied = bind.proxied  # type: ignore[attr-defined]


def _identity(path: str) -> tuple[int, int] | None:
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _url(name: str, one: socket.socket, scheme: str = "http") -> str:
    if one.family == socket.AF_UNIX:
        path = name.partition("unix:")[2] if "unix:" in name else one.getsockname()
        if isinstance(path, bytes):
            return "unix:@" + path[1:].decode("utf-8", "replace")
        return f"unix:{os.path.abspath(path)}"
    host, port = one.getsockname()[:2]
    return f"{scheme}://[{host}]:{port}" if one.family == socket.AF_INET6 else f"{scheme}://{host}:{port}"
