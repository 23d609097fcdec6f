"""How many connections a process holds to a resource, seen from outside: no driver is asked or patched.

A socket that a process holds is a link ``socket:[inode]`` among its descriptors. Whose inodes lead to the
resource says the kernel: its table of TCP sockets, or for a Unix socket, whose client end has no name, its
answer to a question over netlink (sock_diag(7)).

Rules of this file:

- Linux only; elsewhere, and for a process that is gone or not ours, nothing is known.
- Only established connections count: a closing one is none of the resource's any more.
- Reading is apart from understanding, which is tested with bytes.
"""

import os
import socket
import struct
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from vivace.config.budget import Plan

__all__ = [
    "Place",
    "Usage",
    "UsageWatch",
    "Watched",
    "count_open",
    "measure",
    "parse_diag",
    "parse_table",
    "places_of",
    "usage_lines",
]

_PORTS: Final = {"postgres": 5432, "postgresql": 5432, "redis": 6379, "rediss": 6379, "mysql": 3306}
_TABLES: Final = ("tcp", "tcp6")
_ESTABLISHED: Final = "01"
_DIAG: Final = 4  # NETLINK_SOCK_DIAG
_BY_FAMILY: Final = 20
_DUMP: Final = 0x301  # NLM_F_REQUEST | NLM_F_DUMP
_SHOW_NAME_AND_PEER: Final = 0x5
_NAME, _PEER = 0, 2
_HEADER: Final = struct.Struct("=IHHII")
_QUESTION: Final = struct.Struct("=BBHIIIII")
_ANSWER: Final = struct.Struct("=BBBBIII")
_ATTRIBUTE: Final = struct.Struct("=HH")
_ANY: Final = 0xFFFFFFFF


class Place(NamedTuple):
    """Where a resource is.

    Attributes:
        tcp: Addresses and ports as the kernel's tables write them.
        unix: Paths of sockets.
    """

    tcp: frozenset[str] = frozenset()
    unix: frozenset[str] = frozenset()


class Usage(NamedTuple):
    """What one worker holds of one budget.

    Attributes:
        budget: Its name.
        slot: Of the worker.
        pid: The same.
        open: Connections that it holds.
        share: What it may hold.
    """

    budget: str
    slot: int
    pid: int
    open: int
    share: int


class Watched(NamedTuple):
    """A budget that can be watched from outside; a worker tells it to its supervisor.

    Attributes:
        plan: The budget.
        place: Where its resource is.
        recycle: A worker that stays above its share is replaced.
    """

    plan: Plan
    place: Place
    recycle: bool = False


class UsageWatch:
    """Warns of a worker once, as long as it holds more than its share.

    Attributes:
        staying: Those that were above it the last time as well.
    """

    def __init__(self) -> None:
        self.staying: list[Usage] = []
        self._above: set[tuple[str, int]] = set()

    def judge(self, usages: Iterable[Usage]) -> list[str]:
        """The lines about workers that were not above their share the last time.

        Args:
            usages: Of all workers and budgets, now.
        """
        above = {(usage.budget, usage.pid): usage for usage in usages if usage.open > usage.share}
        new = [usage for key, usage in above.items() if key not in self._above]
        self.staying = [usage for key, usage in above.items() if key in self._above]
        self._above = set(above)
        return usage_lines(new)


def measure(plan: Plan, place: Place, workers: Mapping[int, int]) -> list[Usage]:
    """What each worker holds of a budget; those of which nothing is known are left out.

    Args:
        plan: The budget.
        place: Where its resource is.
        workers: The pid of each slot.
    """
    counts = count_open(workers.values(), place)
    return [
        Usage(plan.name, slot, pid, counts[pid], plan.share(slot if slot < plan.slots else None))
        for slot, pid in workers.items()
        if pid in counts
    ]


def usage_lines(usages: Iterable[Usage]) -> list[str]:
    """What to warn of: the workers that hold more than their share."""
    return [
        f"worker {u.slot} (pid {u.pid}) holds {u.open} connections of budget {u.budget}, its share is"
        f" {u.share}: something in it opens connections beside the pool"
        for u in usages
        if u.open > u.share
    ]


def places_of(url: str) -> Place:
    """Where the resource of a URL is; names are looked up, which may take time.

    Args:
        url: Such as ``postgres://user@host:5432/name``, ``postgresql:///name?host=/run/postgresql`` or
            ``redis+unix:///run/redis.sock``.
    """
    scheme, _, rest = url.partition("://")
    parts = urlsplit(f"//{rest}")
    query = parse_qs(parts.query)
    base = scheme.lower().partition("+")[0]
    hosts = query["host"][0] if "host" in query else parts.netloc.rpartition("@")[2]
    if scheme.lower() in {"unix", "redis+unix"}:
        return Place(unix=frozenset({unquote(parts.path)}))
    default = query.get("port", [str(_PORTS.get(base, 0))])[0]
    tcp: set[str] = set()
    unix: set[str] = set()
    for item in unquote(hosts).split(","):
        if item.startswith("/"):
            unix.add(f"{item}/.s.PGSQL.{default}")
        elif item:
            host, colon, port = item.rpartition(":")
            if not colon or item.endswith("]"):
                host, port = item, default
            tcp.update(_addresses(host.strip("[]"), port))
    return Place(frozenset(tcp), frozenset(unix))


def _addresses(host: str, port: str) -> Iterator[str]:
    try:
        found = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)
    except (OSError, ValueError):
        return
    for *_, address in found:
        yield from _as_the_kernel_writes(str(address[0]).partition("%")[0], int(address[1]))


def _as_the_kernel_writes(address: str, port: int) -> Iterator[str]:
    """The address in the tables: words in the machine's order of bytes; IPv4 also mapped into IPv6."""
    ip = ip_address(address)
    packed = [ip.packed]
    if ip.version == 4:
        packed.append(bytes(10) + b"\xff\xff" + ip.packed)
    for octets in packed:
        words = struct.unpack(f"={len(octets) // 4}I", octets)
        yield "".join(f"{word:08X}" for word in words) + f":{port:04X}"


def parse_table(text: str, places: Collection[str]) -> Iterator[int]:
    """The inodes of the established connections to some places.

    Args:
        text: Of ``/proc/net/tcp`` or ``tcp6``.
        places: See `Place.tcp`.
    """
    for line in text.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 9 and fields[2] in places and fields[3] == _ESTABLISHED:
            yield int(fields[9])


def parse_diag(octets: bytes, paths: Collection[str]) -> Iterator[int]:
    """The inodes of the client ends of connections to Unix sockets.

    Args:
        octets: Messages of the kernel: each socket with its name and the inode of its peer.
        paths: See `Place.unix`.
    """
    names = {os.fsencode(path) for path in paths}
    while len(octets) >= _HEADER.size:
        length, kind, *_ = _HEADER.unpack_from(octets)
        if length < _HEADER.size:
            return
        if kind == _BY_FAMILY:
            found = dict(_attributes(octets[_HEADER.size + _ANSWER.size : length]))
            if found.get(_NAME, b"").rstrip(b"\0") in names and len(found.get(_PEER, b"")) >= 4:
                yield int.from_bytes(found[_PEER][:4], sys.byteorder)
        octets = octets[-(-length // 4) * 4 :]


def _attributes(octets: bytes) -> Iterator[tuple[int, bytes]]:
    while len(octets) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(octets)
        if length < _ATTRIBUTE.size:
            return
        yield kind, octets[_ATTRIBUTE.size : length]
        octets = octets[-(-length // 4) * 4 :]


def count_open(pids: Iterable[int], place: Place) -> dict[int, int]:
    """The connections to a resource that each process holds; those of which nothing is known are left out.

    Args:
        pids: Processes in the network of this one.
        place: Of the resource.
    """
    try:
        wanted = set(_find_inodes(place))
    except OSError:  # another system
        return {}
    counts = {}
    for pid in pids:
        held = _sockets_of(pid)
        if held is not None:
            counts[pid] = len(held & wanted)
    return counts


def _find_inodes(place: Place) -> Iterator[int]:
    if place.tcp:
        for name in _TABLES:
            path = Path("/proc/self/net") / name
            if path.exists():  # no tcp6 where IPv6 is off
                yield from parse_table(path.read_text("ascii"), place.tcp)
    if place.unix:
        yield from parse_diag(_ask_for_unix_sockets(), place.unix)


def _ask_for_unix_sockets() -> bytes:
    question = _QUESTION.pack(socket.AF_UNIX, 0, 0, 1 << 1, 0, _SHOW_NAME_AND_PEER, _ANY, _ANY)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _DIAG) as kernel:
        kernel.settimeout(1.0)
        kernel.send(_HEADER.pack(_HEADER.size + len(question), _BY_FAMILY, _DUMP, 1, 0) + question)
        found = bytearray()
        while True:
            octets = kernel.recv(1 << 18)
            if _HEADER.unpack_from(octets)[1] != _BY_FAMILY:  # done, or an error
                return bytes(found)
            found += octets


def _sockets_of(pid: int) -> set[int] | None:
    """The inodes of the sockets that a process holds; None if it is gone or not ours."""
    folder = f"/proc/{pid}/fd"
    try:
        names = os.listdir(folder)
    except OSError:
        return None
    found = set()
    for name in names:
        try:
            target = os.readlink(f"{folder}/{name}")
        except OSError:  # closed meanwhile
            continue
        if target.startswith("socket:["):
            found.add(int(target[8:-1]))
    return found
