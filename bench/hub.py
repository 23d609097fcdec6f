"""Groups across processes: how long a message takes from `publish` to a receiver in another worker.

    python -m bench.hub [--seconds 3] [--rate 1000]

Three processes, as in a server with two workers: one publishes, the hub, one receives. The clock is that of
the machine. `fast` and `resume` topics, at a steady rate, then as many as go. It prints one line for each,
and the processor time per message of the hub. The best of the rounds is shown: what else runs on the machine
is not what is measured.
"""

import argparse
import asyncio
import multiprocessing
import os
import resource
import socket
import tempfile
import time
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from typing import Any

import uvloop

from vivace.config import Config
from vivace.hub import Hub, Message
from vivace.hub.process import main as hub_main

TOPICS = {"fast": "fast", "resume": "room:1"}


def new_hub(url: str) -> Hub:
    hub = Hub(url)
    hub.topic("room:*", delivery="resume", history=100)
    return hub


def receive(url: str, topic: str, count: int, pipe: Connection, ready: Event) -> None:
    """Note how old each message is."""

    async def run() -> None:
        hub, done = new_hub(url), asyncio.Event()
        ages: list[int] = []

        def take(item: Any) -> None:
            if isinstance(item, Message):
                ages.append(time.monotonic_ns() - item.data["at"])
                if len(ages) >= count:
                    done.set()

        following = hub.follow(topic, take)
        await following.ready()
        ready.set()
        begin = time.monotonic()
        await done.wait()
        pipe.send((ages, time.monotonic() - begin))
        await hub.stop()

    uvloop.run(run())


def publish(url: str, topic: str, count: int, rate: float, ready: Event) -> None:
    """Say `count` messages of about 100 octets: at a rate, or as fast as they go if it is 0."""

    async def run() -> None:
        hub = new_hub(url)
        await hub.start()
        await asyncio.to_thread(ready.wait)
        text, begin = "x" * 80, time.monotonic()
        if rate:
            for number in range(count):
                delay = begin + number / rate - time.monotonic()
                if delay > 0:
                    await asyncio.sleep(delay)
                await hub.publish(topic, {"at": time.monotonic_ns(), "text": text})
        else:
            for start in range(0, count, 100):
                sends = (
                    hub.publish(topic, {"at": time.monotonic_ns(), "text": text})
                    for _ in range(start, min(start + 100, count))
                )
                await asyncio.gather(*sends)
        await hub.stop()

    uvloop.run(run())


def hub_process(listener: socket.socket) -> None:
    hub_main(listener, Config())


def measure(topic: str, count: int, rate: float) -> dict[str, float]:
    """One round with processes of its own."""
    fork = multiprocessing.get_context("fork")
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
        path = os.path.join(folder, "hub")
        listener.bind(path)
        listener.listen()
        ready, (ours, theirs) = fork.Event(), fork.Pipe()
        hub = fork.Process(target=hub_process, args=(listener,))
        url = f"unix://{path}"
        receiver = fork.Process(target=receive, args=(url, topic, count, theirs, ready))
        publisher = fork.Process(target=publish, args=(url, topic, count, rate, ready))
        for process in (hub, receiver, publisher):
            process.start()
        ages, seconds = ours.recv()
        receiver.join()
        publisher.join()
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        hub.terminate()
        hub.join()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    ages.sort()
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "p50": ages[len(ages) // 2] / 1e6,
        "p99": ages[int(len(ages) * 0.99)] / 1e6,
        "rate": count / seconds,
        "hub_us": spent / count * 1e6,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rate", type=float, default=1000.0)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    print(f"{'':8}{'':>12}{'p50 ms':>9}{'p99 ms':>9}{'msg/s':>10}{'hub us/msg':>12}")
    for name, topic in TOPICS.items():
        for rate in (asked.rate, 0.0):
            count = int(asked.seconds * (rate or 10_000))
            found = [measure(topic, count, rate) for _ in range(asked.rounds)]
            best = min(found, key=lambda one: one["p99"]) if rate else max(found, key=lambda one: one["rate"])
            how = f"{rate:.0f}/s" if rate else "all"
            age = f"{best['p50']:9.3f}{best['p99']:9.3f}" if rate else f"{'':18}"
            print(f"{name:8}{how:>12}{age}{best['rate']:10.0f}{best['hub_us']:12.1f}")


if __name__ == "__main__":
    main()
