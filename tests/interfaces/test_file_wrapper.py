"""wsgi.file_wrapper: real files go through the kernel, everything else is read; all are closed once."""

import gzip
import io
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.interfaces.wsgi_support import TEXT, Environ, StartResponse, ask, is_closed, request, serving
from tests.server.support import until
from vivace.interfaces import wsgi_call
from vivace.interfaces.file_wrapper import FileWrapper, find_stretch

CONTENT = bytes(range(256)) * 1000
MODES = pytest.mark.parametrize("threads", [0, 2], ids=["inline", "threads"])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "content"
    found.write_bytes(CONTENT)
    return found


class Files:
    """An app that sends a file; it knows which files it has opened."""

    def __init__(
        self, open_file: Callable[[], Any], *fields: tuple[str, str], status: str = "200 OK"
    ) -> None:
        self.open_file = open_file
        self.fields = fields
        self.status = status
        self.closed = 0

    def __call__(self, environ: Environ, start_response: StartResponse) -> Any:
        filelike = self.open_file()
        close = filelike.close

        def count() -> None:
            self.closed += 1
            close()

        filelike.close = count
        start_response(self.status, [*TEXT, *self.fields])
        return environ["wsgi.file_wrapper"](filelike, 4096)


@MODES
async def test_a_file_is_sent_by_the_kernel_and_closed_once(threads: int, path: Path) -> None:
    app = Files(lambda: path.open("rb"))
    async with serving(app, threads) as started:
        client = await started.connect()
        await client.send(request(close=False))
        status, head, body = await client.read_response()
        await until(lambda: app.closed)
        await client.send(request())
        assert (await client.read_response())[2] == CONTENT
        await until(lambda: app.closed == 2)
    assert (status, body) == (200, CONTENT)
    assert b"content-length: 256000\r\n" in head


@MODES
async def test_nothing_of_a_file_passes_through_python(
    threads: int, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FileWrapper, "__iter__", None)
    async with serving(Files(lambda: path.open("rb")), threads) as started:
        assert (await ask(started, request()))[2] == CONTENT


@MODES
async def test_a_file_is_sent_from_where_it_stands(threads: int, path: Path) -> None:
    def opened() -> Any:
        found = path.open("rb")
        found.seek(100)
        found.read(1)  # the descriptor is further than the file
        return found

    async with serving(Files(opened), threads) as started:
        _, fields, body = await ask(started, request())
    assert body == CONTENT[101:]
    assert fields["content-length"] == str(len(CONTENT) - 101)


@MODES
async def test_a_length_sends_a_part_of_a_file(threads: int, path: Path) -> None:
    app = Files(lambda: path.open("rb"), ("Content-Length", "1000"))
    async with serving(app, threads) as started:
        client = await started.connect()
        await client.send(request(close=False))
        assert (await client.read_response())[2] == CONTENT[:1000]
        await client.send(request())
        assert (await client.read_response())[0] == 200


@MODES
async def test_a_length_beyond_the_file_cuts_the_answer(
    threads: int, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    app = Files(lambda: path.open("rb"), ("Content-Length", "256001"))
    async with serving(app, threads) as started:
        client = await started.connect()
        await client.send(request(close=False))
        assert await is_closed(client)
        await until(lambda: app.closed)
    assert "the content is shorter than its Content-Length" in caplog.text
    assert app.closed == 1


@MODES
async def test_head_of_a_file_has_its_length(threads: int, path: Path) -> None:
    app = Files(lambda: path.open("rb"))
    async with serving(app, threads) as started:
        status, fields, body = await ask(started, request("/", "HEAD"))
        await until(lambda: app.closed)
    assert (status, fields["content-length"], body) == (200, "256000", b"")
    assert app.closed == 1


@MODES
async def test_a_file_whose_client_left_is_closed(threads: int, tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as made:
        made.truncate(1 << 30)
    app = Files(lambda: path.open("rb"))
    async with serving(app, threads) as started:
        client = await started.connect()
        await client.send(request())
        await client.read_head()
        client.reset()
        await until(lambda: app.closed)
    assert app.closed == 1


async def test_a_file_takes_no_thread_while_it_is_sent(tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as made:
        made.truncate(1 << 30)

    def app(environ: Environ, start_response: StartResponse) -> Any:
        start_response("200 OK", TEXT)
        if environ["PATH_INFO"] == "/small":
            return [b"small"]
        return environ["wsgi.file_wrapper"](path.open("rb"))

    async with serving(app, 1, WRITE_TIMEOUT=0) as started:
        client = await started.connect()
        await client.send(request("/large"))
        await client.read_head()
        assert (await ask(started, request("/small")))[2] == b"small"
        client.reset()
        await until(lambda: started.server.active == 0)


@MODES
@pytest.mark.parametrize(
    "make",
    [
        lambda path: io.BytesIO(CONTENT),
        lambda path: gzip.GzipFile(fileobj=io.BytesIO(gzip.compress(CONTENT))),
    ],
    ids=["memory", "gzip"],
)
async def test_what_is_no_real_file_is_read(threads: int, path: Path, make: Callable[[Path], Any]) -> None:
    class Wrapped:
        def __init__(self) -> None:
            self.source = make(path)
            self.read = self.source.read

        def close(self) -> None:
            self.source.close()

    app = Files(Wrapped)
    async with serving(app, threads) as started:
        assert (await ask(started, request()))[2] == CONTENT
        await until(lambda: app.closed)
    assert app.closed == 1


@MODES
async def test_a_pipe_is_read(threads: int) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Any:
        reading, writing = os.pipe()
        os.write(writing, b"through a pipe")
        os.close(writing)
        start_response("200 OK", TEXT)
        return environ["wsgi.file_wrapper"](os.fdopen(reading, "rb"))

    async with serving(app, threads) as started:
        assert (await ask(started, request()))[2] == b"through a pipe"


@MODES
async def test_a_file_without_close_is_fine(threads: int) -> None:
    class Reader:
        left = 3

        def read(self, size: int) -> bytes:
            self.left -= 1
            return b"x" if self.left >= 0 else b""

    def app(environ: Environ, start_response: StartResponse) -> Any:
        start_response("200 OK", TEXT)
        return environ["wsgi.file_wrapper"](Reader())

    async with serving(app, threads) as started:
        assert (await ask(started, request()))[2] == b"xxx"


@MODES
async def test_a_closed_file_is_an_error_of_the_app(
    threads: int, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Any:
        start_response("200 OK", TEXT)
        with path.open("rb") as found:
            return environ["wsgi.file_wrapper"](found)

    async with serving(app, threads) as started:
        assert (await ask(started, request()))[0] == 500
    assert "closed file" in caplog.text


@MODES
async def test_a_file_behind_write_is_read(threads: int, path: Path) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Any:
        start_response("200 OK", TEXT)(b"before ")
        return environ["wsgi.file_wrapper"](path.open("rb"))

    async with serving(app, threads) as started:
        assert (await ask(started, request()))[2] == b"before " + CONTENT


@MODES
async def test_a_file_that_shrinks_cuts_the_answer(
    threads: int, path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Any:
        start_response("200 OK", TEXT)
        return environ["wsgi.file_wrapper"](path.open("rb"))

    def shrunk(wrapper: FileWrapper) -> tuple[int, int, int] | None:
        found = find_stretch(wrapper)
        path.write_bytes(b"short")
        return found

    monkeypatch.setattr(wsgi_call, "find_stretch", shrunk)
    async with serving(app, threads) as started:
        client = await started.connect()
        await client.send(request())
        assert await is_closed(client)
        await until(lambda: caplog.records)
    assert "the file became shorter" in caplog.text


@MODES
async def test_a_file_that_the_system_cannot_read_cuts_the_answer(
    threads: int, path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    unused = 1_000_000
    monkeypatch.setattr(wsgi_call, "find_stretch", lambda _: (unused, 0, 10))
    app = Files(lambda: path.open("rb", buffering=0), ("Content-Length", "10"))
    async with serving(app, threads) as started:
        client = await started.connect()
        await client.send(request(close=False))
        assert await is_closed(client)
        await until(lambda: caplog.records and app.closed)
    assert "Bad file descriptor" in caplog.text


@MODES
async def test_a_file_for_writing_only_is_an_error_of_the_app(threads: int, path: Path) -> None:
    app = Files(lambda: path.open("ab", buffering=0))
    async with serving(app, threads) as started:
        assert (await ask(started, request()))[0] == 500
        await until(lambda: app.closed)


def test_a_file_without_a_size_is_read() -> None:
    with Path("/proc/self/status").open("rb") as found:
        assert find_stretch(FileWrapper(found)) is None
        assert b"Pid:" in b"".join(FileWrapper(found))


def test_stretches_of_files(path: Path) -> None:
    with path.open("rb") as buffered, path.open("rb", buffering=0) as raw:
        buffered.read(10)
        assert find_stretch(FileWrapper(buffered)) == (buffered.fileno(), 10, len(CONTENT) - 10)
        raw.seek(20)
        assert find_stretch(FileWrapper(raw)) == (raw.fileno(), 20, len(CONTENT) - 20)
        raw.seek(0, io.SEEK_END)
        assert find_stretch(FileWrapper(raw)) == (raw.fileno(), len(CONTENT), 0)


def test_what_was_written_to_a_file_counts() -> None:
    with tempfile.TemporaryFile() as plain, tempfile.NamedTemporaryFile() as named:
        for made in (plain, named):
            made.write(b"12345")
            made.seek(1)
            assert find_stretch(FileWrapper(made)) == (made.fileno(), 1, 4)


def test_a_decompressor_is_no_stretch_though_it_has_a_descriptor(tmp_path: Path) -> None:
    path = tmp_path / "x.gz"
    path.write_bytes(gzip.compress(CONTENT))
    with gzip.open(path) as found:
        assert isinstance(found, gzip.GzipFile)
        assert found.fileno() >= 0
        assert find_stretch(FileWrapper(found)) is None
        assert b"".join(FileWrapper(found)) == CONTENT


def test_text_is_no_stretch(path: Path) -> None:
    with path.open(encoding="latin-1") as found:
        assert find_stretch(FileWrapper(found)) is None
