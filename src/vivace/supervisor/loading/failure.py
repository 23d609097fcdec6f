"""What is said when user code fails, or is not there.

Rules of this file:

- What fails in the user's code is shown as a traceback of that code: our own frames and those of the import
  system are left out.
- Every failure of a start has an exit code: 2 for the configuration, 3 for the app, 4 for a socket.
"""

import os
import traceback
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Final, TypeVar

from vivace.errors import ConfigError, StartupError

__all__ = ["close_match", "describe_failure", "failure", "run_user_code", "user_traceback"]

_SPEAKS_FOR_ITSELF: Final = frozenset({"bind", "import", "interface"})
"""Stages whose messages need no traceback, or hold it already."""
_OURS: Final = str(Path(__file__).parents[2]) + os.sep
_T = TypeVar("_T")


def failure(message: str) -> StartupError:
    """An app that cannot be found or is none: exit code 3."""
    return StartupError(message, stage="import", exit_code=3)


def run_user_code(code: Callable[[], _T], doing: str, missing: str = "") -> _T:
    """What `code` returns; what it raises becomes a StartupError with the user's part of the traceback.

    Args:
        code: Runs what the user wrote.
        doing: What that is, for the message.
        missing: A module whose absence is the caller's to explain.

    Raises:
        StartupError: It failed, or ended the process; exit code 3.
        ModuleNotFoundError: `missing` is not there.
    """
    try:
        return code()
    except SystemExit as error:
        raise failure(f"{doing}: the code ended the process (exit code {error.code})") from error
    except StartupError as error:
        if error.stage == "run":  # app.run() without its guard
            raise failure(f"{doing}: {error}\n{user_traceback(error)}") from error
        raise
    except ModuleNotFoundError as error:
        if missing and error.name is not None and (missing + ".").startswith(error.name + "."):
            raise
        raise failure(f"{doing} failed:\n{user_traceback(error)}{_hint(error)}") from error
    except Exception as error:
        raise failure(f"{doing} failed:\n{user_traceback(error)}") from error


def _hint(error: ModuleNotFoundError) -> str:
    """What an app of Sanic needs, where Sanic is not installed."""
    if (error.name or "").partition(".")[0] != "sanic":
        return ""
    return "\nWith `vivace run --sanic` the app runs on Vivace: `import sanic` gives it then."


def user_traceback(error: BaseException) -> str:
    """The traceback of `error` without the frames of Vivace and of the import system."""
    shown = traceback.TracebackException.from_exception(error)
    pending, seen = [shown], set[int]()
    while pending:
        one = pending.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        one.stack = traceback.StackSummary.from_list([f for f in one.stack if not _is_hidden(f.filename)])
        pending += [e for e in (one.__cause__, one.__context__, *(one.exceptions or ())) if e is not None]
    return "".join(shown.format()).rstrip()


def _is_hidden(filename: str) -> bool:
    return filename.startswith((_OURS, "<frozen importlib")) or filename.endswith(("importlib/__init__.py",))


def describe_failure(error: BaseException) -> tuple[str, int]:
    """What to tell about an error that ended a start, and the exit code that goes with it."""
    if isinstance(error, StartupError):
        cause = error.__cause__
        if cause is None or error.stage in _SPEAKS_FOR_ITSELF:
            return str(error), error.exit_code
        return f"{error}\n{user_traceback(cause)}", error.exit_code
    if isinstance(error, ConfigError):
        return str(error), 2
    return f"the app failed to start:\n{user_traceback(error)}", 3


def close_match(name: str, among: Iterable[str]) -> str:
    """A question to end a message with; empty if nothing is near."""
    close = get_close_matches(name, list(among), n=1)
    return f"; did you mean {close[0]}?" if close else ""
