"""The servers that most tests of this folder share, one per build, and the folder that they serve."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.peers.support import BUILDS, Build, Serving, serve

SECRET = "SECRET"


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder `www` that is served, and beside it what must never be."""
    root = tmp_path_factory.mktemp("tree")
    www = root / "www"
    for folder in ("www/sub", "www/.git", "www-private", "www/empty"):
        (root / folder).mkdir(parents=True)
    for name in ("secret.txt", "www-private/secret.txt", "www/.hidden", "www/.git/config", "www/sub/.env"):
        (root / name).write_text(SECRET)
    (www / "a.txt").write_text("0123456789" * 10)
    (www / "sub" / "b.html").write_text("<p>b")
    (www / "per%20cent é.txt").write_text("escaped twice")
    (www / "none.txt").write_bytes(b"")
    os.mkfifo(www / "pipe")
    (www / "absolute").symlink_to(root / "secret.txt")
    (www / "relative").symlink_to("../secret.txt")
    (www / "sibling").symlink_to("../www-private")
    (www / "inside").symlink_to("sub/b.html")
    (www / "loop").symlink_to("loop")
    with (www / "big.bin").open("wb") as big:
        big.truncate(100 << 20)
        for place in range(0, 100 << 20, 1 << 20):
            big.seek(place)
            big.write(place.to_bytes(8, "big"))
    return root


@pytest.fixture(scope="session", params=BUILDS, ids=lambda build: build.name)
def build(request: pytest.FixtureRequest) -> Build:
    """One way after the other to run the server."""
    chosen: Build = request.param
    return chosen


@pytest.fixture(scope="session")
def server(build: Build, tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A server with the default settings."""
    with serve(tmp_path_factory.mktemp("server"), build, PEERS_FOLDER=str(tree / "www")) as serving:
        yield serving


@pytest.fixture(scope="session")
def hasty(build: Build, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A server with time-outs of half a second and a limit of 64 KiB on bodies."""
    settings = {
        "VIVACE_HEAD_TIMEOUT": "0.5",
        "VIVACE_KEEP_ALIVE_TIMEOUT": "0.5",
        "VIVACE_BODY_TIMEOUT": "0.5",
        "VIVACE_WRITE_TIMEOUT": "0.5",
        "VIVACE_RESPONSE_TIMEOUT": "0.5",
        "VIVACE_REQUEST_MAX_SIZE": "65536",
    }
    with serve(tmp_path_factory.mktemp("hasty"), build, **settings) as serving:
        yield serving
