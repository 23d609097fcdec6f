"""When a WebSocket is looked at, and what its silence means: by a clock that is only a number."""

import pytest

from vivace.protocols.ws import WsLimits
from vivace.server.settings import WebSocketSettings
from vivace.server.ws_silence import ASK, FINE, LOST, judge_silence, next_look


def settings(interval: float = 20.0, timeout: float = 10.0) -> WebSocketSettings:
    """With what they do about silence."""
    return WebSocketSettings(
        limits=WsLimits(),
        max_queue=32,
        ping_interval=interval,
        ping_timeout=timeout,
        close_timeout=10.0,
        max_lifetime=0.0,
        deflater=None,
    )


@pytest.mark.parametrize(
    ("pinged", "now", "verdict"),
    [
        (0.0, 119.9, FINE),
        (0.0, 120.0, ASK),
        (120.0, 129.9, FINE),
        (120.0, 130.0, LOST),
    ],
)
def test_a_client_is_asked_once_and_given_up_in_time(pinged: float, now: float, verdict: int) -> None:
    assert judge_silence(settings(), heard=100.0, pinged=pinged, now=now) == verdict


@pytest.mark.parametrize("pinged", [0.0, 120.0])
def test_with_nothing_set_silence_means_nothing(pinged: float) -> None:
    quiet = settings(interval=0.0, timeout=0.0)
    assert judge_silence(quiet, heard=100.0, pinged=pinged, now=1e9) == FINE
    assert next_look(quiet, heard=100.0, pinged=pinged, expires=7000.0) == 7000.0


@pytest.mark.parametrize(
    ("pinged", "expires", "due"),
    [(0.0, 7000.0, 120.0), (0.0, 110.0, 110.0), (120.0, 7000.0, 130.0), (120.0, 125.0, 125.0)],
)
def test_the_next_look_is_at_what_comes_first(pinged: float, expires: float, due: float) -> None:
    assert next_look(settings(), heard=100.0, pinged=pinged, expires=expires) == due
