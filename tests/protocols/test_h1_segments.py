"""Any segmentation of the same octets gives the same events, and both builds give the same."""

import random
from collections.abc import Iterator
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.mutate import SEEDS, mutate
from tests.protocols.driver import BUILDS, transcript
from vivace.protocols.h1 import H1Limits

SMALL = H1Limits(64, 160, 6, 40, 16, 24, 32, 3)
"""Limits that mutated input meets."""


def cut(data: bytes, places: list[int]) -> Iterator[bytes]:
    last = 0
    for place in sorted({place % (len(data) + 1) for place in places}):
        if place > last:
            yield data[last:place]
            last = place
    if data[last:]:
        yield data[last:]


inputs = st.builds(
    mutate,
    st.sampled_from(SEEDS),
    st.integers(0, 2**32).map(random.Random),
)


@settings(max_examples=300, deadline=None)
@given(inputs, st.lists(st.integers(0, 2**16), max_size=12), st.sampled_from([H1Limits(), SMALL]))
def test_segments_do_not_matter(data: bytes, places: list[int], limits: H1Limits) -> None:
    for build in BUILDS.values():
        whole = transcript(build, [data] if data else [], limits)
        assert transcript(build, cut(data, places), limits) == whole


@settings(max_examples=300, deadline=None)
@given(inputs, st.sampled_from([H1Limits(), SMALL]))
def test_builds_do_not_matter(data: bytes, limits: H1Limits) -> None:
    def seen(build: Any) -> list[Any]:
        return transcript(build, [data] if data else [], limits)

    assert seen(BUILDS["used"]) == seen(BUILDS["plain"])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=30), max_size=5))
def test_any_octets_end_in_an_answer_or_a_close(pieces: list[bytes]) -> None:
    data = b"".join(pieces)
    for build in BUILDS.values():
        last = transcript(build, [data] if data else [])[-1][0]
        assert last in {"error", "close", "CONNECTION_CLOSED"}
