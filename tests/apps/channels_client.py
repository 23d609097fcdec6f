"""The Channels project of the tests, and its clients."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.apps.support import PATIENCE
from tests.conftest import ServerProcess, clean_environment, find_free_port

websockets = pytest.importorskip("websockets.sync.client")

__all__ = ["SITE", "Chat", "Talker", "hears", "serve_site"]

SITE = Path(__file__).with_name("channels_site")
HOPS = 40
"""Connections that are made, at most, until one is at another worker."""


class Talker:
    """One client of the chat.

    Attributes:
        worker: The process id of the worker that it met.
        channel: The name of its channel.
    """

    def __init__(self, server: ServerProcess, path: str) -> None:
        self._stack = ExitStack()
        url = f"ws://127.0.0.1:{server.port}{path}"
        self.socket = self._stack.enter_context(websockets.connect(url, open_timeout=PATIENCE))
        told = self.hear()
        self.worker: int = told["worker"]
        self.channel: str = told["channel"]

    def say(self, text: str, **more: str) -> None:
        self.socket.send(json.dumps({"text": text, **more}))

    def hear(self, seconds: float = PATIENCE) -> dict[str, Any]:
        """The next message; TimeoutError if none comes in time."""
        answer: dict[str, Any] = json.loads(self.socket.recv(seconds))
        return answer

    def hear_until(self, text: str) -> bool:
        """Wait for a text; what comes before it is left out."""
        while self.hear()["text"] != text:
            pass
        return True

    def close(self) -> None:
        self._stack.close()


class Chat:
    """A running site, and its clients."""

    def __init__(self, server: ServerProcess) -> None:
        self.server = server
        self._talkers: list[Talker] = []

    def enter(self, room: str, kind: str = "chat", user: str = "") -> Talker:
        self._talkers.append(Talker(self.server, f"/ws/{kind}/{room}/?{user}"))
        return self._talkers[-1]

    def enter_twice(self, room: str, kind: str = "chat") -> tuple[Talker, Talker]:
        """Two clients that are at two workers."""
        first = self.enter(room, kind)
        for _ in range(HOPS):
            second = self.enter(room, kind)
            if second.worker != first.worker:
                return first, second
            second.close()
        raise AssertionError("every connection met the same worker")

    def leave(self) -> None:
        for talker in self._talkers:
            talker.close()


def hears(talker: Talker, sender: Talker, text: str) -> None:
    """Say it until it is heard: what is sent while the hub is away may be lost, and nobody waits for it."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        sender.say(text)
        try:
            while talker.hear(0.5)["text"] != text:
                pass
        except TimeoutError:
            continue
        return
    raise AssertionError(f"{text!r} is not heard")


@contextmanager
def serve_site(log: Path, workers: int, **environ: str) -> Iterator[ServerProcess]:
    """The project on so many workers; it stops with exit code 0, and no traceback is in its log."""
    port = find_free_port()
    command = ["-m", "vivace", "run", "chat_site.asgi:application", "--port", str(port)]
    command += ["--workers", str(workers)]
    server = ServerProcess([sys.executable, *command], port, clean_environment(**environ), SITE, log)
    try:
        server.wait_until_serving()
        yield server
        assert server.stop() == 0, server.output
        assert "Traceback" not in server.output, server.output
    finally:
        server.remove()
