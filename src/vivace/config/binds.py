"""Where to listen, as one writes it: ``host:port``, ``[address]:port``, ``unix:/path``, ``fd://3``.

Rules of this file:

- What is written is taken apart here and nowhere else; nothing is opened.
- BIND and the older HOST, PORT and UNIX speak of the same thing. What was said at the command line beats
  what application code says, which beats files and variables; among equals BIND wins. A platform's PORT
  comes last.
"""

import re
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from vivace.config.config import Config

__all__ = ["Bind", "binds_of", "chooses_binds", "parse_bind", "split_binds"]

_APART: Final = re.compile(r"[\s,]+")
_TCP: Final = re.compile(r"(?:\[([0-9A-Fa-f:.]+(?:%[\w.-]+)?)\]|([^\s:/\[\],]*)):([0-9]{1,5})", re.ASCII)
_PROXIED: Final = "proxy+"


class Bind(NamedTuple):
    """One address to listen on.

    Attributes:
        kind: ``tcp``, ``unix`` or ``fd``.
        name: The host (empty: every address of the machine), the path, or the number or name of a descriptor.
        port: Of ``tcp``; 0 lets the system choose.
        proxied: The PROXY protocol precedes what clients send there; None: as PROXY_PROTOCOL says.
    """

    kind: str
    name: str
    port: int = 0
    proxied: bool | None = None

    def __str__(self) -> str:
        prefix = _PROXIED if self.proxied else ""
        if self.kind == "tcp":
            host = f"[{self.name}]" if ":" in self.name else self.name or "*"
            return f"{prefix}{host}:{self.port}"
        return f"{prefix}unix:{self.name}" if self.kind == "unix" else f"{prefix}fd://{self.name}"


def split_binds(text: str) -> list[str]:
    """The addresses of a text with spaces or commas between them."""
    return [item for item in _APART.split(text) if item]


def parse_bind(text: str) -> Bind:
    """Take one address apart.

    Args:
        text: ``host:port``, ``[address]:port``, ``*:port`` or ``:port`` for every address of the machine,
            ``unix:/path``, ``fd://3`` or ``fd://name``; ``proxy+`` before it: behind a proxy that speaks the
            PROXY protocol.

    Raises:
        ValueError: It is none of these.
    """
    rest = text.removeprefix(_PROXIED)
    proxied = True if rest != text else None
    if rest.startswith("unix:"):
        path = re.sub(r"\A/{2,}", "/", rest.removeprefix("unix:"))
        if not path:
            raise ValueError(text)
        return Bind("unix", path, proxied=proxied)
    if rest.startswith("fd://"):
        if not re.fullmatch(r"[\w.@%-]+", rest[5:], re.ASCII):
            raise ValueError(text)
        return Bind("fd", rest[5:], proxied=proxied)
    found = _TCP.fullmatch(rest)
    if found is None or int(found[3]) > 65535:
        raise ValueError(text)
    host = found[1] or found[2]
    return Bind("tcp", "" if host == "*" else host, int(found[3]), proxied)


def binds_of(config: "Config") -> list[Bind]:
    """Where `config` says to listen: at least one address."""
    if chooses_binds(config):
        return [parse_bind(item) for item in split_binds(config.BIND)]
    if config.UNIX:
        return [Bind("unix", config.UNIX)]
    return [Bind("tcp", "" if config.HOST == "*" else config.HOST, config.PORT)]


def chooses_binds(config: "Config") -> bool:
    """Whether BIND counts, and not HOST, PORT and UNIX."""
    older = max(_rank(config, name) for name in ("HOST", "PORT", "UNIX"))
    return bool(config.BIND) and _rank(config, "BIND") >= older


def _rank(config: "Config", name: str) -> int:
    """How much a setting counts by who gave it."""
    source = config.sources.get(name, "")
    if source.startswith(("command line", "app.")):
        return 3
    if source == "application code":
        return 2
    return 1 if source and source != "environment PORT" else 0
