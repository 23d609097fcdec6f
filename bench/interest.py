"""What a message costs all machines together, when one of them wants it: by interest, and sent to all.

    python -m bench.interest [--json FILE] [--svg FILE]

Every machine is a process in a network namespace of its own (as root, where there is iproute2), with a Redis
between them; else all share one network, and the octets are those that Redis says it sent.

Rules of this file:

- The same messages, the same engine, the same run: only who follows what differs.
- Everything that was started or set up is taken down again.
"""

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from bench.plot import draw_lines
from vivace.hub import Hub

MACHINES = (1, 3, 10)
MESSAGES = 1_000
SIZE = 1_000
PAUSE = 0.001
# Runs beside one another must not share a network.
_NET = f"10.{192 + os.getpid() // 256 % 64}.{os.getpid() % 256}"
_PATIENCE = 20.0


def run(*argv: str) -> None:
    """Run a command of the system."""
    subprocess.run(argv, check=True, capture_output=True)


class Network:
    """Namespaces behind one bridge; or nothing, where that cannot be had.

    Attributes:
        host: Where Redis listens.
        apart: Whether machines have networks of their own.
    """

    def __init__(self, machines: int) -> None:
        self.apart = os.geteuid() == 0 and shutil.which("ip") is not None
        self.host = "127.0.0.1"
        self._bridge = f"vv{os.getpid()}"
        self._names = [f"{self._bridge}n{number}" for number in range(machines)]

    def __enter__(self) -> Self:
        if self.apart:
            try:
                self._make()
            except subprocess.CalledProcessError:
                self._remove()
                self.apart = False
        return self

    def _make(self) -> None:
        run("ip", "link", "add", self._bridge, "type", "bridge")
        run("ip", "addr", "add", f"{_NET}.1/24", "dev", self._bridge)
        run("ip", "link", "set", self._bridge, "up")
        self.host = f"{_NET}.1"
        for number, name in enumerate(self._names):
            run("ip", "netns", "add", name)
            outside, inside = f"v{os.getpid()}o{number}", f"v{os.getpid()}i{number}"
            run("ip", "link", "add", outside, "type", "veth", "peer", "name", inside)
            run("ip", "link", "set", inside, "netns", name)
            run("ip", "link", "set", outside, "master", self._bridge, "up")
            for command in (
                f"addr add {_NET}.{number + 10}/24 dev {inside}",
                f"link set {inside} up",
                "link set lo up",
            ):
                run("ip", "netns", "exec", name, "ip", *command.split())

    def _remove(self) -> None:
        for name in self._names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
        subprocess.run(["ip", "link", "del", self._bridge], capture_output=True, check=False)

    def __exit__(self, *_: object) -> None:
        if self.apart:
            self._remove()

    def within(self, number: int) -> list[str]:
        """What a command of one machine begins with."""
        return ["ip", "netns", "exec", self._names[number]] if self.apart else []

    def octets(self) -> int:
        """What has been sent to all machines, as the kernel counts it."""
        total = 0
        for number in range(len(self._names)):
            path = Path(f"/sys/class/net/v{os.getpid()}o{number}/statistics/tx_bytes")
            total += int(path.read_text())
        return total


@contextlib.contextmanager
def redis(host: str) -> Iterator[tuple[int, int]]:
    """A Redis of this run: its port and its process."""
    with socket.socket() as one:
        one.bind((host, 0))
        port: int = one.getsockname()[1]
    options = ["--bind", host, "--save", "", "--appendonly", "no", "--protected-mode", "no"]
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            ["redis-server", "--port", str(port), "--dir", folder, *options], stdout=subprocess.DEVNULL
        )
        try:
            until = time.monotonic() + 10
            while time.monotonic() < until:
                with contextlib.suppress(OSError), socket.create_connection((host, port), 0.2):
                    break
                time.sleep(0.02)
            yield port, process.pid
        finally:
            process.terminate()
            process.wait()


def sent_by_redis(host: str, port: int) -> int:
    """Octets that Redis has sent, as it counts them."""
    with socket.create_connection((host, port), 5) as one:
        one.sendall(b"INFO stats\r\nQUIT\r\n")
        answer = b""
        while piece := one.recv(65_536):
            answer += piece
    line = next(line for line in answer.split(b"\r\n") if line.startswith(b"total_net_output_bytes:"))
    return int(line.split(b":")[1])


def cpu(pid: int) -> float:
    """Seconds of CPU that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def publish(url: str, way: str, messages: int) -> None:
    """Say everything that is said: in one room, which one machine wants."""
    hub = Hub(url)
    await hub.start()
    async with asyncio.timeout(_PATIENCE):
        while not hub.up:  # noqa: ASYNC110  # there is nothing to wait for, and it happens once
            await asyncio.sleep(0.01)
    data = {"room": "room:0", "text": "x" * SIZE}
    for _ in range(messages):
        await hub.publish("room:0" if way == "interest" else "everything", data)
        await asyncio.sleep(PAUSE)
    await asyncio.sleep(0.5)
    await hub.stop()


@contextlib.contextmanager
def running(network: Network, url: str, way: str, number: int) -> Iterator[subprocess.Popen[str]]:
    """One machine, ready."""
    argv = [sys.executable, "-m", "bench.apps.machine", url, way, f"room:{number}"]
    process = subprocess.Popen(
        [*network.within(number), *argv], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def measure(machines: int, way: str, messages: int = MESSAGES) -> dict[str, Any]:
    """Octets and microseconds of CPU for each message, all machines together."""
    with Network(machines) as network, redis(network.host) as (port, pid), contextlib.ExitStack() as stack:
        url = f"redis://{network.host}:{port}/0"
        started = [stack.enter_context(running(network, url, way, number)) for number in range(machines)]
        count = network.octets if network.apart else lambda: sent_by_redis(network.host, port)
        octets, used = count(), cpu(pid)
        asyncio.run(publish(url, way, messages))
        octets, used = count() - octets, cpu(pid) - used
        told = [json.loads(process.communicate("\n", timeout=_PATIENCE)[0]) for process in started]
    assert sum(one["wanted"] for one in told) == messages, told
    return {
        "machines": machines,
        "way": way,
        "apart": network.apart,
        "octets": octets / messages,
        "deliveries": sum(one["got"] for one in told) / messages,
        "cpu_us": 1e6 * sum(one["cpu"] for one in told) / messages,
        "redis_us": 1e6 * used / messages,
    }


def main() -> None:
    """Measure, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--svg", type=Path)
    given = parser.parse_args()
    found = []
    for machines in MACHINES:
        for way in ("interest", "all"):
            one = measure(machines, way)
            found.append(one)
            print(
                f"{machines:>3} machines, {way:<8}  {one['octets']:>9,.0f} octets  {one['deliveries']:>5.1f}"
                f" deliveries  {one['cpu_us']:>7,.0f} us CPU  {one['redis_us']:>6,.0f} us Redis"
            )
    if given.json is not None:
        given.json.write_text(json.dumps(found, indent=2))
    if given.svg is not None:
        lines = {
            title: [(one["machines"], one["octets"]) for one in found if one["way"] == way]
            for way, title in (("interest", "by interest"), ("all", "sent to all"))
        }
        title = "Octets on the way to all machines, for each message of 1,000 that one of them wants"
        given.svg.write_text(draw_lines(title, "machines", "octets", lines))


if __name__ == "__main__":
    main()
