"""curl and wrk, as people use them, against the real command."""

import hashlib
import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.peers.support import Serving, curl, need, url_of

BODY = bytes(range(256)) * 20_000  # 5 MB
DIGEST = {"size": len(BODY), "sha256": hashlib.sha256(BODY).hexdigest()}


@pytest.fixture(scope="module")
def big_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("curl") / "big.dat"
    path.write_bytes(BODY)
    return str(path)


def test_one_connection_carries_many_requests(server: Serving) -> None:
    more = [
        url_of(server, path) for path in ("/who", "/lines/3", "/nothing", "/files/a.txt", "/fault/raise", "/")
    ]
    code, _, told = curl(server, "/", *more)
    assert code == 0
    assert told.count("Re-using existing connection") == len(more), told
    assert told.count("left intact") == len(more) + 1


def test_http_1_0(server: Serving) -> None:
    code, body, told = curl(server, "/lines/2", "--http1.0")
    assert (code, body) == (0, b"line 0\nline 1\n")
    assert "transfer-encoding" not in told.lower()
    assert "Closing connection" in told


def test_http_1_0_with_keep_alive(server: Serving) -> None:
    code, body, told = curl(server, "/", "--http1.0", "-H", "Connection: keep-alive", url_of(server))
    assert (code, body) == (0, b"hellohello")
    assert "Re-using existing connection" in told


@pytest.mark.parametrize("path", ["/echo", "/digest"])
def test_an_upload_that_waits_for_continue(server: Serving, big_file: str, path: str) -> None:
    code, body, told = curl(
        server, path, "-X", "POST", "-H", "Expect: 100-continue", "--data-binary", "@" + big_file
    )
    assert code == 0
    assert told.count("< HTTP/1.1 100 Continue") == 1
    assert "Done waiting for 100-continue" not in told
    assert body == BODY if path == "/echo" else json.loads(body) == DIGEST


def test_continue_is_not_sent_for_a_request_that_is_refused(server: Serving, big_file: str) -> None:
    code, _, told = curl(
        server, "/not/there", "-X", "POST", "-H", "Expect: 100-continue", "--data-binary", "@" + big_file
    )
    assert code == 0
    assert "100 Continue" not in told
    assert "< HTTP/1.1 404" in told


def test_a_chunked_upload_from_a_pipe(server: Serving) -> None:
    code, body, told = curl(
        server, "/digest", "-X", "PUT", "-T", "-", "-H", "Transfer-Encoding: chunked", given=BODY
    )
    assert code == 0
    assert "> Transfer-Encoding: chunked" in told
    assert json.loads(body) == DIGEST


def test_an_empty_chunked_upload(server: Serving) -> None:
    code, body, _ = curl(
        server, "/digest", "-X", "POST", "-T", "-", "-H", "Transfer-Encoding: chunked", given=b""
    )
    assert (code, json.loads(body)["size"]) == (0, 0)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [("0-9", b"0123456789"), ("-5", b"56789"), ("95-", b"56789"), ("3-3", b"3"), ("98-500", b"89")],
)
def test_a_range(server: Serving, wanted: str, expected: bytes) -> None:
    code, body, told = curl(server, "/files/a.txt", "-r", wanted)
    assert (code, body) == (0, expected)
    assert "< HTTP/1.1 206 Partial Content" in told


def test_several_ranges(server: Serving) -> None:
    code, body, told = curl(server, "/files/a.txt", "-r", "0-1,10-12")
    assert code == 0
    boundary = re.search('multipart/byteranges; ?boundary="?([^"\r\n]+)', told)
    assert boundary is not None, told
    parts = body.split(b"--" + boundary[1].encode())
    assert [part.partition(b"\r\n\r\n")[2] for part in parts[1:-1]] == [b"01\r\n", b"012\r\n"]
    assert parts[-1].strip() == b"--"


def test_an_interrupted_download_goes_on(server: Serving, tmp_path: Path) -> None:
    partial = tmp_path / "a.txt"
    partial.write_text("0123456789" * 3)
    code, _, told = curl(server, "/files/a.txt", "-C", "-", "-o", str(partial))
    assert code == 0
    assert partial.read_text() == "0123456789" * 10
    assert "< HTTP/1.1 206" in told


@pytest.mark.parametrize("path", ["/", "/files/a.txt", "/lines/3", "/page", "/not/there"])
def test_head(server: Serving, path: str) -> None:
    code, head, told = curl(server, path, "-I", "--next", "-sS", url_of(server))
    assert code == 0, told
    assert head.endswith(b"\r\n\r\nhello")
    assert "Re-using existing connection" in told


def test_a_form_with_a_file(server: Serving, big_file: str) -> None:
    code, body, _ = curl(
        server,
        "/form",
        "-F", "title=été",
        "-F", "tag=a",
        "-F", "tag=b",
        "-F", f"attached=@{big_file};type=application/x-thing;filename=../../etc/pässword",
    )  # fmt: skip
    assert code == 0
    found = json.loads(body)
    assert found["fields"] == {"title": ["été"], "tag": ["a", "b"]}
    ((name, kind, digest),) = found["files"]["attached"]
    assert (kind, digest) == ("application/x-thing", DIGEST["sha256"])
    assert "/" not in name
    assert name.endswith("pässword")


def test_a_urlencoded_form(server: Serving) -> None:
    code, body, _ = curl(server, "/form", "--data-urlencode", "a=b & c=d", "-d", "e=%C3%A9+x")
    assert code == 0
    assert json.loads(body)["fields"] == {"a": ["b & c=d"], "e": ["é x"]}


def test_an_offer_to_compress_is_harmless(server: Serving) -> None:
    code, body, _ = curl(server, "/files/a.txt", "--compressed")
    assert (code, body) == (0, b"0123456789" * 10)


def test_cookies_come_back(server: Serving, tmp_path: Path) -> None:
    jar = str(tmp_path / "jar")
    code, body, _ = curl(server, "/cookies/set", "-c", jar, "-b", jar, url_of(server, "/cookies"))
    assert code == 0
    assert json.loads(body.removeprefix(b"set")) == {"plain": "one", "odd": 'two, "three"; four'}


def test_redirects_are_followed(server: Serving) -> None:
    code, body, told = curl(server, "/moved", "-L")
    assert (code, body) == (0, b"hello")
    assert re.findall(r"< HTTP/1.1 (\d+)", told) == ["301", "303", "200"]
    assert told.count("Re-using existing connection") == 2


def test_a_307_repeats_the_body(server: Serving) -> None:
    code, body, _ = curl(server, "/kept", "-L", "-d", "again")
    assert (code, body) == (0, b"again")


def test_a_fault_after_the_start_is_seen_as_one(server: Serving) -> None:
    code, body, told = curl(server, "/fault/late")
    assert code in {18, 56}, "curl says: the transfer ended too early"
    assert body == b"begun"
    assert "swordfish" not in told


WRK_PIPELINE = """
init = function(args)
  local each = {}
  for i = 1, 8 do each[i] = wrk.format(nil, i % 2 == 0 and "/" or "/who") end
  all = table.concat(each)
end
request = function() return all end
"""


@pytest.mark.parametrize("style", ["one by one", "pipelined", "a connection each"])
def test_wrk(server: Serving, tmp_path: Path, style: str) -> None:
    command = [need("wrk"), "-t1", "-c16", "-d1s"]
    if style == "pipelined":
        (tmp_path / "pipeline.lua").write_text(WRK_PIPELINE)
        command += ["-s", str(tmp_path / "pipeline.lua")]
    elif style == "a connection each":
        command += ["-H", "Connection: close"]
    done = subprocess.run([*command, url_of(server)], capture_output=True, text=True, timeout=20, check=True)
    served = re.search(r"(\d+) requests in", done.stdout)
    assert served is not None
    assert int(served[1]) > 100
    assert "Non-2xx" not in done.stdout, done.stdout
    assert "Socket errors" not in done.stdout, done.stdout
