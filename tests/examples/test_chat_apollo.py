"""Apollo's client in the browser, by both sub-protocols, beside the plain page: one conversation."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import ServerProcess
from tests.examples.test_chat import EXAMPLE, User, new_tab, postgres, serve_chat
from tests.services.chromium import Tab, open_browser
from tests.services.npm import Npm
from tests.services.postgres import Postgres

pytest.importorskip("asyncpg")
pytest.importorskip("strawberry")
pytestmark = pytest.mark.once

__all__ = ["new_tab", "open_browser", "postgres"]

ROOM = "garden"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Apollo's client as one file, made by the example's own build."""
    npm = Npm(EXAMPLE)
    made = tmp_path_factory.mktemp("bundle") / "apollo.bundle.js"
    command = [
        str(npm.modules / ".bin" / "esbuild"),
        str(EXAMPLE / "apollo.js"),
        "--bundle",
        f"--outfile={made}",
    ]
    environ = {**os.environ, "NODE_PATH": str(npm.modules)}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return made


@pytest.fixture(scope="module")
def server(
    bundle: Path, postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    """The chat with the bundle."""
    log = tmp_path_factory.mktemp("chat") / "log"
    with serve_chat(postgres, log, CHAT_BUNDLE=str(bundle)) as server:
        yield server


class Apollo:
    """A tab with Apollo's client."""

    def __init__(self, tab: Tab, url: str, state: str) -> None:
        self.tab = tab
        tab.go(url)
        tab.until(lambda: tab.text("#state") == state, f"not {state}")

    def say(self, text: str) -> None:
        self.tab.type("[name=text]", text, enter=True)

    def hears(self, *texts: str) -> None:
        self.tab.until(lambda: self.tab.texts("#said span") == list(texts), f"should see {texts}")


def test_apollo_by_both_protocols_and_the_plain_page_are_one_conversation(
    server: ServerProcess, new_tab: Callable[[], Tab]
) -> None:
    url = f"http://127.0.0.1:{server.port}"
    ada = User(new_tab(), f"{url}/", "Ada", ROOM)
    new = Apollo(new_tab(), f"{url}/apollo/{ROOM}", "connected by graphql-transport-ws")
    old = Apollo(new_tab(), f"{url}/apollo/{ROOM}?old", "connected by graphql-ws")
    said = []
    for who, text in ((ada, "from the page"), (new, "from the new one"), (old, "from the old one")):
        who.say(text)
        said.append(text)
        for each in (new, old, ada):
            each.hears(*said)
    before = ada.worker
    server.process.send_signal(signal.SIGHUP)
    ada.tab.until(lambda: ada.worker not in {before, 0}, "the old worker is still there")
    for number in range(3):
        ada.say(f"after the restart {number}")
        said.append(f"after the restart {number}")
    for each in (ada, new, old):
        each.hears(*said)
