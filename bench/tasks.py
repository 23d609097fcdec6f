"""How fast tasks go in and out, and what is left of them when everybody is killed.

    python -m bench.tasks speed [URL]
    python -m bench.tasks kills 1000 [URL]
    python -m bench.tasks slots 20

``speed``: one process enqueues, two runners take; enqueues a second, tasks a second, the wait until a task
starts, and how the two runners shared. ``kills``: a server with two runners, of which one, or the supervisor,
is killed at a random moment, again and again, while tasks are enqueued; then each task must have been done,
none begun more often than its attempts say. ``slots``: a server with a schedule for each second is restarted
so many times, every other time as a whole; then each second must have been run once.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import random
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing, suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import psutil

from vivace.config import Config
from vivace.framework.beside import Context
from vivace.framework.work import run_tasks
from vivace.tasks.book import Book
from vivace.tasks.runner import Runner
from vivace.tasks.spool import is_file
from vivace.tasks.sqlite import path_of

COUNT = 10_000
WAITS = 200
EVERY = 25
"""Of so many kills one is that of the supervisor, and that in the middle."""
WAITED: list[float] = []
APP = """
import asyncio, os, random, time
from vivace import Vivace

app = Vivace("kills")


def log(what, number):
    with open(f"log-{os.getpid()}", "a") as file:
        file.write(f"{what} {number}\\n")


@app.task(retries=1000, backoff="fixed:0.01s")
async def step(number: int) -> None:
    log("begun", number)
    await asyncio.sleep(random.random() * 0.1)
    log("done", number)
"""
SLOTS = """
from datetime import datetime
from vivace import Vivace

app = Vivace("kills")


@app.cron("* * * * * *", catch_up="all", overlap="allow")
def second(slot: datetime) -> None:
    with open("slots", "a") as file:
        file.write(f"{slot.timestamp():.0f}\\n")
"""


def make_book(url: str) -> Book:
    config = Config({"TASKS_URL": url})
    book = Book("speed", lambda: config)

    async def nop(sent: float = 0.0) -> None:
        if sent:
            WAITED.append(time.time() - sent)

    book.declare(nop)
    return book


async def run_runner(url: str, name: str) -> None:
    book = make_book(url)
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    runner = Runner(book, book.names(""), 10, 30.0)
    await runner.run(stopping, 5.0)
    with open(name, "w", encoding="ascii") as file:  # noqa: ASYNC230 - it has nothing else to do
        file.write(f"{runner.done - len(WAITED)} {' '.join(map(str, WAITED))}")


async def enqueue_many(book: Book) -> float:
    task = book.functions["speed.nop"]
    began = time.perf_counter()
    for _ in range(COUNT // 100):
        await asyncio.gather(*[task.enqueue() for _ in range(100)])
    return COUNT / (time.perf_counter() - began)


async def speed(folder: Path, url: str) -> None:
    url = url or f"sqlite:///{folder}/tasks.sqlite3"
    book = make_book(url)
    alone = await enqueue_many(book)
    print(f"enqueue, nobody takes: {alone:,.0f} a second")
    results = [str(folder / "one"), str(folder / "two")]
    began = time.perf_counter()
    runners = [
        await asyncio.create_subprocess_exec(sys.executable, "-m", "bench.tasks", "runner", url, name)
        for name in results
    ]
    while await _left(book):
        if COUNT - await _left(book) < 100:
            began = time.perf_counter()  # they have started
        await asyncio.sleep(0.02)
    print(f"claim, run and ack, two runners: {COUNT / (time.perf_counter() - began):,.0f} a second")
    task = book.functions["speed.nop"]
    for _ in range(WAITS):
        await task.enqueue(time.time())
        await asyncio.sleep(0.02)
    for runner in runners:
        runner.send_signal(signal.SIGTERM)
        await runner.wait()
    report([Path(name) for name in results])
    book.close()


def report(results: list[Path]) -> None:
    told = [path.read_text().split() for path in results]
    waits = sorted(float(wait) * 1000 for one in told for wait in one[1:])
    late = waits[WAITS * 95 // 100]
    print(f"wait until it starts: median {statistics.median(waits):.1f} ms, 95 % {late:.1f} ms")
    print("shared:", " : ".join(one[0] for one in told))


async def _left(book: Book) -> int:
    return sum((await book.stats())["states"].values())


def serve(folder: Path) -> subprocess.Popen[bytes]:
    argv = [sys.executable, "-m", "vivace", "run", "kills.py:app", "--port", "0", "--task-workers", "2"]
    environ = {**os.environ, "VIVACE_TASK_LEASE": "5", "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(
        argv, cwd=folder, env=environ, stdout=subprocess.DEVNULL, stderr=(folder / "log").open("ab")
    )


def kills(folder: Path, count: int, url: str = "") -> int:
    """Kill so many times; the number of things that are wrong.

    Args:
        folder: An empty one.
        count: How many times.
        url: Of an empty spool; default: a file in the folder.
    """
    (folder / "kills.py").write_text(APP)
    if url:
        os.environ["VIVACE_TASKS_URL"] = url
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    module = import_module("kills")  # the program that was just written

    server, supervisors, enqueued = serve(folder), 0, 0
    bare: list[Any] = []
    for turn in range(count):
        bare = [one for one in bare if one.is_alive()]
        bare += [_bare(folder) for _ in range(3 - len(bare))]
        for _ in range(5):
            module.step.enqueue_sync(enqueued)
            enqueued += 1
        busy = _wait_for_work(module.app.work)
        time.sleep(random.uniform(0.0, 0.05))
        if turn % EVERY == EVERY - 1 or turn == count // 2:
            server.kill()
            server.wait()
            supervisors += 1
            server = serve(folder)
        else:
            with suppress(ProcessLookupError):
                os.kill(random.choice(busy + _runners(folder)), signal.SIGKILL)
    print(f"{count} kills, {supervisors} of them of the supervisor; {enqueued} tasks")
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and _states(module.app.work).keys() - {"dead"}:
        time.sleep(0.2)
    server.terminate()
    server.wait()
    for one in bare:
        one.kill()
        one.join()
    return _judge(folder, enqueued, module.app.work)


def slots(folder: Path, count: int) -> int:
    """Restart so many times; the number of seconds that were not run once."""
    (folder / "kills.py").write_text(SLOTS)
    server = serve(folder)
    for turn in range(count):
        _wait_for_slots(folder, random.randint(1, 2))
        time.sleep(random.random())
        if turn % 2:
            server.terminate()
            server.wait()
            server = serve(folder)
        else:
            server.send_signal(signal.SIGHUP)
    _wait_for_slots(folder, 5)
    server.terminate()
    server.wait()
    seen = Counter(map(int, (folder / "slots").read_text().split()))
    missing = [slot for slot in range(min(seen), max(seen)) if slot not in seen]
    more = [slot for slot, times in seen.items() if times > 1]
    print(f"{count} restarts, {len(seen)} seconds; not run: {len(missing)}; run more than once: {len(more)}")
    return len(missing) + len(more)


def _wait_for_slots(folder: Path, count: int) -> None:
    """Wait until so many more were run: the server has started, and does what it should."""
    path, deadline = folder / "slots", time.monotonic() + 60
    size = path.stat().st_size if path.exists() else 0
    while time.monotonic() < deadline and not (path.exists() and path.stat().st_size >= size + 11 * count):
        time.sleep(0.01)


def _bare(folder: Path) -> Any:
    """A runner without a supervisor: that lets one that dies again and again wait before it comes back."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["vivace.framework.app", "vivace.tasks.runner", "vivace.tasks.sqlite"])
    made = context.Process(target=run_bare, args=(str(folder),), daemon=True)
    made.start()
    return made


def run_bare(folder: str) -> None:
    os.chdir(folder)
    sys.path.insert(0, folder)
    module = import_module("kills")
    asyncio.run(run_tasks(Context(module.app, module.app.config, "tasks")))


def _wait_for_work(book: Book) -> list[int]:
    """Wait until somebody runs something, and who: else who is killed has only just begun to start."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        workers = book.clerk.do_now(lambda spool: spool.workers(), reads=True)
        if busy := workers - book.bells.gone(workers):
            return [int(worker.split("-")[1]) for worker in busy]
        time.sleep(0.002)
    return []


def _runners(folder: Path) -> list[int]:
    """The runners that live: the names of their bells say who they are."""
    while True:
        pids = [int(bell.name.split("-")[1]) for bell in (folder / ".vivace").glob("*bells*/*.bell")]
        if found := [pid for pid in pids if psutil.pid_exists(pid)]:
            return found
        time.sleep(0.01)


def _states(book: Book) -> dict[str, int]:
    found: dict[str, int] = book.clerk.do_now(lambda spool: spool.stats(time.time())["states"], reads=True)
    return found


def _judge(folder: Path, enqueued: int, book: Book) -> int:
    begun: Counter[int] = Counter()
    done: Counter[int] = Counter()
    for log in folder.glob("log-*"):
        for line in log.read_text().splitlines():
            what, number = line.split()
            (begun if what == "begun" else done)[int(number)] += 1
    left = book.clerk.do_now(lambda spool: spool.select("", "", "", enqueued), reads=True)
    buried = {json.loads(task.payload)["number"]: task.attempts for task in left if task.state == "dead"}
    lost = [number for number in range(enqueued) if not done[number] and number not in buried]
    more = [number for number, attempts in buried.items() if begun[number] > attempts]
    again = sum(1 for number in done if done[number] > 1)
    sound = _check_file(book.url)
    book.close()
    behind = len(left) - len(buried)
    print(f"lost: {len(lost)}; left behind: {behind}; dead for killing three times: {len(buried)}")
    print(f"begun more often than their attempts say: {len(more)}; begun most often: {max(begun.values())}")
    print(f"done, and once more because the kill came before the word of it: {again}")
    return len(lost) + len(more) + behind + int(sound != "ok")


def _check_file(url: str) -> str:
    if not is_file(url):
        return "ok"
    with closing(sqlite3.connect(path_of(url))) as connection:
        found = str(connection.execute("PRAGMA integrity_check").fetchone()[0])
    print(f"the file: {found}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.tasks")
    parser.add_argument("what", choices=["speed", "kills", "slots", "runner"])
    parser.add_argument("arguments", nargs="*")
    given = parser.parse_args()
    if given.what == "runner":
        asyncio.run(run_runner(*given.arguments))
        return
    with tempfile.TemporaryDirectory() as name:
        if given.what == "speed":
            asyncio.run(speed(Path(name), given.arguments[0] if given.arguments else ""))
        else:
            trial: Callable[..., int]
            trial, usual = (kills, "1000") if given.what == "kills" else (slots, "20")
            count, *more = given.arguments or [usual]
            sys.exit(trial(Path(name), int(count), *more))


if __name__ == "__main__":
    main()
