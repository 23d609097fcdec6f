"""The chat by Apollo's client in Node, with both links: who is in a room hears it, until they are removed."""

import http.client
import json
import uuid
from typing import Any

import pytest

from tests.conftest import ROOT, ServerProcess
from tests.examples.test_chat import postgres, server
from tests.services.npm import Node, Npm, npm_clients

pytest.importorskip("asyncpg")
pytest.importorskip("strawberry")
pytestmark = pytest.mark.once

__all__ = ["npm_clients", "postgres", "server"]

SCRIPT = ROOT / "tests" / "peers" / "npm" / "room.cjs"
COOKIE = f"name={b'Ada'.hex()}"


class Apollo:
    """A user of Apollo's client."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def see(self) -> Any:
        line = self._node.line()
        assert line, "the client has ended"
        return json.loads(line)

    def hears(self, author: str, text: str) -> None:
        heard = self.see()["heard"]
        assert (heard["author"], heard["text"]) == (author, text)

    def say(self, text: str) -> None:
        self._node.tell(text)


def ask(server: ServerProcess, method: str, path: str, body: Any = None) -> int:
    """Ask for something as Ada; the status."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    try:
        headers = {"cookie": COOKIE, "content-type": "application/json"}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        return connection.getresponse().status
    finally:
        connection.close()


def test_apollo_with_both_links(server: ServerProcess, npm_clients: Npm) -> None:
    url = f"ws://127.0.0.1:{server.port}/graphql"
    assert ask(server, "PUT", "/rooms/orchard") == 200
    with (
        npm_clients.start(SCRIPT, "legacy", url, "Ada", "orchard") as old,
        npm_clients.start(SCRIPT, "modern", url, "Ada", "orchard") as new,
        npm_clients.start(SCRIPT, "modern", url, "Mallory", "orchard") as stranger,
    ):
        clients = Apollo(old), Apollo(new)
        assert Apollo(stranger).see() == {"error": "Forbidden"}
        for client in clients:
            assert client.see() == {"messages": 0}
        said = f'mutation {{ say(room: "orchard", id: "{uuid.uuid4()}", text: "by HTTP") {{ number }} }}'
        assert ask(server, "POST", "/graphql", {"query": said}) == 200
        for client in clients:
            client.hears("Ada", "by HTTP")
        clients[0].say("by Apollo")
        for client in clients:
            client.hears("Ada", "by Apollo")
        assert ask(server, "DELETE", "/rooms/orchard/members/Ada") == 204
        for client in clients:
            assert "revoked" in client.see()["error"]
