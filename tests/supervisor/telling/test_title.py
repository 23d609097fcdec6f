"""What ps shows: the title, as long as there is room, and nothing of the environment."""

import subprocess
import sys
from types import SimpleNamespace

import pytest

from vivace.supervisor.telling import title

PROGRAM = """
import os, sys
from vivace.supervisor.telling import title
title._find_package = lambda: None
title.set_title(sys.argv[1], sys.argv[2])
line = open("/proc/self/cmdline", "rb").read().rstrip(bytes(1))
print(line, open("/proc/self/comm").read().strip(), sep="|")
print(sys.argv[1], os.environ["MARK"], open("/proc/self/environ").read().count("MARK=7"), sep="|")
"""


def show(text: str, name: str = "") -> list[str]:
    answer = subprocess.run(
        [sys.executable, "-c", PROGRAM, text, name],
        capture_output=True,
        text=True,
        check=True,
        env={"MARK": "7"},
    )
    return answer.stdout.splitlines()


def test_the_title_replaces_the_command_line() -> None:
    first, second = show("shop: worker 2 gen 5 [busy 3]")
    assert first == "b'shop: worker 2 gen 5 [busy 3]'|shop: worker 2"
    assert second == "shop: worker 2 gen 5 [busy 3]|7|1"


def test_a_short_name_may_be_given() -> None:
    assert show("shop: supervisor", "shop")[0] == "b'shop: supervisor'|shop"


def test_a_title_that_is_too_long_is_cut_and_harms_nothing() -> None:
    answer = show("x" * 100_000)
    assert answer[1].endswith("|7|1")


def test_the_package_is_used_if_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setitem(sys.modules, "setproctitle", SimpleNamespace(setproctitle=told.append))
    monkeypatch.setattr("builtins.open", _refuse)
    title._find_package.cache_clear()
    try:
        title.set_title("a title")
    finally:
        title._find_package.cache_clear()
    assert told == ["a title"]


def test_a_system_that_does_not_let_us_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(title, "_find_package", lambda: None)
    monkeypatch.setattr("builtins.open", _refuse)
    title.set_title("a title")


def _refuse(*_: object, **__: object) -> None:
    raise OSError(1, "Operation not permitted")
