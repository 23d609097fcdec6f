"""One machine of many that serve the same program: a hub with an engine, and who on it wants what.

Run as ``python -m bench.apps.machine URL WAY WANTS``: WAY is ``interest`` (follow what somebody here wants)
or ``all`` (everything goes to one topic, and each machine leaves out what nobody here wants). It prints a
line when it is ready, and what it got when its input ends.

Rules of this file:

- Both ways do the same for the one who wants a message: its data is decoded, and counted.
"""

import asyncio
import json
import sys
import time
from typing import Any

from vivace.hub import Hub

EVERYTHING = "everything"


async def main(url: str, way: str, wants: str) -> None:
    """Follow, and count."""
    hub = Hub(url)
    wanted = [0]
    got = [0]

    def take(message: Any) -> None:
        got[0] += 1
        data = message.data
        if way == "interest" or data["room"] == wants:
            wanted[0] += 1

    following = hub.follow(wants if way == "interest" else EVERYTHING, take)
    await following.ready()
    while not hub.up:  # noqa: ASYNC110  # there is nothing to wait for, and it happens once
        await asyncio.sleep(0.01)
    began = time.process_time()
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    used = time.process_time() - began
    print(json.dumps({"got": got[0], "wanted": wanted[0], "cpu": used}), flush=True)
    await hub.stop()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4]))
