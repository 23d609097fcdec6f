"""The house numbers: code that fits on a screen, files that open with what they are, no cycles."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

PACKAGE = ROOT / "src" / "vivace"
SOURCES = sorted(PACKAGE.rglob("*.py"))
FILE_LINES = 700
FUNCTION_LINES = 60
USUAL_FUNCTION_LINES = 40

Function = ast.FunctionDef | ast.AsyncFunctionDef


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def functions(path: Path) -> Iterator[Function]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, Function):
            yield node


def length(function: Function) -> int:
    """Lines from `def` to the last statement, without docstrings."""
    inner = [node for node in ast.walk(function) if isinstance(node, Function)]
    total = (function.end_lineno or function.lineno) - function.lineno + 1
    for node in inner:
        first = node.body[0]
        if ast.get_docstring(node, clean=False) is not None:
            total -= (first.end_lineno or first.lineno) - first.lineno + 1
    return total


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_file_is_short_enough_to_be_read(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= FILE_LINES


def test_files_of_tests_are_short_enough_too() -> None:
    lengths = {name_of(path): len(path.read_text().splitlines()) for path in (ROOT / "tests").rglob("*.py")}
    assert not {name: lines for name, lines in lengths.items() if lines > FILE_LINES}


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_file_opens_with_what_it_is(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text())), "a module docstring is missing"


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_functions_fit_on_a_screen(path: Path) -> None:
    long = {f"{f.name} (line {f.lineno})": length(f) for f in functions(path) if length(f) > FUNCTION_LINES}
    assert not long


def test_nearly_all_functions_are_short() -> None:
    lengths = sorted(length(f) for path in SOURCES for f in functions(path))
    assert lengths[len(lengths) // 2] <= 10
    assert lengths[len(lengths) * 95 // 100] <= USUAL_FUNCTION_LINES


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_every_function_is_annotated(path: Path) -> None:
    missing = [f"{f.name} (line {f.lineno})" for f in functions(path) if not annotated(f)]
    assert not missing


def annotated(function: Function) -> bool:
    spec = function.args
    everything = [*spec.posonlyargs, *spec.args, *spec.kwonlyargs, spec.vararg, spec.kwarg]
    given = [a for a in everything if a is not None and a.arg not in {"self", "cls"}]
    return function.returns is not None and all(a.annotation is not None for a in given)


def test_length_does_not_count_docstrings() -> None:
    tree = ast.parse('def f():\n    """One.\n\n    Two.\n    """\n    return 1\n')
    assert isinstance(tree.body[0], ast.FunctionDef)
    assert length(tree.body[0]) == 2
