"""The chat by Apollo's client, with both of its links, beside a page: until somebody is removed."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.conftest import ROOT, ServerProcess
from tests.examples.test_chat import User, new_tab, server
from tests.services.chromium import Tab, open_browser
from tests.services.npm import Node, Npm, npm_clients
from tests.services.postgres import postgres

pytest.importorskip("asyncpg")
pytest.importorskip("strawberry")
pytestmark = pytest.mark.once

__all__ = ["new_tab", "npm_clients", "open_browser", "postgres", "server"]

SCRIPT = ROOT / "tests" / "peers" / "npm" / "room.cjs"


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


@pytest.fixture
def page(server: ServerProcess, new_tab: Callable[[], Tab]) -> Iterator[User]:
    """Ada has the page."""
    ada = User(new_tab(), f"http://127.0.0.1:{server.port}/", "Ada", "garden")
    yield ada
    ada.tab.close()


def ask(user: User, method: str, path: str) -> int:
    """Ask the server for something as the user of a page; the status."""
    script = "return fetch(arguments[1], {method: arguments[0]}).then(answer => answer.status)"
    return int(user.tab.run(script, method, path))


def test_apollo_with_both_links_beside_a_page(server: ServerProcess, npm_clients: Npm, page: User) -> None:
    url = f"ws://127.0.0.1:{server.port}/graphql"
    clients: dict[str, Apollo] = {}
    with (
        npm_clients.start(SCRIPT, "legacy", url, "Ada", "garden") as old,
        npm_clients.start(SCRIPT, "modern", url, "Ada", "garden") as new,
        npm_clients.start(SCRIPT, "modern", url, "Mallory", "garden") as stranger,
    ):
        clients = {"old": Apollo(old), "new": Apollo(new)}
        assert Apollo(stranger).see() == {"error": "Forbidden"}
        for client in clients.values():
            assert client.see() == {"messages": 0}
        page.say("from the page")
        for client in clients.values():
            client.hears("Ada", "from the page")
        clients["old"].say("from Apollo")
        for client in clients.values():
            client.hears("Ada", "from Apollo")
        page.hears("from the page", "from Apollo")
        assert ask(page, "DELETE", "/rooms/garden/members/Ada") == 204
        for client in clients.values():
            assert "revoked" in client.see()["error"]
