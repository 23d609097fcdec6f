"""Mounts: other apps below a path of this one, declared by `Vivace.mount`.

Rules of this file:

- A prefix ends at a slash or at the end of the path: ``/old`` holds ``/old`` and ``/old/x``, not ``/older``.
- Paths are compared as they came, with escapes of unreserved characters decoded (RFC 3986 section 6.2.2):
  ``%6fld`` is ``old``, and ``old%2Fx`` is no part of ``old``.
- Of several mounts the one with the longest prefix answers.
"""

import re
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from vivace.errors import DeclarationError
from vivace.framework.pattern import normalize
from vivace.protocols.stream import Stream

__all__ = ["Answer", "Mount", "MountTable", "Mounted", "check_prefix"]

Answer = Callable[[Stream], Coroutine[Any, Any, None] | None]
"""What answers a request; see `vivace.server.interface.Interface`."""
_UNFIT: Final = re.compile(r"[<>%?#\x00-\x1f\x7f\\]")
_SAFE: Final = "/!$&'()*+,;=:@"


class Mount(NamedTuple):
    """A declared mount.

    Attributes:
        prefix: The path, with a leading slash and none at its end; empty for ``/``.
        app: What is mounted.
        kind: ``native``, ``asgi``, ``asgi2`` or ``wsgi``; None: to be found out.
    """

    prefix: str
    app: Any
    kind: str | None


class Mounted(NamedTuple):
    """A mount that serves.

    Attributes:
        prefix: In octets, as paths are compared.
        answer: The interface of the app.
    """

    prefix: bytes
    answer: Answer


class MountTable:
    """Finds the mount for a path.

    Args:
        mounts: Pairs of a checked prefix and what answers below it.
    """

    __slots__ = ("_mounts",)

    def __init__(self, mounts: Iterable[tuple[str, Answer]]) -> None:
        found = [Mounted(normalize(quote(prefix, safe=_SAFE)).encode(), answer) for prefix, answer in mounts]
        self._mounts = sorted(found, key=lambda mounted: len(mounted.prefix), reverse=True)

    def find(self, path: bytes) -> Mounted | None:
        """The mount with the longest prefix of `path`, which is still percent-encoded."""
        if b"%" in path:
            path = normalize(path.decode("latin-1")).encode("latin-1")
        for mounted in self._mounts:
            prefix = mounted.prefix
            if path.startswith(prefix) and path[len(prefix) : len(prefix) + 1] in (b"/", b""):
                return mounted
        return None


def check_prefix(prefix: object) -> str:
    """The prefix of a mount without a slash at its end.

    Raises:
        ConfigError: It is no path that requests can begin with.
    """
    if not isinstance(prefix, str) or not prefix.startswith("/"):
        raise DeclarationError(f"mount prefix {prefix!r}: expected a path such as /old, with a leading slash")
    seen = _UNFIT.search(prefix)
    if seen is not None:
        what = "it has no path parameters" if seen.group() in "<>" else "write it decoded, without a query"
        raise DeclarationError(f"mount prefix {prefix!r} contains {seen.group()!r}: {what}")
    bare = prefix.removesuffix("/")
    if any(segment in ("", ".", "..") for segment in bare.split("/")[1:]):
        raise DeclarationError(
            f"mount prefix {prefix!r} has an empty segment, . or ..: clients send no such path"
        )
    return bare
