"""The fuzz target for HTTP/1.1: both builds see the same, in any segmentation, and nothing else is raised.

As a program it runs under atheris where that is installed (coverage guides it), else it mutates seeds:

    python -m tests.fuzz.target [seconds] [seed]
"""

import importlib
import random
import sys
import time
from typing import Any

from tests.fuzz.mutate import SEEDS, mutate
from tests.protocols.driver import BUILDS, transcript
from vivace.errors import RemoteProtocolError
from vivace.protocols.h1 import H1Limits
from vivace.wire import environ, head, percent

SMALL = H1Limits(64, 160, 6, 40, 16, 24, 32, 3)


def parsed(parse: Any, data: bytes, limits: H1Limits) -> Any:
    try:
        return parse(data, 0, limits.max_line, limits.max_head, limits.max_fields)
    except RemoteProtocolError as error:
        return error.status_hint, str(error)


def environ_of(add: Any, block: bytes) -> list[tuple[str, object]]:
    found: dict[str, object] = {}
    add(found, block)
    return list(found.items())


def check(data: bytes, *, segments: bool = True) -> None:
    """Raise AssertionError if the builds, or the segmentations, do not agree about `data`."""
    assert percent.unquote_octets(data) == percent.py_unquote_octets(data), data
    for limits in (H1Limits(), SMALL):
        native = parsed(head.parse_head, data, limits)
        assert native == parsed(head.py_parse_head, data, limits), data
        if native is not None and len(native) > 2:
            block = native[-1]
            assert head.split_fields(block) == head.py_split_fields(block), data
            assert environ_of(environ.add_fields, block) == environ_of(environ.py_add_fields, block), data
        whole = transcript(BUILDS["used"], [data] if data else [], limits)
        assert whole == transcript(BUILDS["plain"], [data] if data else [], limits), data
        if segments:
            middle = len(data) * 5 // 8
            parts = [part for part in (data[:middle], data[middle:]) if part]
            assert whole == transcript(BUILDS["used"], parts, limits), data
            assert whole == transcript(BUILDS["plain"], parts, limits), data


def run(seconds: float, seed: int) -> int:
    """Check mutated seeds for `seconds`; the number of them. The seed of a failure is in its message."""
    source = random.Random(seed)
    until = time.monotonic() + seconds
    count = 0
    while time.monotonic() < until:
        data = mutate(source.choice(SEEDS), source)
        try:
            check(data)
        except BaseException:
            print(f"seed {seed}, input {count}: {data!r}", file=sys.stderr)
            raise
        count += 1
    return count


def main() -> None:
    try:
        atheris: Any = importlib.import_module("atheris")
    except ImportError:
        seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60
        seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.SystemRandom().randrange(2**32)
        print(f"{run(seconds, seed)} inputs, seed {seed}: the builds agree")
    else:
        atheris.Setup(sys.argv, check)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
