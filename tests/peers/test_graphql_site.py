"""Two workers and a process beside them: who follows a room learns of its notes, until that is taken away."""

import asyncio
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.conftest import ROOT, Launch, clean_environment

APP = "tests.peers.graphql_site"


class Follower:
    """A client of the newer protocol on one worker."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self.ws = ws

    async def see(self) -> Any:
        return await self.ws.receive_json(timeout=20)

    async def enter(self, user: str) -> int:
        """Introduce oneself; the process that answers."""
        await self.ws.send_json({"type": "connection_init", "payload": {"user": user}})
        assert (await self.see())["type"] == "connection_ack"
        return await self.ask()

    async def ask(self, query: str = "{ pid }") -> int:
        await self.ws.send_json({"type": "subscribe", "id": "pid", "payload": {"query": query}})
        answer = await self.see()
        assert (await self.see())["type"] == "complete"
        return int(next(iter(answer["payload"]["data"].values())))

    async def follow(self, room: str) -> None:
        query = f'subscription {{ noteCreated(room: "{room}") }}'
        await self.ws.send_json({"type": "subscribe", "id": "1", "payload": {"query": query}})

    async def next(self) -> str:
        message = await self.see()
        return str(message["payload"]["data"]["noteCreated"])


async def mutate(session: aiohttp.ClientSession, url: str, mutation: str) -> Any:
    async with session.post(url, json={"query": f"mutation {{ {mutation} }}"}) as answer:
        return await answer.json()


async def connect(session: aiohttp.ClientSession, url: str) -> tuple[Follower, Follower]:
    """Ann and bob, on different workers."""
    found: dict[int, Follower] = {}
    while len(found) < 2:
        ws = await session.ws_connect(url, protocols=["graphql-transport-ws"])
        follower = Follower(ws)
        worker = await follower.enter("bob" if found else "ann")
        if worker in found:
            await ws.close()
        else:
            found[worker] = follower
    ann, bob = found.values()
    return ann, bob


def run(code: str, environment: dict[str, str]) -> None:
    """Run something in a process of its own, as a management command would."""
    argv = [sys.executable, "-c", f"from {APP} import *; {code}"]
    subprocess.run(argv, cwd=ROOT, env=clean_environment(**environment), check=True, timeout=40)


@pytest.mark.once
async def test_followers_of_a_room_on_all_workers(launch: Launch, free_port: int, tmp_path: Path) -> None:
    environment = {"SITE_FILE": str(tmp_path / "db"), "VIVACE_HUB_SOCKET": str(tmp_path / "hub")}
    await asyncio.to_thread(run, "create_tables()", environment)
    argv = [sys.executable, "-m", "vivace", "run", f"{APP}:app", "--port", str(free_port), "--workers", "2"]
    launch(argv, free_port, **environment)
    url = f"http://127.0.0.1:{free_port}/graphql"
    async with aiohttp.ClientSession() as session:
        ann, bob = await connect(session, url)
        for follower in (ann, bob):
            await follower.follow("1")
            await follower.ask('{ settled(room: "1") }')
        await mutate(session, url, 'say(room: "2", text: "elsewhere")')
        failed = await mutate(session, url, 'say(room: "1", text: "never")')
        assert failed["errors"][0]["message"] == "Internal Server Error"
        await mutate(session, url, 'say(room: "1", text: "hello")')
        assert [await ann.next(), await bob.next()] == ["create hello"] * 2
        await asyncio.to_thread(run, "Note.objects.create(room='1', text='from outside')", environment)
        assert [await ann.next(), await bob.next()] == ["create from outside"] * 2

        begun = time.monotonic()
        await mutate(session, url, 'revoke(user: "bob", room: "1")')
        ended = await bob.see()
        assert time.monotonic() - begun < 1
        assert (ended["type"], ended["payload"][0]["extensions"]["code"]) == ("error", "REVOKED")
        await mutate(session, url, 'say(room: "1", text: "without bob")')
        assert await ann.next() == "create without bob"
        await bob.ask()  # its next message is this answer
