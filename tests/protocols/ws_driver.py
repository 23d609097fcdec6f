"""Driving a `WsConnection` from outside, both builds of it: the one in use, and the plain Python source."""

import importlib.util
from typing import Any

import vivace.protocols
from vivace.protocols import ws
from vivace.wire import frame

KEY = b"\x37\xfa\x21\x3d"


def _load_plain() -> Any:
    source = f"{next(iter(vivace.protocols.__path__))}/ws.py"
    spec = importlib.util.spec_from_file_location("vivace_plain_ws", source)
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name in ("build_frame", "build_text", "mask", "parse_frame", "read_messages"):
        setattr(module, name, getattr(frame, f"py_{name}"))
    return module


WS_BUILDS: dict[str, Any] = {"used": ws, "plain": _load_plain()}


def of_client(first: int, payload: bytes = b"") -> bytes:
    """A frame as a client sends it."""
    return frame.py_build_frame(first, payload, KEY)


def told(events: list[Any]) -> list[Any]:
    """Events as values that can be compared."""
    return [e if isinstance(e, (str, bytes)) else _value(e) for e in events]


def _value(event: Any) -> tuple[Any, ...]:
    kind = type(event).__name__
    return (kind, event.data) if kind in ("Ping", "Pong") else (kind, event.code, event.reason)


def frames(data: bytes, masked: bool = False) -> list[tuple[int, bytes]]:
    """The frames in `data`: first octet, payload."""
    found = []
    at = 0
    while at < len(data):
        parsed = frame.py_parse_frame(data, at, frame.RSV1, masked)
        assert parsed is not None
        first, length, key, start = parsed
        at = start + length
        assert at <= len(data)
        found.append((first, frame.py_mask(data[start:at], key) if key else data[start:at]))
    return found
