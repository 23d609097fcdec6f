"""The runner of the documentation does what it says, and notices what is wrong."""

from pathlib import Path

import pytest

from tests.docs.runner import Reader, blocks, commands, missing_line

PAGE = """# Title

<!-- file: a.txt -->
```text
one
```

Words end a mark.

```python
x = 1
```

<!-- skip: no network -->

```console
$ false
```
"""


def follow(text: str, folder: Path) -> None:
    page = folder / "page.md"
    page.write_text(text)
    work = folder / "work"
    work.mkdir()
    Reader(work, folder / "log").follow(page)


def test_blocks_are_found_with_their_marks() -> None:
    found = [(b.line, b.language, b.mark, b.argument, b.text) for b in blocks(PAGE)]
    assert found == [
        (4, "text", "file", "a.txt", "one\n"),
        (10, "python", "", "", "x = 1\n"),
        (16, "console", "skip", "no network", "$ false\n"),
    ]


def test_open_block_is_refused() -> None:
    with pytest.raises(ValueError, match="line 1"):
        list(blocks("```python\nx = 1\n"))


def test_commands_have_their_output_and_may_span_lines() -> None:
    assert commands("$ echo a \\\n    b\na b\n$ true\n") == [("echo a b", ["a b"]), ("true", [])]


def test_expected_lines_must_follow_each_other() -> None:
    assert missing_line(["a", "c"], "a\nb\nc\n") is None
    assert missing_line(["c", "a"], "a\nb\nc\n") == "a"
    assert missing_line(["x ... z"], "x and y and z") is None
    assert missing_line(["x ... w"], "x and y and z") == "x ... w"


def test_python_blocks_share_their_names(tmp_path: Path) -> None:
    follow("```python\nx = 1\n```\n\n```python\nassert x == 1\n```\n", tmp_path)


def test_files_are_written_and_read_by_commands(tmp_path: Path) -> None:
    page = (
        "<!-- file: a -->\n```text\none\n```\n<!-- append: a -->\n```text\ntwo\n```\n"
        "```console\n$ cat a\none\ntwo\n```\n"
    )
    follow(page, tmp_path)


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ("text\n\n```python\nassert 1 == 2\n```\n", "page.md:3: AssertionError"),
        ("```console\n$ echo no\nyes\n```\n", "does not print 'yes' but:\nno"),
        ("<!-- skip -->\n```python\n1/0\n```\n", "needs a reason"),
    ],
)
def test_a_wrong_page_is_noticed(page: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError) as caught:
        follow(page, tmp_path)
    assert message in str(caught.value)


def test_server_runs_for_the_commands_below_and_ends_with_the_page(tmp_path: Path) -> None:
    server = (
        "import http.server, signal, sys\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\n"
        "http.server.test(http.server.SimpleHTTPRequestHandler, port=int(sys.argv[1]), bind='127.0.0.1')\n"
    )
    page = (
        f"<!-- file: server.py -->\n```python\n{server}```\n"
        "<!-- serve -->\n```console\n$ python server.py 8000\n```\n"
        "```console\n$ curl -s http://127.0.0.1:8000/\nserver.py\n```\n"
    )
    follow(page, tmp_path)
