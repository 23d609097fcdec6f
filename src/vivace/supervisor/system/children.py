"""Processes: how one is forked, what it forgets, how it ends with its parent, how it is ended.

Rules of this file:

- Fork from the main thread only, with signals blocked: a child must not run the handlers of its parent, and
  on Linux the signal at the parent's death belongs to the thread that forked.
- A child ends by `leave`, never by returning into frames that belong to its parent.
- Follows prctl(2), fork(2).
"""

import atexit
import ctypes
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, Final, NoReturn

__all__ = ["HEEDED", "NOTED", "STOPS", "adopt_orphans", "fork", "leave", "noted", "tie_to"]

logger = logging.getLogger("vivace")

STOPS: Final = frozenset({signal.SIGTERM, signal.SIGINT})
"""What stops a server."""
NOTED: Final = (
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGALRM,
    signal.SIGTTIN,
    signal.SIGTTOU,
    signal.SIGWINCH,
)
"""What a supervisor hears, some of it without doing anything."""
_HARMLESS: Final = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM)
"""What must not end a process of a server before it has handlers of its own."""
HEEDED: Final = (*STOPS, signal.SIGCHLD)

_PDEATHSIG: Final = 1
_CHILD_SUBREAPER: Final = 36
_LINUX: Final = sys.platform == "linux"


def fork(child: Callable[[], int]) -> int:
    """Fork; the process id. `child` runs in the new process and gives its exit code.

    Raises:
        OSError: The system refused.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, HEEDED)
    try:
        pid = os.fork()
        if pid == 0:
            _live(child)
        return pid
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HEEDED)


def _live(child: Callable[[], int]) -> NoReturn:
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        for number in (*HEEDED, *NOTED):
            signal.signal(number, signal.SIG_DFL)
        for number in (signal.SIGINT, *_HARMLESS):
            signal.signal(number, noted)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HEEDED)
        code = child()
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:
        logger.exception("a process of the server failed")
    finally:
        leave(code)


def leave(code: int) -> NoReturn:
    """End a child: what the app registered runs, what the frames of its parent would do does not."""
    try:
        atexit._run_exitfuncs()
        logging.shutdown()
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    finally:
        os._exit(code)


def noted(_: int, __: FrameType | None) -> None:
    """Do nothing: a number is on its way through the wake-up descriptor, or means nothing here."""


def tie_to(parent: int, between: int = 0, patience: float = 5.0) -> None:
    """Let this process be killed when `parent` ends, however that happens; end it if that happened already.

    Args:
        parent: The process id that the parent must have, at once or after an adoption.
        between: The process that forked this one and leaves, so that `parent` adopts it; 0 if there is none.
        patience: Seconds that the adoption may take.
    """
    until = time.monotonic() + patience
    while (now := os.getppid()) != parent:
        if now != between or time.monotonic() > until:  # adopted by another: `parent` is gone
            os._exit(1)
        time.sleep(0.0005)
    _prctl(_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def adopt_orphans() -> bool:
    """Become the parent of descendants whose own parent ends; whether the system can do that."""
    return _prctl(_CHILD_SUBREAPER, 1)


def _prctl(what: int, value: int) -> bool:
    if not _LINUX:
        return False
    library: Any = ctypes.CDLL(None, use_errno=True)
    return bool(library.prctl(what, value, 0, 0, 0) == 0)
