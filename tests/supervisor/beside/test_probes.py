"""Looks at programs: none of them waits, as far as that can be."""

import socket
from typing import Any

import pytest

from vivace.supervisor.beside.probes import LOOK_UP_AGAIN, Listening


def test_the_name_of_a_host_is_looked_up_once_and_after_a_failure_not_at_once_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []
    now = 1000.0
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        places: list[Any] = [
            socket.gaierror("no such name"),
            [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))],
        ]

        def look_up(host: str, *_: Any, **__: Any) -> Any:
            asked.append(host)
            found = places.pop(0)
            if isinstance(found, Exception):
                raise found
            return found

        monkeypatch.setattr(socket, "getaddrinfo", look_up)
        monkeypatch.setattr("vivace.supervisor.beside.probes.time.monotonic", lambda: now)
        probe = Listening(f"tcp:cache.example:{port}")
        assert not any(probe.look() for _ in range(10))
        assert asked == ["cache.example"]
        now += LOOK_UP_AGAIN
        while not probe.look():
            pass
        probe.close()
    assert asked == ["cache.example"] * 2
