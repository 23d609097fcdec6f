"""What forking from one process that has imported the app gains, and what workers must not have in common."""

import json
import re
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench.stage import Stage, app_text, until

RUN = [sys.executable, "-m", "vivace", "run", "trial:app", "--port", "{port}", "--no-access-log"]
OBJECTS = """

LOAD = [{"name": f"object {number}", "parts": [number, str(number)]} for number in range(150_000)]
"""
CHANCE = """
import json, random, tempfile, uuid, secrets

random.seed()


@app.get("/chance")
async def chance(request):
    name = next(tempfile._get_candidate_names())
    found = [str(uuid.uuid4()), secrets.token_hex(8), random.random(), name]
    return framework.text(json.dumps({str(os.getpid()): found}))
"""


@contextmanager
def serving(folder: Path, text: str, *options: str) -> Iterator[Stage]:
    (folder / "trial.py").write_text(app_text(folder, package="vivace") + text)
    with Stage([*RUN, *options], folder) as stage:
        stage.wait_until_serving()
        until(lambda: "Listening on" in stage.log)
        yield stage


def weight(stage: Stage) -> int:
    """The memory of its workers, pages that several have counted once."""
    found = 0
    for pid in set(stage.noted("served")):
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        match = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
        assert match is not None
        found += int(match[1]) * 1024
    return found


def test_workers_share_what_was_imported(tmp_path: Path) -> None:
    weights = []
    for preload in ("auto", "off"):
        folder = tmp_path / preload
        folder.mkdir()
        with serving(folder, OBJECTS, "--workers", "4", "--preload", preload) as stage:
            for _ in range(20):
                stage.ask()
            weights.append(weight(stage))
    shared, alone = weights
    assert shared <= 0.65 * alone, weights


def test_workers_do_not_share_their_chances(tmp_path: Path) -> None:
    with serving(tmp_path, CHANCE, "--workers", "3") as stage:
        first: dict[str, list[object]] = {}

        def all_seen() -> bool:
            for pid, found in json.loads(stage.ask("/chance")).items():
                first.setdefault(pid, found)
            return len(first) == 3

        assert until(all_seen) < 30
        for kind in zip(*first.values(), strict=True):
            assert len(set(kind)) == 3, kind


def quickest_start(folder: Path, preload: str) -> float:
    """The seconds from the wish for one more worker until it serves."""
    folder.mkdir()
    with serving(folder, "", "--workers", "2", "--preload", preload) as stage:
        fastest = float("inf")
        for count in (3, 4, 5):
            start = time.monotonic()
            stage.send(signal.SIGTTIN)
            until(lambda count=count: len(stage.noted("served")) >= count)  # type: ignore[misc]
            fastest = min(fastest, time.monotonic() - start)
        return fastest


def test_a_worker_of_a_template_serves_sooner_than_one_that_imports_the_app(tmp_path: Path) -> None:
    """Within 50 ms on a machine that does nothing else; this one runs the other tests too."""
    forked, alone = quickest_start(tmp_path / "on", "on"), quickest_start(tmp_path / "off", "off")
    assert forked < alone / 2, (forked, alone)


@pytest.mark.parametrize("mode", ["auto", "on", "off"])
def test_each_mode_serves(tmp_path: Path, mode: str) -> None:
    with serving(tmp_path, "", "--workers", "2", "--preload", mode) as stage:
        assert stage.serves(1)
        stage.send(signal.SIGTERM)
        assert stage.wait(10.0) == 0
