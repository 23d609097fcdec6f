"""Types of the compiled twin of `head`; what the functions do is said there."""

from vivace.wire.head import ParsedHead

def parse_head(
    data: bytes, start: int, max_line: int, max_head: int, max_fields: int
) -> ParsedHead | None: ...
def split_fields(block: bytes) -> list[tuple[bytes, bytes]]: ...
