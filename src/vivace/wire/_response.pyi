"""Types of the compiled twin of `response`; what the function does is said there."""

from collections.abc import Sequence

def render_head(
    line: bytes,
    fields: Sequence[tuple[bytes, bytes]],
    date: bytes,
    connection: int,
    framing: int,
    length: int,
    body: bytes,
) -> tuple[bytes, int, bool]: ...
