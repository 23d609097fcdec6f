"""A bounded run of the fuzzer: VIVACE_FUZZ_SECONDS (3) and VIVACE_FUZZ_SEED (1) make it longer or other."""

import os

import pytest

from tests.fuzz import target
from tests.fuzz.mutate import SEEDS

SECONDS = float(os.environ.get("VIVACE_FUZZ_SECONDS", "3"))
SEED = int(os.environ.get("VIVACE_FUZZ_SEED", "1"))


@pytest.mark.parametrize("data", SEEDS)
def test_seeds_are_understood(data: bytes) -> None:
    target.check(data)


@pytest.mark.parametrize("data", SEEDS)
def test_every_beginning_of_a_seed(data: bytes) -> None:
    for size in range(len(data)):
        target.check(data[:size], segments=False)


@pytest.mark.timeout(SECONDS * 2 + 60)
def test_mutations() -> None:
    assert target.run(SECONDS, SEED) > 20 * SECONDS
