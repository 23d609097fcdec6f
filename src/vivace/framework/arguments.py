"""The arguments of `app.run` and its like: what they set, what they need, what they do not do.

Rules of this file:

- Every argument that Sanic's documents name is taken. One that would change what the server promises and
  cannot is refused; one that only tunes what is different here is said once, at the start.
- A name in lower case of any setting is an argument too; anything else is a TypeError that says what is near.
"""

import asyncio
import os
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, Final, NamedTuple

from vivace.config import SETTINGS
from vivace.errors import ConfigError
from vivace.framework.protocol import use_protocol

__all__ = ["RunArguments", "check", "settings_of", "settle"]

_SETTINGS: Final = frozenset(setting.name for setting in SETTINGS)
_WITHOUT_EFFECT: Final[dict[str, str]] = {
    "asyncio_server_kwargs": "what it tunes is set by BACKLOG, HOST and PORT",
    "coffee": "there is none here",
    "connections": "the server keeps count of its connections itself",
    "motd_display": "the message of the start has no room for it",
    "verbosity": "the level of the log is that of the logger",
}


_ARGUMENTS: Final = frozenset(
    {
        *_WITHOUT_EFFECT,
        "dev",
        "fast",
        "loop",
        "protocol",
        "register_sys_signals",
        "reload_dir",
        "run_multiple",
        "signal",
        "single_process",
        "sock",
        "ssl",
        "state",
        "stop_event",
        "version",
    }
)
"""The arguments that are no settings."""


class RunArguments(NamedTuple):
    """What `app.run` was given, settled.

    Attributes:
        settings: By their names.
        sock: A bound socket to listen on, instead of host and port.
        signals: Stop on SIGTERM and SIGINT.
        single: There is no main process beside the one that serves: its listeners do not run.
        ssl: The certificates; None: those of the settings.
    """

    settings: dict[str, object]
    sock: Any
    signals: bool
    single: bool = False
    ssl: Any = None


def settle(app: Any, given: Mapping[str, Any], called: str = "run") -> RunArguments:
    """Apply the arguments that concern the app, and give back those for the server.

    Args:
        app: The app.
        given: The arguments by name; None stands for one that was not given.
        called: The method, for messages.

    Raises:
        TypeError: There is no such argument.
        ConfigError: One cannot be honoured, and serving without it would be wrong.
        RuntimeError: Two exclude each other.
    """
    left = {name: value for name, value in given.items() if value is not None}
    check(left, called)
    left.pop("version", None)
    sock, ssl = left.pop("sock", None), left.pop("ssl", None)
    signals = bool(left.pop("register_sys_signals", True))
    single = bool(left.get("single_process"))
    _attach(app, left)
    _note(app, left)
    settings = _processes(left)
    if left.pop("dev", False):
        settings |= {"DEBUG": True, "AUTO_RELOAD": True}
    if folders := left.pop("reload_dir", None):
        settings["RELOAD_DIRS"] = folders if isinstance(folders, str) else " ".join(map(str, folders))
    rest = {name.upper(): value for name, value in left.items() if name.upper() in _SETTINGS}
    return RunArguments({**settings, **rest}, sock, signals, single, ssl)


def settings_of(given: Mapping[str, Any], called: str) -> dict[str, Any]:
    """Settings by their names, from arguments in either case.

    Raises:
        TypeError: There is no such setting.
    """
    for name in given:
        if name.upper() not in _SETTINGS:
            raise TypeError(_unknown(name, called))
    return {name.upper(): value for name, value in given.items()}


def check(given: Mapping[str, Any], called: str = "prepare") -> None:
    """Refuse what cannot be honoured; the errors are those of `settle`."""
    version = given.get("version", 1)
    if getattr(version, "value", version) != 1:
        raise ConfigError("HTTP/3 comes with a later version of Vivace: leave version= out", key="version")
    if given.get("loop") is not None:
        raise TypeError(
            "loop is not a valid argument. To use an existing loop, change to create_server().\n"
            "The server makes its own; in yours there is `await app.create_server()`."
        )
    for name in given:
        if name not in _ARGUMENTS and name.upper() not in _SETTINGS:
            raise TypeError(_unknown(name, called))
    _check_processes(given)


def _check_processes(given: Mapping[str, Any]) -> None:
    fast, single = bool(given.get("fast")), bool(given.get("single_process"))
    several = given.get("workers") not in (None, 1, "1")
    if fast and several:
        raise RuntimeError("You cannot use both fast=True and workers=X")
    if single and (fast or several or given.get("auto_reload") or given.get("dev")):
        raise RuntimeError("Single process cannot be run with multiple workers or auto-reload")
    if not given.get("register_sys_signals", True) and (fast or several):
        raise RuntimeError("register_sys_signals=False needs one process: several are stopped by signals")


def _attach(app: Any, left: dict[str, Any]) -> None:
    """Let the app take part in what these arguments ask for."""
    protocol, state = left.pop("protocol", None), left.pop("state", None)
    if protocol is not None:
        use_protocol(app, protocol, state)
    event, told = left.pop("stop_event", None), left.pop("signal", None)
    if event is not None:
        app.add_task(_stop_on(app, event))
    if told is not None:

        def tell(_: Any) -> None:
            told.stopped = True

        app.register_listener(tell, "before_server_stop")


async def _stop_on(app: Any, event: asyncio.Event) -> None:
    await event.wait()
    app.stop()


def _note(app: Any, left: dict[str, Any]) -> None:
    """Say of what has no effect that it has none."""
    for name, why in _WITHOUT_EFFECT.items():
        if left.pop(name, None):
            app.config.warnings.append(f"{name}= of app.run() has no effect: {why}")


def _processes(left: dict[str, Any]) -> dict[str, object]:
    """The number of processes that several arguments ask for."""
    workers = left.pop("workers", None)
    fast, single, many = (bool(left.pop(name, False)) for name in ("fast", "single_process", "run_multiple"))
    if single:
        return {"WORKERS": 1}
    if fast or (many and workers is None):
        return {
            "WORKERS": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        }
    return {} if workers is None else {"WORKERS": workers}


def _unknown(name: str, called: str) -> str:
    close = get_close_matches(name.upper(), _SETTINGS, 1)
    hint = f"; did you mean {close[0].lower()}?" if close else ""
    return f"{called}() got an unexpected argument {name!r}: it is no setting either{hint}"
