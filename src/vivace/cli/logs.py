"""`vivace logs receive`: opens what servers send to udp+aead://, and prints it or passes it on.

Rules of this file:

- What cannot be opened is counted, and a line on standard error says so once a minute and at the end; it is
  never shown, for anybody may have sent it.
- A place that takes nothing holds up nothing: lines wait as in a server, and are dropped and counted.
"""

import contextlib
import logging
import signal
import socket
import time
from typing import TYPE_CHECKING, Final

import click
import msgspec

from vivace.config import Config
from vivace.config.binds import Bind, parse_bind
from vivace.config.places import parse_places
from vivace.errors import ConfigError, StartupError
from vivace.server.logs.places import make_place
from vivace.server.logs.shipper import Entry, Shipper

if TYPE_CHECKING:
    from vivace.server.logs.sealed import Opener

__all__ = ["command"]

EVERY: Final = 60.0
"""Seconds between two lines about what was refused or lost."""
WINDOW: Final = 60.0
"""Seconds by which the clock of a sender may be off if nobody says."""
ROOM: Final = 4 * 1024 * 1024
"""Octets that the system is asked to hold while we are busy."""
TURN: Final = 0.25
"""Seconds after which a signal is heeded where nothing comes."""
LAST: Final = 1.0
"""Seconds at most in which what has arrived already is taken when it ends."""
_LARGEST: Final = 65_536
_ENDS: Final = (signal.SIGTERM, signal.SIGINT)


class _Level(msgspec.Struct):
    level: str = "info"


@click.group(name="logs")
def command() -> None:
    """Work with logs that are sent elsewhere."""


@command.command(name="receive")
@click.option(
    "--bind", default="127.0.0.1:5140", show_default=True, metavar="HOST:PORT", help="Where to listen."
)
@click.option("--key", default="", metavar="FILE", help="Keys that are accepted; default: those of LOG_KEY.")
@click.option(
    "--window",
    default=WINDOW,
    show_default=True,
    type=click.FloatRange(1, 3600),
    help="Seconds by which clocks may differ.",
)
@click.option("--to", multiple=True, metavar="PLACE", help="Where lines go, as LOG_TO; default: stdout.")
def receive(bind: str, key: str, window: float, to: tuple[str, ...]) -> None:
    """Receive what servers send to udp+aead://, until SIGINT or SIGTERM; SIGHUP reads the keys anew."""
    try:
        from vivace.server.logs.sealed import Opener, read_keys
    except ImportError:
        text = "vivace logs receive needs cryptography: pip install 'vivace[logs]'"
        raise StartupError(text, stage="logs", exit_code=2) from None
    config = Config.load()
    opener = Opener(read_keys(key, config.LOG_KEY), window)
    places = [make_place(one, "vivace", config.LOG_KEY) for one in parse_places(list(to) or ["stdout"])]
    with _listen(_address(bind)) as ear:
        desk = _Desk(ear, opener, [Shipper(place, config.LOG_BUFFER) for place in places])
        signal.signal(signal.SIGHUP, lambda *_: desk.renew(key))
        for number in _ENDS:
            signal.signal(number, lambda *_: desk.end())  # no exception: it would lose what was just taken
        desk.run()
        for number in _ENDS:
            signal.signal(number, signal.SIG_IGN)
        desk.close()


def _address(text: str) -> Bind:
    with contextlib.suppress(ValueError):
        found = parse_bind(text)
        if found.kind == "tcp" and found.proxied is None:
            return found
    raise ConfigError(
        f"--bind {text!r} cannot be used; expected host:port, such as 127.0.0.1:5140", key="bind"
    )


def _listen(bind: Bind) -> socket.socket:
    try:
        kind = socket.SOCK_DGRAM
        family, _, number, _, address = socket.getaddrinfo(
            bind.name or None, bind.port, type=kind, flags=socket.AI_PASSIVE
        )[0]
        made = socket.socket(family, kind, number)
    except OSError as error:
        raise StartupError(f"cannot listen at {bind}: {error}", stage="bind", exit_code=4) from error
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, ROOM)
        made.bind(address)
    except OSError as error:
        made.close()
        text = f"cannot listen at {bind}: {error.strerror}"
        raise StartupError(text, stage="bind", exit_code=4) from error
    made.settimeout(TURN)
    return made


class _Desk:
    """Takes datagrams."""

    def __init__(self, ear: socket.socket, opener: "Opener", shippers: list[Shipper]) -> None:
        self._ear = ear
        self._opener = opener
        self._shippers = shippers
        self._told = ""
        self._told_at = time.monotonic()
        self._ends = False

    def end(self) -> None:
        self._ends = True

    def run(self) -> None:
        host, port = self._ear.getsockname()[:2]
        _say(f"receiving at {host} port {port}; keys accepted: {len(self._opener.keys)}")
        while not self._ends:
            with contextlib.suppress(TimeoutError):
                self._take(self._ear.recv(_LARGEST))
            if time.monotonic() >= self._told_at + EVERY:
                self._tell()

    def _take(self, data: bytes) -> None:
        now = time.time()
        line = self._opener.open(data, now)
        if line is None:
            return
        try:
            level = msgspec.json.decode(line, type=_Level).level
        except msgspec.MsgspecError:
            level = "info"
        number = logging.getLevelNamesMapping().get(level.upper(), logging.INFO)
        entry = Entry(now, number, line.decode("utf-8", "replace"))
        for shipper in self._shippers:
            shipper.put(entry)

    def renew(self, key: str) -> None:
        from vivace.server.logs.sealed import read_keys

        try:
            found = read_keys(key, Config.load().LOG_KEY)
        except ConfigError as error:
            _say(f"the keys stay as they were: {error}")
            return
        self._opener.keys = {one.name: one for one in found}
        _say(f"keys accepted: {len(found)}")

    def _tell(self) -> None:
        """Once a minute, what was refused or lost, if that has changed."""
        self._told_at = time.monotonic()
        found = self._opener
        refused = ", ".join(f"{count} {why}" for why, count in sorted(found.refused.items()))
        dropped = sum(one.dropped for one in self._shippers)
        text = f"{found.lost} lost on the way, refused: {refused or 'none'}, {dropped} not passed on"
        if text != self._told:
            self._told = text
            _say(f"{found.taken} received, {text}")

    def close(self) -> None:
        """Take what has arrived already, hand on what waits, and say what came of it all."""
        self._ear.settimeout(0.0)
        until = time.monotonic() + LAST
        with contextlib.suppress(BlockingIOError):
            while time.monotonic() < until:
                self._take(self._ear.recv(_LARGEST))
        for shipper in self._shippers:
            shipper.close()
        self._told = ""
        self._tell()


def _say(text: str) -> None:
    click.echo(f"vivace logs: {text}", err=True)
