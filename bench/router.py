"""What routes cost: to register a thousand, and to find one among ten and in the middle of a thousand.

Run ``python -m bench.router``. Numbers to hold: 1,000 routes within 150 ms; a dynamic route in the middle of
1,000 within 1.2 times that of one among 10; a middleware that does nothing within 0.3 microseconds.
"""

import asyncio
import time
import timeit
from typing import Any

from vivace import Request, Vivace

ROUNDS = 7
CALLS = 20_000


async def handler(request: Request, **values: Any) -> str:
    """Answer anything."""
    return "x"


def declare(count: int) -> Vivace:
    """An app with `count` routes, half of them with parameters, compiled."""
    app = Vivace(f"bench-{count}")
    for number in range(count // 2):
        app.add_route(handler, f"/static{number}/page", name=f"s{number}")
        app.add_route(handler, f"/items{number}/<item:int>/parts/<part>", name=f"d{number}")
    app.finalize()
    return app


def registration(count: int = 1000) -> float:
    """Milliseconds to declare and compile `count` routes; the best of several."""
    best = float("inf")
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        declare(count)
        best = min(best, time.perf_counter() - begun)
    return best * 1000


def match(count: int) -> float:
    """Nanoseconds to find the dynamic route in the middle of `count`; the best of several."""
    router = declare(count).router
    path = f"/items{count // 4}/17/parts/wheel".encode()

    def find() -> object:
        return router.resolve(path, "GET", b"localhost")

    return min(timeit.repeat(find, number=CALLS, repeat=ROUNDS)) / CALLS * 1e9


async def middleware_cost() -> float:
    """Microseconds that one request middleware that does nothing adds; the best of several."""
    from tests.framework.streams import FakeStream, make_head

    def app_with(count: int) -> Vivace:
        app = Vivace(f"bench-middleware-{count}")
        app.add_route(handler, "/")
        for _ in range(count):
            app.register_middleware(_pass)
        app.finalize()
        return app

    async def once(app: Vivace) -> float:
        head = make_head()
        streams = [FakeStream(head) for _ in range(CALLS // 4)]
        begun = time.perf_counter()
        for stream in streams:
            await app.handle_stream(stream)
        return (time.perf_counter() - begun) / len(streams) * 1e6

    few, many = app_with(1), app_with(11)
    costs = [(await once(many) - await once(few)) / 10 for _ in range(ROUNDS)]
    return sorted(costs)[len(costs) // 2]


def _pass(request: Request) -> None:
    """Do nothing."""


def main() -> None:
    """Measure and print."""
    few, many = match(10), match(1000)
    print(f"register and compile 1,000 routes: {registration():.0f} ms (at most 150)")
    print(f"match among 10: {few:.0f} ns, in the middle of 1,000: {many:.0f} ns")
    print(f"that is {many / few:.2f} times as much (at most 1.2)")
    print(f"a middleware that does nothing: {asyncio.run(middleware_cost()):.3f} us (at most 0.3)")


if __name__ == "__main__":
    main()
