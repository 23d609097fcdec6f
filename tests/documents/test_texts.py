"""The programs under test are those of the documents, line by line."""

import ast

import pytest

from tests.documents.programs import NAMES, TEXTS, code


@pytest.mark.parametrize("name", NAMES)
def test_only_the_indentation_was_added(name: str) -> None:
    printed = (TEXTS / f"{name}.lines").read_text().splitlines()
    assert [line.strip() for line in code(name).splitlines()] == [line.strip() for line in printed]


@pytest.mark.parametrize("prelude", sorted(TEXTS.glob("*.prelude")), ids=lambda path: path.stem)
def test_a_prelude_holds_imports_and_helpers_only(prelude: object) -> None:
    tree = ast.parse(prelude.read_text())  # type: ignore[attr-defined]
    allowed = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Assign)
    assert all(isinstance(node, allowed) for node in tree.body)
    assert not any(name.startswith("vivace") for node in ast.walk(tree) for name in imported(node))


def imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) else []
