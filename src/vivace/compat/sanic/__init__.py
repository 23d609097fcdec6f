"""The `sanic` alias: programs that import Sanic run on Vivace, unchanged.

>>> from vivace.compat import sanic
>>> sanic.install()
>>> from sanic import Sanic, text

From the command line: ``python -m vivace.compat.sanic web.py`` and ``vivace run --sanic module:app``.

Rules of this file:

- Nothing is installed that was not asked for: in every other process `import sanic` is Sanic.
- What is where stands in one table, `vivace.compat.sanic.table`; nothing is imported before it is used.

Most files are named after the module of Sanic that they fill:

    __main__, command, app, blueprint, config, constants, log, formatter, middleware, signals, views, worker
    request, form, accept, header, headers, cookies, response, handlers, handler_types, errorpages, static
    router, patterns, content_range, helpers, ext, validation, tls, shared

The others:

    table, loader, later, pieces         the table of names and how it is looked up
    around, declaring, overriding, preparing
                                         what programs see and change of an app before it is served
    serving, async_server, multiplexer, access, greeting
                                         what they do with its server, and look for in its log
"""

import sys
from typing import Final

__all__ = ["ROOTS", "install", "is_installed"]

ROOTS: Final = ("sanic", "sanic_ext", "sanic_routing", "sanic_testing")
"""The packages that the alias stands for."""


def install() -> None:
    """Let `import sanic` and the packages around it give Vivace, in this process and its workers.

    Calling it again changes nothing.

    Raises:
        RuntimeError: The real Sanic was imported before: two in one process would not know each other.
    """
    from vivace.compat.sanic.loader import AliasFinder
    from vivace.compat.sanic.log import forward_records

    if is_installed():
        return
    there = [name for name in ROOTS if name in sys.modules]
    if there:
        raise RuntimeError(
            f"{there[0]} was imported before vivace.compat.sanic.install(): call install() first, or start"
            " the program by `python -m vivace.compat.sanic`"
        )
    sys.meta_path.insert(0, AliasFinder())
    forward_records()


def is_installed() -> bool:
    """Whether the alias is in place."""
    from vivace.compat.sanic.loader import AliasFinder

    return any(isinstance(finder, AliasFinder) for finder in sys.meta_path)
