"""A generation of the code, as the supervisor knows it: where its workers come from.

Rules of this file:

- Three ways. From a template that was forked from a supervisor without user code; from one that is the
  program itself, run again, if the program called ``app.run()``; or straight from the supervisor, which is
  what the first generation of such a program does, and every one whose app is unsafe to fork.
- A program that is run again as a template learns so from one environment variable, which it takes away.
"""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from vivace.server.bind import ListeningSocket
from vivace.supervisor.ipc.messages import Channel
from vivace.supervisor.ipc.scoreboard import Scoreboard
from vivace.supervisor.ipc.spec import CompanionSpec
from vivace.supervisor.loading.job import Job

__all__ = ["Generation", "Summons", "run_program_again", "summons"]

_VARIABLE: Final = "_VIVACE_TEMPLATE"


class Generation:
    """A generation of the code.

    Attributes:
        channel: To its template; None if workers are made without one.
        companions: What its app wants to have run beside the workers, as far as that is known.
        ending: It was told to end.
        job: What its workers do.
        loaded: Its template has imported the app.
        number: From 1.
        pid: Of its template; 0 if there is none.
        settings: What restarts have set, by name.
        unsafe: Why workers may not be forked from its template.
    """

    __slots__ = ("channel", "companions", "ending", "job", "loaded", "number", "pid", "settings", "unsafe")

    def __init__(self, number: int, job: Job, settings: dict[str, Any]) -> None:
        self.number = number
        self.settings = settings
        self.job = job
        self.channel: Channel | None = None
        self.companions: tuple[CompanionSpec, ...] = ()
        self.pid = 0
        self.loaded = False
        self.ending = False
        self.unsafe = ""


class Summons(NamedTuple):
    """What a program learns that is run again.

    Attributes:
        supervisor: Its process id.
        channel: To it.
        sockets: The listening sockets.
        plain: Those that redirect to HTTPS.
        settings: By name, on top of what the program says.
        generation: Its number.
        board: The scoreboard, if there is one that can be handed over.
    """

    supervisor: int
    channel: Channel
    sockets: list[ListeningSocket]
    plain: list[ListeningSocket]
    settings: dict[str, Any]
    generation: int = 1
    board: Scoreboard | None = None


def run_program_again(
    channel: Channel,
    sockets: Sequence[socket.socket],
    plain: Sequence[socket.socket],
    settings: Mapping[str, Any],
    generation: int = 1,
    board: int = -1,
) -> int:
    """Start this program anew as a template; its process id.

    Args:
        channel: The template's end.
        sockets: See `Summons`; so the others.
        plain: The same.
        settings: The same.
        generation: The same.
        board: The descriptor of the scoreboard; -1: none.

    Raises:
        OSError: The system refused.
    """
    listening = (*sockets, *plain)
    descriptors = [channel.fileno(), *(one.fileno() for one in listening)]
    handed = [*descriptors, *([board] if board >= 0 else [])]
    told = {
        "supervisor": os.getpid(),
        "descriptors": descriptors,
        "plain": len(plain),
        "proxied": [getattr(one, "proxied", None) for one in listening],
        "settings": dict(settings),
        "generation": generation,
        "board": board,
    }
    command = [sys.executable, *sys.orig_argv[1:]]
    environment = {**os.environ, _VARIABLE: json.dumps(told)}
    # Its end is heard from the system, by the process id: the object is not needed any more.
    process = subprocess.Popen(command, env=environment, pass_fds=handed, close_fds=True)  # noqa: S603
    process.returncode = 0
    return process.pid


def summons() -> Summons | None:
    """Whether this program is run again as a template; the answer is given once."""
    text = os.environ.pop(_VARIABLE, "")
    if not text:
        return None
    told = json.loads(text)
    first, *others = told["descriptors"]
    channel = socket.socket(fileno=first)
    sockets = [ListeningSocket(fileno=descriptor) for descriptor in others]
    for one in (channel, *sockets):
        one.set_inheritable(False)
    for one, proxied in zip(sockets, told["proxied"], strict=True):
        one.setblocking(False)
        one.proxied = proxied
    first_plain = len(sockets) - told["plain"]
    return Summons(
        told["supervisor"],
        Channel(channel),
        sockets[:first_plain],
        sockets[first_plain:],
        told["settings"],
        told["generation"],
        Scoreboard(told["board"]) if told["board"] >= 0 else None,
    )
