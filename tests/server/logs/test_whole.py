"""Lines of several writers into one pipe are whole."""

import os
import threading
from collections.abc import Callable

import pytest

from vivace.server.access import _write_fully
from vivace.server.logs.places import FilePlace
from vivace.server.logs.shipper import Entry
from vivace.server.logs.whole import WHOLE, most_at_once, pieces_of

LINES = 100
LENGTH = 300


def by_place(file: int, lines: list[str]) -> None:
    FilePlace(descriptor=file).send([Entry(1.0, 20, line) for line in lines])


def by_access_log(file: int, lines: list[str]) -> None:
    assert _write_fully(file, "".join(f"{line}\n" for line in lines).encode())


@pytest.mark.parametrize("write", [by_place, by_access_log])
def test_lines_of_several_writers_do_not_mix_in_a_pipe(write: Callable[[int, list[str]], None]) -> None:
    reading, writing = os.pipe()
    lines = [[letter * LENGTH] * LINES for letter in "abcd"]

    def write_often(mine: list[str]) -> None:
        for _ in range(10):
            write(writing, mine)

    threads = [threading.Thread(target=write_often, args=(mine,)) for mine in lines]

    def end() -> None:
        for one in threads:
            one.join()
        os.close(writing)

    for one in threads:
        one.start()
    closer = threading.Thread(target=end)
    closer.start()
    with os.fdopen(reading, "rb") as file:
        found = file.read().decode().splitlines()
    closer.join()
    assert len(found) == 4 * 10 * LINES
    assert {line for line in found if line != line[0] * LENGTH} == set()


@pytest.mark.parametrize(
    ("data", "ends"),
    [
        (b"", [0]),
        (b"ab\n", [3]),
        (b"ab\ncd\n", [6]),
        (b"ab\ncd\ne\n", [6, 8]),
        (b"abcdefgh\nij\n", [9, 12]),
        (b"ab\nabcdefgh\nij", [3, 12, 14]),
        (b"abcdefgh", [8]),
    ],
)
def test_pieces_are_whole_lines(data: bytes, ends: list[int]) -> None:
    found = list(pieces_of(data, 6))
    assert [end for _, end in found] == ends
    assert b"".join(data[start:end] for start, end in found) == data
    assert list(pieces_of(data, 0)) == [(0, len(data))]


def test_a_file_takes_all_at_once(tmp_path: os.PathLike[str]) -> None:
    with open(os.path.join(tmp_path, "log"), "wb") as file:
        assert most_at_once(file.fileno()) == 0
    reading, writing = os.pipe()
    assert most_at_once(writing) == WHOLE == os.pathconf(tmp_path, "PC_PIPE_BUF")
    os.close(reading)
    os.close(writing)
    assert most_at_once(writing) == WHOLE
