"""Prove that restarts lose nothing, and what else a supervisor owes: `python -m bench.restarts`.

    python -m bench.restarts [--only restarts,recycling,broken,stop,orphans,killed,spawns]
                             [--restarts 20] [--requests 100000] [--clients 64] [--boot 1.5] [--spawns 10000]

Each trial starts a server of its own and prints one line: what was found, what is asked for, and whether it
holds. The exit code is 1 if one does not. The tests run short forms of the same trials
(tests/supervisor/test_proofs.py).

Rules of this file:

- A trial is a function of the options that returns what it found, so that the tests can run it too.
- The load is paced (bench/crowd.py): the times are those of a server that is not at its limit.
"""

import argparse
import os
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from bench.crowd import Crowd
from bench.stage import Stage, app_text, until

__all__ = ["TRIALS", "Found", "Options", "main"]

RUN = (sys.executable, "-m", "vivace", "run", "trial:app", "--port", "{port}", "--no-access-log")


class Options(NamedTuple):
    """How long and how hard.

    Attributes:
        restarts: Of the app, one after the other.
        requests: Answers that are waited for at least.
        clients: Each keeps a connection.
        pause: Seconds between an answer and the next request of a client.
        boot: Seconds that the import of the app takes.
        spawns: Workers that die and are replaced, for the memory of the supervisor.
        slack: How many times as long as asked for answers may take, on a machine that does other things too.
    """

    restarts: int = 20
    requests: int = 100_000
    clients: int = 64
    pause: float = 0.04
    boot: float = 1.5
    spawns: int = 10_000
    slack: float = 1.0


class Found(NamedTuple):
    """What a trial found.

    Attributes:
        text: In figures.
        asked: What is asked for.
        holds: Whether that is so.
    """

    text: str
    asked: str
    holds: bool


@contextmanager
def serving(
    *options: str, workers: int = 2, boot: float = 0.0, dies: float = 0.0, package: str = "vivace"
) -> Iterator[Stage]:
    """A server with its app in a folder of their own."""
    folder = Path(tempfile.mkdtemp(prefix="vivace-proof-"))
    try:
        change(folder, 1, boot=boot, dies=dies, package=package)
        with Stage([*RUN, "--workers", str(workers), *options], folder) as stage:
            stage.wait_until_serving()
            _wait_for(stage, "Listening on")
            yield stage
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def change(
    folder: Path, value: int, *, boot: float = 0, dies: float = 0, harm: str = "", package: str = "vivace"
) -> None:
    """Put another version of the app into place, at once."""
    fresh = folder / "trial.new"
    fresh.write_text(app_text(folder, value, boot=boot, dies=dies, harm=harm, package=package))
    fresh.replace(folder / "trial.py")


def _wait_for(stage: Stage, text: str, count: int = 1, seconds: float = 60.0) -> None:
    if until(lambda: stage.log.count(text) >= count, seconds) > seconds:
        raise RuntimeError(f"{text!r} did not come:\n{stage.log[-3000:]}")


def _judge(crowd: Crowd, least: int, bound: float, more: str) -> Found:
    p99 = crowd.quantile(0.99)
    times = f"p50 {crowd.quantile(0.5) * 1e3:.1f} ms, p99 {p99 * 1e3:.1f} ms"
    text = (
        f"{crowd.failures} of {crowd.answered + crowd.failures} requests failed"
        f" ({crowd.kept} on kept connections), {times}, longest {crowd.quantile(1) * 1e3:.0f} ms{more}"
    )
    if crowd.failed:
        text += f"; {dict(crowd.failed)}"
    asked = f"0 of >= {least} failed, p99 < {bound * 1e3:.0f} ms"
    return Found(text, asked, not crowd.failed and crowd.answered >= least and p99 < bound)


def restarts(options: Options) -> Found:
    """New code again and again, under clients that keep their connections."""
    with serving(boot=options.boot) as stage:
        with Crowd(stage.port, options.clients, options.pause) as crowd:
            start = time.monotonic()
            for number in range(2, options.restarts + 2):
                change(stage.folder, number, boot=options.boot)
                stage.send(signal.SIGHUP)
                _wait_for(stage, f"restarted: generation {number} serves")
            took = time.monotonic() - start
            crowd.wait(options.requests, 600)
        served = stage.noted("served")
        code = _end(stage)
    more = f", {options.restarts} restarts in {took:.0f} s, {len(set(served))} workers"
    found = _judge(crowd, options.requests, 0.1 * options.slack, more)
    replaced = len(set(served)) >= 2 * (options.restarts + 1)
    return found._replace(holds=found.holds and replaced and code == 0)


def recycling(options: Options) -> Found:
    """Workers that leave after 50 requests."""
    with serving("--max-requests", "50", boot=options.boot) as stage:
        with Crowd(stage.port, options.clients, options.pause) as crowd:
            crowd.wait(options.requests, 600)
        workers = len(set(stage.noted("served")))
        code = _end(stage)
    found = _judge(crowd, options.requests, 0.05 * options.slack, f", {workers} workers")
    return found._replace(holds=found.holds and workers > 2 and code == 0)


def broken(options: Options) -> Found:
    """A deploy whose import raises, one that hangs, and one that ends the process."""
    harms = ("raise RuntimeError('a bad deploy')", "import sys; sys.exit(0)", "time.sleep(600)")
    with serving("--boot-timeout", "2", boot=0) as stage:
        with Crowd(stage.port, options.clients, options.pause) as crowd:
            for number, harm in enumerate(harms, 1):
                change(stage.folder, 9, harm=harm)
                stage.send(signal.SIGHUP)
                _wait_for(stage, "the old one goes on serving", number)
            crowd.wait(min(options.requests, 2000))
        code = _end(stage)
    old = all(content.startswith(b"1 ") for content in crowd.contents)
    found = _judge(crowd, 0, 0.1 * options.slack, f", {len(harms)} bad deploys, the old code answers")
    return found._replace(holds=found.holds and old and code == 0)


def stop(options: Options) -> Found:
    """SIGTERM to an idle server, the median of five."""
    times = []
    for workers in (1, 2, 2, 4, 4):
        with serving(workers=workers) as stage:
            start = time.monotonic()
            code = _end(stage)
            times.append(time.monotonic() - start if code == 0 else float("inf"))
    median = statistics.median(times)
    holds = median <= 0.3 * options.slack and max(times) < 10
    return Found(f"an idle server stops in {median * 1e3:.0f} ms", "<= 300 ms", holds)


def orphans(options: Options) -> Found:
    """SIGKILL of the supervisor under load, the longest of three."""
    longest = 0.0
    for _ in range(3):
        with serving("--workers", "4") as stage, Crowd(stage.port, 8, options.pause):
            os.kill(stage.process.pid, signal.SIGKILL)
            start = time.monotonic()
            stage.wait()
            until(lambda stage=stage: not stage.family() and stage.is_free())  # type: ignore[misc]
            longest = max(longest, time.monotonic() - start)
    return Found(f"everything is gone after {longest * 1e3:.0f} ms", "<= 1000 ms", longest <= 1.0)


def killed(options: Options) -> Found:
    """SIGKILL under load, once for each of four workers: one that died before is made to wait, rightly."""
    longest = 0.0
    with serving("--workers", "4") as stage:
        victims = _until_noted(stage, 4)
        with Crowd(stage.port, options.clients, options.pause) as crowd:
            for number, victim in enumerate(victims, 5):
                os.kill(victim, signal.SIGKILL)
                start = time.monotonic()
                _until_noted(stage, number)
                longest = max(longest, time.monotonic() - start)
        code = _end(stage)
    cut = crowd.failures
    refused = sum(count for why, count in crowd.failed.items() if "Refused" in why)
    text = f"a killed worker is replaced after {longest * 1e3:.0f} ms at most, 4 kills cut {cut} requests"
    held = longest <= 1.0 and cut <= 4 * options.clients and code == 0 and not refused
    return Found(f"{text}, {refused} connections were refused", "<= 1000 ms, 0 refused", held)


def _until_noted(stage: Stage, count: int) -> list[int]:
    """The workers so far, once there were so many."""
    if until(lambda: len(stage.noted("served")) >= count) > 30:
        raise RuntimeError(f"there are no {count} workers:\n{stage.log[-2000:]}")
    return stage.noted("served")


def memory(options: Options) -> Found:
    """What the supervisor holds after its start."""
    with serving() as stage:
        held = resident(stage.process.pid)
        _end(stage)
    return Found(f"the supervisor holds {held / 2**20:.1f} MiB", "<= 30 MiB", held <= 30 * 2**20)


def spawns(options: Options) -> Found:
    """What the supervisor holds after many workers: each leaves after one request."""
    with serving("--max-requests", "1", "--keep-alive-timeout", "0.1") as stage:
        seen: list[int] = []
        with Crowd(stage.port, 8, 0.0):
            for part in range(1, 11):
                until(lambda: len(stage.noted("served")) >= options.spawns * part // 10, 7200)  # noqa: B023
                seen.append(resident(stage.process.pid))
        spawned = len(stage.noted("served"))
        _end(stage)
    grown = seen[-1] - seen[1]  # the first ones warm it up
    text = f"{spawned} workers: {seen[0] / 2**20:.1f} MiB at first, {seen[-1] / 2**20:.1f} MiB at last"
    return Found(text, "flat: less than 1 MiB more", spawned >= options.spawns and grown < 2**20)


def resident(pid: int) -> int:
    """Octets of a process that are in memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _end(stage: Stage) -> int | None:
    stage.send(signal.SIGTERM)
    return stage.wait(30)


TRIALS: dict[str, Callable[[Options], Found]] = {
    "restarts": restarts,
    "recycling": recycling,
    "broken": broken,
    "stop": stop,
    "orphans": orphans,
    "killed": killed,
    "memory": memory,
    "spawns": spawns,
}


def main() -> int:
    """Run the trials that are asked for."""
    parser = argparse.ArgumentParser(description="Prove what a supervisor owes.")
    parser.add_argument("--only", default=",".join(TRIALS), help="trials by name: %(default)s")
    for name, value in Options()._asdict().items():
        parser.add_argument(f"--{name}", type=type(value), default=value)
    chosen = parser.parse_args()
    options = Options(**{name: getattr(chosen, name) for name in Options._fields})
    names = chosen.only.split(",")
    if unknown := [name for name in names if name not in TRIALS]:
        parser.error(f"there is no trial {unknown[0]}; there are {', '.join(TRIALS)}")
    held = True
    for name in names:
        found = TRIALS[name](options)
        held = held and found.holds
        print(f"{'ok ' if found.holds else 'NOT'} {name:10} {found.text} (asked: {found.asked})", flush=True)
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
