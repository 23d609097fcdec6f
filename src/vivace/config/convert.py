"""What a program may load its configuration from: objects, files of Python, and variables of its own prefix.

Rules of this file:

- Only upper-case names are taken, so that helpers of a settings module stay out.
- Text of variables becomes the first that fits: a converter of the program, a number, yes or no, the text.
- ``${NAME}`` in a path is replaced from the environment; one that is not set is an error that names it.
"""

import os
import re
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Final, Protocol, runtime_checkable

from vivace.errors import LoadFileException, PyFileError

__all__ = ["Converter", "DetailedConverter", "convert_text", "load_source"]

Converter = Callable[..., Any]
_VARIABLE: Final = re.compile(r"\$\{([^}]+)\}")
_DOTTED: Final = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+")
_TRUE: Final = frozenset({"y", "yes", "yep", "yup", "t", "true", "on", "enable", "enabled", "1"})
_FALSE: Final = frozenset({"n", "no", "f", "false", "off", "disable", "disabled", "0"})


@runtime_checkable
class DetailedConverter(Protocol):
    """A converter that wants to know which setting it converts."""

    def __call__(self, full_key: str, config_key: str, value: str, defaults: Mapping[str, Any]) -> Any:
        """Convert `value`; a ValueError leaves it to the next converter.

        Args:
            full_key: The name of the variable.
            config_key: The same without its prefix.
            value: Its text.
            defaults: The configuration before.
        """
        ...


def convert_text(text: str, converters: Iterable[Callable[[str], Any]] = ()) -> Any:
    """The value that the text of a variable stands for."""
    known: tuple[Callable[[str], Any], ...] = (int, float, _to_bool)
    for convert in (*converters, *known):
        try:
            return convert(text)
        except ValueError:
            continue
    return text


def _to_bool(text: str) -> bool:
    word = text.strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ValueError(text)


def load_source(source: Any) -> dict[str, Any]:
    """The upper-case names of a mapping, a class, an object, a module, or a file of Python.

    Args:
        source: The thing itself, the path of a file (text, octets or `Path`), or ``package.module.Thing``.

    Raises:
        LoadFileException: A variable in the path is not set.
        ImportError: Nothing of that name can be imported.
        PyFileError: The file cannot be run; one that is called ``.py`` raises what it raises, with a note.
        OSError: It cannot be read.
    """
    if isinstance(source, bytes):
        source = source.decode()
    if isinstance(source, str | os.PathLike):
        source = _load_named(os.fspath(source))
    if isinstance(source, Mapping):
        found = source
    else:
        names = (name for name in dir(source) if name.isupper())
        found = {name: getattr(source, name) for name in names}
    return {name: value for name, value in found.items() if isinstance(name, str) and name.isupper()}


def _load_named(name: str) -> Any:
    name = _VARIABLE.sub(_replace, name)
    if _DOTTED.fullmatch(name) and not name.endswith(".py"):
        return _import_object(name)
    path = Path(name)
    code = path.read_bytes()
    module = ModuleType(path.stem)
    module.__file__ = str(path)
    try:
        exec(compile(code, str(path), "exec"), module.__dict__)  # noqa: S102  # a file of settings is a program
    except Exception as error:
        if path.suffix != ".py":
            raise PyFileError(path) from error
        error.add_note(f"in the file of settings {path}")
        raise
    return module


def _replace(found: re.Match[str]) -> str:
    value = os.environ.get(found[1])
    if value is None:
        raise LoadFileException(f"The following environment variables are not set: {found[1]}")
    return value


def _import_object(name: str) -> Any:
    module, _, attribute = name.rpartition(".")
    try:
        return getattr(import_module(module), attribute)
    except AttributeError:
        return import_module(name)
