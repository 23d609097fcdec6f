"""The command `sanic`: what ``python -m sanic module:app`` and `sanic.__main__.main` take.

Rules of this file:

- Options have the names that they have in Sanic, and become the arguments of `app.run`.
- What cannot be loaded is said in the log, and the exit code is 1; a wrong option ends with 2.
"""

import argparse
import logging
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, Final, NoReturn

from vivace.compat.sanic.constants import ROUTING_VERSION, VERSION

__all__ = ["main"]

error_logger: Final = logging.getLogger("sanic.error")
_TLS: Final = (
    "TLS certificates must be specified by either of:\n"
    "  --cert certdir/fullchain.pem --key certdir/privkey.pem\n"
    "  --tls certdir  (equivalent to the above)"
)
_EXAMPLES: Final = (
    "No module named {} found.\n"
    "  Example File: project/sanic_server.py -> app\n"
    "  Example Module: project.sanic_server.app"
)
_PASSED: Final = (
    "host port unix workers fast single_process debug dev auto_reload access_log motd coffee noisy_exceptions"
    " verbosity auto_tls"
)
"""Options that are arguments of `run` under the same names."""


def main(arguments: list[str] | None = None) -> None:
    """Serve the app that is named, or run one of its commands.

    Args:
        arguments: Those of the command line, without its first.

    Raises:
        SystemExit: With 0 after ``--help`` and ``--version``, 1 without such an app, 2 for a wrong option.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    if given == ["-v"]:
        given = ["--version"]
    options, rest = _parser().parse_known_args(given)
    if rest and options.action != "exec":
        _parser().error(f"unrecognized arguments: {' '.join(rest)}")
    if (folder := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, folder)
    app = _load(options)
    if options.action == "exec":
        _execute(app, rest)
        return
    app.run(**_run_arguments(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "sanic", description="Run a Sanic application on Vivace.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"Sanic {VERSION}; Routing {ROUTING_VERSION}")
    parser.add_argument("target", help="module:app, module.app, module, a factory, or a folder with --simple")
    parser.add_argument("action", nargs="?", choices=("serve", "exec"), default="serve")
    parser.add_argument("--factory", action="store_true", help="the target makes the app")
    parser.add_argument("-s", "--simple", action="store_true", help="serve the files of a folder")
    parser.add_argument("-H", "--host", help="address, 127.0.0.1 by default")
    parser.add_argument("-p", "--port", type=int, help="port, 8000 by default")
    parser.add_argument("-u", "--unix", help="Unix socket")
    parser.add_argument("-1", dest="http", action="append_const", const=1, help="HTTP/1.1")
    parser.add_argument("--http", dest="http", action="append", type=int, choices=(1, 3), help="which HTTP")
    parser.add_argument("-3", dest="http", action="append_const", const=3, help="HTTP/3")
    parser.add_argument("--cert", help="certificate chain")
    parser.add_argument("--key", help="private key")
    parser.add_argument("--tls", metavar="DIR", action="append", help="folder with both; may be repeated")
    parser.add_argument("--tls-strict-host", action="store_true", help="only for names of certificates")
    parser.add_argument("--debug", action="store_true", default=None, help="debug mode")
    parser.add_argument("-d", "--dev", action="store_true", default=None, help="debug mode and reload")
    reload = ("-r", "--reload", "--auto-reload")
    parser.add_argument(*reload, dest="auto_reload", action="store_true", default=None, help="reload")
    parser.add_argument("-R", "--reload-dir", metavar="PATH", action="append", help="watch this, too")
    parser.add_argument("--auto-tls", action="store_true", default=None, help="a certificate for development")
    workers = parser.add_mutually_exclusive_group()
    workers.add_argument("-w", "--workers", type=int, help="number of workers, 1 by default")
    workers.add_argument("--fast", action="store_true", default=None, help="a worker per processor")
    workers.add_argument("--single-process", action="store_true", default=None, help="no main process")
    for names, kept in (
        ("access-logs", "access_log"),
        ("motd", "motd"),
        ("coffee", "coffee"),
        ("noisy-exceptions", "noisy_exceptions"),
        ("repl", "repl"),
    ):
        parser.add_argument(f"--{names}", dest=kept, action="store_true", default=None, help="on")
        parser.add_argument(f"--no-{names}", dest=kept, action="store_false", default=None, help="off")
    parser.add_argument("-v", "--verbosity", action="count", default=None, help="no effect")
    return parser


def _run_arguments(options: argparse.Namespace) -> dict[str, Any]:
    found = {name: getattr(options, name) for name in _PASSED.split()}
    found["reload_dir"] = options.reload_dir
    found["version"] = 3 if options.http == [3] else None
    if options.cert or options.key or options.tls:
        found["ssl"] = _certificates(options)
    return {name: value for name, value in found.items() if value is not None}


def _certificates(options: argparse.Namespace) -> list[Any]:
    if bool(options.cert) != bool(options.key):
        _fail(_TLS)
    found: list[Any] = [None] if options.tls_strict_host else []
    if options.cert:
        found.append({"cert": options.cert, "key": options.key})
    return [*found, *(options.tls or [])]


def _load(options: argparse.Namespace) -> Any:
    if options.simple:
        return _simple(options.target)
    target = options.target.removesuffix("()")
    made = target != options.target or options.factory
    try:
        found = _find(target)
    except ImportError as error:
        error_logger.error(_EXAMPLES.format(target.partition(":")[0]))  # noqa: TRY400  # said below
        _fail(f"\nThe error below might have caused the above one:\n{error}")
    if callable(found) and not hasattr(found, "run") and (made or not isinstance(found, type)):
        found = found(options) if _takes_one(found) else found()
    if not hasattr(found, "run"):
        kind = type(found).__name__
        _fail(f"Module is not a Sanic app, it is a {kind}\n  Perhaps you meant {options.target}:app?")
    return found


def _find(target: str) -> Any:
    """What a target names; None if its module has no such name."""
    target = target.removesuffix(".py").replace("/", ".") if "/" in target or ".py" in target else target
    module, colon, name = target.partition(":")
    if colon:
        return getattr(import_module(module), name, None)
    try:
        return getattr(import_module(module), "app", None)
    except ModuleNotFoundError as error:
        place, dot, name = module.rpartition(".")
        if not dot or (error.name or "").count(".") < module.count("."):
            raise
        return getattr(import_module(place), name, None)


def _takes_one(function: Any) -> bool:
    code = getattr(function, "__code__", None)
    return code is not None and bool(code.co_argcount)


def _simple(folder: str) -> Any:
    from vivace.compat.sanic.app import Sanic
    from vivace.errors import SanicException

    if not Path(folder).is_dir():
        raise SanicException("Cannot setup Sanic Simple Server without a path to a directory")
    app = Sanic("SimpleServer")
    app.static("/", os.fspath(folder), index="index.html", directory_view=True, name="main")
    return app


def _execute(app: Any, rest: list[str]) -> None:
    from vivace.framework.commands import run_command

    if not rest:
        sys.stdout.write("".join(f"{name}\n" for name in sorted(app.commands)))
        return
    if rest[0] not in app.commands:
        _parser().error(f"unrecognized arguments: {rest[0]}")
    result = run_command(app.commands, rest[0], tuple(rest[1:]))
    if result is not None:
        sys.stdout.write(f"{result}\n")


def _fail(message: str) -> NoReturn:
    error_logger.error("%s", message)
    raise SystemExit(1)
