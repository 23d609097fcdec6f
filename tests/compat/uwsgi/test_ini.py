"""The files of uWSGI are read as its manual says."""

import json
import re
from pathlib import Path

import pytest

from vivace.compat.uwsgi.ini import MAX_FILE, MAX_INCLUDES, MAX_OPTIONS, MAX_VALUE, read_options
from vivace.errors import ConfigError


def read(folder: Path, text: str, name: str = "uwsgi.ini", section: str = "") -> list[tuple[str, str]]:
    (folder / name).write_text(text)
    found, _ = read_options(f"{folder / name}{section}")
    return [(one.name, one.value) for one in found]


def test_options_keep_their_order_and_may_stand_twice(tmp_path: Path) -> None:
    text = "; a comment\n[other]\nx = 1\n[uwsgi]\n# another\n env = A=1\nenv=B=2\nmaster\n[more]\ny = 2\n"
    assert read(tmp_path, text) == [("env", "A=1"), ("env", "B=2"), ("master", "true")]


def test_a_section_and_a_line_that_goes_on(tmp_path: Path) -> None:
    text = "[uwsgi]\nini = :web\n[web]\ncron = a \\\n   b\n"
    assert read(tmp_path, text, section=":web") == [("cron", "a b")]
    assert read(tmp_path, text) == [("cron", "a b")]


def test_placeholders_are_filled_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "1234")
    (tmp_path / "name").write_text("shop\n")
    text = "[uwsgi]\nbase = /srv\nchdir = %(base)/@(name)\nhttp-socket = :$(PORT)\nlogto = %d%n.log\n"
    assert read(tmp_path, text)[1:] == [
        ("chdir", "/srv/shop"),
        ("http-socket", ":1234"),
        ("logto", f"{tmp_path}/uwsgi.log"),
    ]
    ((_, times),) = read(tmp_path, "[uwsgi]\nlogto = %t.%T.%i.%x\n")
    inode = (tmp_path / "uwsgi.ini").stat().st_ino
    assert re.fullmatch(rf"\d{{10}}\.\d{{16}}\.{inode}\.uwsgi", times)
    assert read(tmp_path, "[uwsgi]\nlog-format = %(method) %d\n") == [("log-format", "%(method) %d")]


@pytest.mark.parametrize(
    ("line", "said"),
    [("http = :$(NOBODY_SETS)", "line 2: there is no variable NOBODY_SETS"),
     ("http = @(none)", "cannot be read"), ("ini = none.ini", "none.ini cannot be read"),
     ("http = %(x)", "nothing above gives x"),
     ("if-env = HOME", "if-env has no endif"), ("if-moon = full\nendif =", "no condition if-moon"),
     ("http = @(/dev/zero)", "line 2: /dev/zero cannot be read: it is no file"),
     ("ini = /dev/zero", "line 2: /dev/zero cannot be read: it is no file"),
     ("for-times = many\nendfor =", "line 2: for-times = 'many'; expected a whole number up to 10000"),
     ("for-times = 10001\nendfor =", "line 2: for-times"), ("for-times = ²\nendfor =", "line 2: for-times"),
     ("for = it's\nendfor =", "line 2: for = .* cannot be split")],
)  # fmt: skip
def test_what_is_not_there_is_an_error_that_names_the_line(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        read(tmp_path, f"[uwsgi]\n{line}\n")


def test_a_file_that_grows_without_end_is_refused(tmp_path: Path) -> None:
    doubled = "".join(f"x{n + 1} = %(x{n})%(x{n})\n" for n in range(40))
    with pytest.raises(ConfigError, match=rf"line \d+: with its placeholders .* over {MAX_VALUE}"):
        read(tmp_path, f"[uwsgi]\nx0 = 12345678\n{doubled}")
    (tmp_path / "again.ini").write_text("[uwsgi]\n" + "env = a\n" * 100)
    with pytest.raises(ConfigError, match=f"more than {MAX_OPTIONS} options"):
        read(tmp_path, f"[uwsgi]\nfor-times = {MAX_OPTIONS}\nini = again.ini\nendfor =\n")
    assert len(read(tmp_path, f"[uwsgi]\nfor-times = {MAX_OPTIONS}\nenv = a\nendfor =\n")) == MAX_OPTIONS
    (tmp_path / "long").write_text("x" * (MAX_VALUE + 1))
    with pytest.raises(ConfigError, match=f"more than {MAX_VALUE} characters"):
        read(tmp_path, "[uwsgi]\nenv = @(long)\n")
    (tmp_path / "long").write_text("x" * MAX_VALUE)
    assert read(tmp_path, "[uwsgi]\nenv = @(long)\n") == [("env", "x" * MAX_VALUE)]
    (tmp_path / "huge.ini").write_text("[uwsgi]\n" + "#" * MAX_FILE)
    with pytest.raises(ConfigError, match=f"more than {MAX_FILE} characters"):
        read_options(str(tmp_path / "huge.ini"))


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_a_byte_order_mark_and_ends_of_lines_of_another_system(
    tmp_path: Path, start: bytes, end: bytes
) -> None:
    lines = (b"[uwsgi]", b"env = A=\xc3\xb1\x0c\xe2\x80\xa8x", b"master")
    (tmp_path / "u.ini").write_bytes(start + end.join(lines))
    found, _ = read_options(str(tmp_path / "u.ini"))
    assert [(one.name, one.value) for one in found] == [("env", "A=ñ\x0c\u2028x"), ("master", "true")]


def test_for_glob_takes_names_from_anywhere(tmp_path: Path) -> None:
    for name in ("b.env", "a.env"):
        (tmp_path / name).touch()
    found = [("env", str(tmp_path / "a.env")), ("env", str(tmp_path / "b.env"))]
    for pattern in ("*.env", f"{tmp_path}/*.env"):
        assert read(tmp_path, f"[uwsgi]\nfor-glob = {pattern}\nenv = %(_)\nendfor =\n") == found
    assert read(tmp_path, "[uwsgi]\nfor-glob =\nenv = %(_)\nendfor =\n") == []


def test_conditions_and_loops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HERE", "yes")
    text = """[uwsgi]
if-env = HERE
a = %(_)
endif =
if-not-env = HERE
b = 1
endif =
if-file = uwsgi.ini
c = 1
endif =
if-dir = nothing
d = $(NOBODY_SETS)
endif =
if-opt = a=yes
e = 1
endif =
for = x y
f = %(_)
endfor =
"""
    assert read(tmp_path, text) == [("a", "yes"), ("c", "1"), ("e", "1"), ("f", "x"), ("f", "y")]


def test_files_bring_in_files_but_not_in_a_circle(tmp_path: Path) -> None:
    for number in range(MAX_INCLUDES):
        more = f"ini = {number + 1}.ini" if number < MAX_INCLUDES - 1 else "last = 1"
        (tmp_path / f"{number}.ini").write_text(f"[uwsgi]\n{more}\n")
    assert read_options(str(tmp_path / "0.ini"))[0][-1].name == "last"
    (tmp_path / f"{MAX_INCLUDES - 1}.ini").write_text("[uwsgi]\nini = 0.ini\n")
    with pytest.raises(ConfigError, match="in a circle"):
        read_options(str(tmp_path / "0.ini"))


def test_other_formats_say_the_same(tmp_path: Path) -> None:
    wanted = [("master", "true"), ("env", "A=1"), ("env", "B=2")]
    table = {"uwsgi": {"master": True, "env": ["A=1", "B=2"]}}
    assert read(tmp_path, json.dumps(table), "a.json") == wanted
    xml = "<uwsgi><master/><env>A=1</env><env>B=2</env></uwsgi>"
    assert read(tmp_path, xml, "a.xml") == wanted
    pytest.importorskip("yaml")
    assert read(tmp_path, "uwsgi:\n  master: true\n  env: [A=1, B=2]\n", "a.yaml") == wanted


@pytest.mark.parametrize(("name", "text"), [("a.json", "{"), ("a.json", "[]"), ("a.xml", "<uwsgi>")])
def test_a_file_that_is_none_is_refused(tmp_path: Path, name: str, text: str) -> None:
    with pytest.raises(ConfigError, match="a\\."):
        read(tmp_path, text, name)
