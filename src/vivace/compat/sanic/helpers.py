"""sanic.helpers, sanic.utils, sanic.compat: small things that programs import.

Rules of this file: what exists elsewhere in Vivace is named in the table, not here.
"""

import asyncio
import contextlib
import os
import re
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any, Final, Self

from vivace.errors import LoadFileException, PyFileError, title_of
from vivace.http.status import PHRASES, has_no_body

__all__ = [
    "OS_IS_WINDOWS",
    "STATUS_CODES",
    "Default",
    "ctrlc_workaround_for_windows",
    "default",
    "has_message_body",
    "import_string",
    "is_entity_header",
    "is_hop_by_hop_header",
    "load_module_from_file_location",
    "open_async",
    "str_to_bool",
    "use_context",
]

_VARIABLE: Final = re.compile(r"\$\{(.+?)\}")

OS_IS_WINDOWS: Final = os.name == "nt"
STATUS_CODES: Final = {
    status: title_of(status).encode("ascii") for status in PHRASES if status not in (104, 421, 425)
}
"""The phrases of statuses, as octets."""

_YES: Final = frozenset({"y", "yes", "yep", "yup", "t", "true", "on", "enable", "enabled", "1"})
_NO: Final = frozenset({"n", "no", "f", "false", "off", "disable", "disabled", "0"})
_ENTITY: Final = frozenset(
    {
        "allow",
        "content-encoding",
        "content-language",
        "content-length",
        "content-location",
        "content-md5",
        "content-range",
        "content-type",
        "expires",
        "extension-header",
        "last-modified",
    }
)
_HOP_BY_HOP: Final = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailers",
        "transfer-encoding",
        "upgrade",
    }
)


class Default:
    """The type of a value that was not given."""

    def __repr__(self) -> str:
        return "<Default>"


default: Final = Default()
"""The value that was not given."""


def has_message_body(status: int) -> bool:
    """Whether a response of this status has content (RFC 9110 section 6.4.1)."""
    return not has_no_body(status)


def is_entity_header(header: str) -> bool:
    """Whether a field tells of the content."""
    return header.lower() in _ENTITY


def is_hop_by_hop_header(header: str) -> bool:
    """Whether a field is for the next hop only (RFC 9110 section 7.6.1)."""
    return header.lower() in _HOP_BY_HOP


def import_string(module_name: str, package: str | None = None) -> Any:
    """What a dotted path names: a module, or an object of one; a class is called.

    Raises:
        ImportError: There is no such module.
        AttributeError: It has no such object.
    """
    place, _, name = module_name.rpartition(".")
    module = import_module(place or name, package)
    if not place:
        return module
    found = getattr(module, name)
    return found() if isinstance(found, type) else found


def str_to_bool(val: str) -> bool:
    """What a word for yes or no means.

    Raises:
        ValueError: It is none.
    """
    word = val.lower()
    if word in _YES:
        return True
    if word in _NO:
        return False
    raise ValueError(f"Invalid truth value {val}")


def load_module_from_file_location(location: bytes | str | Path, encoding: str = "utf8") -> Any:
    """Import a file, or what dotted names name; ``${NAME}`` in a path is that variable of the environment.

    Raises:
        LoadFileException: A variable is not set.
        PyFileError: A file without the ending ``.py`` cannot be executed.
        OSError: There is no such file, or one word alone was given.
    """
    path = location.decode(encoding) if isinstance(location, bytes) else str(location)
    missing = sorted({name for name in _VARIABLE.findall(path) if name not in os.environ})
    if missing:
        raise LoadFileException(f"The following environment variables are not set: {', '.join(missing)}")
    if "/" not in path and "$" not in path and not isinstance(location, Path):
        if "." not in path:
            raise OSError(f"Unable to load configuration {path}")
        return import_string(path.removesuffix(".py"))
    path = _VARIABLE.sub(lambda found: os.environ[found[1]], path)
    return _load_source(path) if path.endswith(".py") else _run_settings(path)


def _load_source(path: str) -> ModuleType:
    spec = spec_from_file_location(Path(path).stem, path)
    if spec is None or spec.loader is None:
        raise LoadFileException(f"{path} is no Python source file")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _run_settings(path: str) -> ModuleType:
    """A module of a file with settings, whatever it is called."""
    module = ModuleType("config")
    module.__file__ = path
    try:
        source = Path(path).read_bytes()
    except OSError as error:
        error.strerror = "Unable to load configuration file (e.strerror)"
        raise
    try:
        exec(compile(source, path, "exec"), module.__dict__)  # noqa: S102  # the program's own settings
    except Exception as error:
        raise PyFileError(path) from error
    return module


def open_async(file: str | Path, mode: str = "r", **options: Any) -> Any:
    """A file as ``async with``; it is read by a thread."""
    return _AsyncFile(file, mode, options)


class _AsyncFile:
    def __init__(self, file: str | Path, mode: str, options: dict[str, Any]) -> None:
        self._open = lambda: open(file, mode, **options)  # noqa: SIM115  # closed by __aexit__
        self._file: Any = None

    async def __aenter__(self) -> Self:
        self._file = await asyncio.to_thread(self._open)
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self._file.close)

    async def read(self, size: int = -1) -> Any:
        """Read at most `size` octets or characters."""
        return await asyncio.to_thread(self._file.read, size)

    async def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a place in the file."""
        return int(await asyncio.to_thread(self._file.seek, offset, whence))


@contextlib.contextmanager
def use_context(method: object) -> Iterator[None]:
    """Nothing: workers are forked, whatever is asked for."""
    del method
    yield


def ctrlc_workaround_for_windows(app: object) -> None:
    """Nothing: Windows is not served.

    Raises:
        RuntimeError: On Windows.
    """
    del app
    if sys.platform == "win32":
        raise RuntimeError("Vivace does not run on Windows; use WSL")
